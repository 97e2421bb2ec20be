"""What the controls describe, where the run that is shown is of another model: its drawing, before any training."""

from __future__ import annotations

import streamlit as st

from app import analysis, services, wording
from app.charts.architecture import architecture
from app.charts.fewer import fewer
from app.components.figure_files import offered
from app.components.live import live_chart
from app.components.setup_panel import Setup
from app.i18n import tr
from app.jobs.records import RunRecord
from app.names import model_name


def preview(setup: Setup, record: RunRecord | None) -> None:
    """The untrained model, unless the run below looks the same; so the drawing follows every dial at once."""
    spec = setup.spec
    if spec is None or record is None:
        return
    if analysis.looks_alike(spec, record, services.library().history(record.id)):
        return
    tasks = spec.schema.task_names
    model, data = model_name(spec.to_json()), analysis.data_title(spec.to_json())
    name = tr("{model} on {data}", model=model, data=data)
    with st.container(border=True), offered(f"{spec.data.name}-{spec.model.trunk.name}", key="preview"):
        st.markdown(tr("**What the controls say: {name}, not trained yet**", name=name))
        few = fewer(spec.wiring, {})
        live_chart(
            architecture(few.wiring, tasks, meeting=spec.meeting), tr("Architecture of {name}, untrained.", name=name)
        )
        told = tr(
            "Untrained: every expert that a gate may mix counts alike. Below: another run, until you press Train."
        )
        st.caption(wording.passage(told, few.note(len(spec.wiring.levels), {})))
