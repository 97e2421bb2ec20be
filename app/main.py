"""Seesaw: page setup and navigation, nothing else. Run with `streamlit run app/main.py`."""

from pathlib import Path

import streamlit as st

from app import services
from app.components.arriving import note_page
from app.components.language import language_control, settle_language, tell_the_browser
from app.components.url_choice import tell_what_was_left_out
from app.i18n import tr

ASSETS = Path(__file__).parent / "assets"
settle_language()
# Pictures of our own: a named icon would be fetched from the network, and the dashboard works offline.
st.set_page_config(
    page_title=tr("Seesaw: multi-task learning, seen"), page_icon=str(ASSETS / "icon.svg"), layout="wide"
)
st.logo(str(ASSETS / "logo.svg"), icon_image=str(ASSETS / "icon.svg"), size="large")
st.html(ASSETS / "page.css")
language_control()
tell_the_browser()
services.executor().start_supervisor()

page = st.navigation(
    [
        st.Page(
            "app_pages/playground.py",
            title=tr("Playground"),
            icon=":material/tune:",
            default=True,
            help=tr("Pick data, an architecture and loss weights, train, and watch gates and curves move."),
        ),
        st.Page(
            "app_pages/compare.py",
            title=tr("Compare"),
            icon=":material/compare:",
            help=tr("Two runs side by side on the same scales: gates, curves and the options that differ."),
        ),
        st.Page(
            "app_pages/seesaw_plot.py",
            title=tr("Seesaw plot"),
            icon=":material/balance:",
            url_path="seesaw",
            help=tr("Gain on one task against gain on another, relative to single-task models, with paired intervals."),
        ),
        st.Page(
            "app_pages/runs.py",
            title=tr("Runs"),
            icon=":material/table_rows:",
            help=tr("Every run: filter, tag, compare, go on, take along; metrics, weights and reports to download."),
        ),
        st.Page(
            "app_pages/data.py",
            title=tr("Data"),
            icon=":material/table_chart:",
            help=tr("Label rates and correlation, funnel, features against labels; the dials of a made world."),
        ),
        st.Page(
            "app_pages/zoo.py",
            title=tr("Model zoo"),
            icon=":material/menu_book:",
            url_path="zoo",
            help=tr(
                "Published systems and the parts they are made of: problem, picture, formula, paper, a run of each."
            ),
        ),
    ],
    position="top",
)
note_page(page.url_path)
page.run()
tell_what_was_left_out()
