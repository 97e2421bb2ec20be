"""What to train: data, model, loss weights and training, as controls made from the options' schemas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import streamlit as st

from app import own_files, wording
from app.components.options_form import Form, has_advanced, in_short, options_form
from app.components.own_file import file_choice
from app.components.url_choice import url_choice, url_integer
from app.components.url_values import UrlValues, load
from app.core_sentences import sentence
from app.core_texts import title as title_of
from app.families import family
from app.i18n import as_read, core, tr
from app.problems import told
from app.setup_values import (
    DEFAULT_DATA,
    DEFAULT_TRUNK,
    PREFIXES,
    PRESETS,
    default_part,
    query_of,
    recipe_spec,
    refusals,
    start_of,
    towers_start,
    training_start,
)
from mtl_core import registry
from mtl_core.data.base import DatasetOptions
from mtl_core.recipes.base import RecipeOptions
from mtl_core.schema import Schema
from mtl_core.sizes import Size, parameter_count
from mtl_core.spec import RunSpec, SpecError, TrainingSpec

#: Session keys that others read: what a preset or a link asks to be shown.
SHOW, ADOPTED = "show", "setup.adopted"


@dataclass(frozen=True)
class Setup:
    """What the controls say: a spec, or why they give none."""

    spec: RunSpec | None
    problem: str | None
    size: Size | None = None

    @property
    def trainable(self) -> bool:
        """Can a run be made of it on this machine?"""
        return self.spec is not None and self.problem is None


def preset_strip() -> None:
    """One click sets data and model; a single-choice row that remembers nothing."""
    st.pills(
        tr("Presets"), list(PRESETS), key="preset", format_func=as_read(core), on_change=_apply_preset,
        label_visibility="collapsed",
    )  # fmt: skip


def published_systems() -> None:
    """Systems from papers and companies, each with its problem and a button that sets the controls to it."""
    with st.popover(tr("Published systems"), width="stretch"):
        names = registry.names("recipe")
        chosen = st.selectbox(tr("System"), names, format_func=as_read(lambda n: title_of("recipe", n)), key="recipe")
        card = cast(type[RecipeOptions], registry.get("recipe", chosen)).card
        st.markdown(core(card.problem))
        source = tr("{authors}, {year}.", authors=card.authors, year=card.year) if card.year else ""
        described = in_short(registry.schema_of("recipe", chosen))
        st.caption(wording.passage(described, source, tr("Sized to suit the data.")))
        st.button(tr("Set the controls to it"), key="recipe.use", on_click=_apply_recipe, icon=":material/tune:")


def adopt(spec: RunSpec) -> None:
    """Set all controls to a spec; for callbacks."""
    file = own_files.of_run(spec.data.options) if spec.data.name == "table" else None
    load(query_of(spec, file), keep=["run", "epoch"])
    st.session_state[ADOPTED] = spec.key


def _apply_preset() -> None:
    chosen = st.session_state.get("preset")
    if chosen in PRESETS:
        query = PRESETS[chosen]
        newest = {"file": next(iter(own_files.settled()), own_files.EXAMPLE)} if query.get("data") == "table" else {}
        load({**query, **newest})
        if set(query) <= {"data", "trunk"}:
            st.session_state[SHOW] = query.get("data", DEFAULT_DATA), query.get("trunk", DEFAULT_TRUNK)
        # Nothing stays chosen, so that the same preset can be had again after something was changed by hand.
        st.session_state["preset"] = None


def _apply_recipe() -> None:
    adopt(recipe_spec(str(st.session_state["recipe"])))


def setup_panel() -> Setup:
    """Draw the controls."""
    url = UrlValues()
    more: list[_Put] = []
    with st.container(border=True):
        st.markdown(_strong(tr("Data")))
        dataset = _named_choice(url, "dataset", tr("Data set"), "data", DEFAULT_DATA)
        data_options = _data_options(url, dataset, more)
    columns = _columns(dataset, data_options)
    parts = _Parts(url, dataset, columns, more)
    plain = Form(f"play.{dataset}", columns.task_names, url)
    with st.container(border=True):
        st.markdown(_strong(tr("Model")))
        trunk = _named_choice(url, "trunk", tr("Trunk"), "trunk", DEFAULT_TRUNK)
        trunk_options = parts.options("trunk", trunk)
        st.caption(in_short(registry.schema_of("trunk", trunk)))
        towers = options_form(_towers_schema(), {"towers": towers_start(dataset)}, plain)["towers"]
        head, head_options = parts.chosen("head", tr("Head"))
        encoder, encoder_options = parts.chosen("encoder", tr("Encoder"))
        size_line = st.empty()
    with st.container(border=True):
        st.markdown(_strong(tr("Loss weights")))
        balancer, balancer_options = parts.chosen("balancer", tr("Balancer"), explained=True)
    with st.container(border=True):
        st.markdown(_strong(tr("Training")))
        schema, start = registry.json_schema(TrainingSpec), training_start(dataset)
        training = options_form(schema, start, plain)
        seed = _seed(url)
        with st.expander(tr("More")):
            training |= options_form(schema, start, plain, advanced=True)
            for put in more:
                st.markdown(_strong(put.title))
                _merge(put.options, put.draw())
    url.forget_others([*PREFIXES.values()])
    value = {
        "data": {"name": dataset, "options": data_options},
        "model": {
            "encoder": {"name": encoder, "options": encoder_options},
            "trunk": {"name": trunk, "options": trunk_options},
            "towers": towers,
            "head": {"name": head, "options": head_options},
        },
        "balancer": {"name": balancer, "options": balancer_options},
        "training": training,
        "seed": seed,
    }
    found = _parsed(value)
    if found.size is not None:
        size_line.caption(size_text(found.size))
    _tell_of_adopted(found.spec)
    return found


def _data_options(url: UrlValues, dataset: str, more: list[_Put]) -> dict[str, Any]:
    schema = registry.schema_of("dataset", dataset)
    if dataset == "table":
        own = file_choice()
        options = dict(own.options)
        if own.id == own_files.EXAMPLE:
            st.caption(tr("A made-up shop log stands in until you bring a file."))
            label = tr("Bring your own file")
        else:
            label = tr("Bring another file")
        st.page_link(
            "app_pages/data.py", label=label, icon=":material/upload_file:",
            query_params={"data": "table", "file": own.id},
        )  # fmt: skip
        st.caption(in_short(schema))
        return options
    st.query_params.pop("file", None)
    start = start_of(dataset, "dataset", dataset, ())
    form = Form(f"play.{dataset}", (), url, PREFIXES["dataset"])
    options = options_form(schema, start, form)
    st.caption(in_short(schema))
    if has_advanced(schema):
        # Drawn below, but what they say decides which parts fit.
        for name, field in schema["properties"].items():
            if field.get("advanced"):
                key = f"{form.key}.{name}"
                url.take_up(f"{form.prefix}{name}", field, key, start[name])
                options[name] = st.session_state.get(key, start[name])
        more.append(_Put(tr("Data"), options, lambda: options_form(schema, start, form, advanced=True)))
    return options


def _towers_schema() -> dict[str, Any]:
    return {"properties": {"towers": registry.json_schema(RunSpec)["$defs"]["ModelSpec"]["properties"]["towers"]}}


def _seed(url: UrlValues) -> int:
    if url.loading and "seed" not in st.query_params:
        st.session_state["seed"] = 0
    return url_integer(
        tr("Seed"), 0, 2**31 - 1, 0, "seed",
        help=tr("Draws the data or its split, the start values and the order of the batches"),
    )  # fmt: skip


@dataclass(frozen=True)
class _Put:
    """Advanced options that are drawn later, into the options that are there already."""

    title: str
    options: dict[str, Any]
    draw: Callable[[], dict[str, Any]]


class _Parts:
    """Draws parts of the model for these data; their advanced options are put off until `more`."""

    def __init__(self, url: UrlValues, dataset: str, columns: Schema, more: list[_Put]) -> None:
        self._url, self._dataset, self._columns, self._more = url, dataset, columns, more

    def chosen(self, kind: str, title: str, *, explained: bool = False) -> tuple[str, dict[str, Any]]:
        """The choice of a part among those that fit, and its options."""
        key = f"play.{self._dataset}.{kind}"
        refused = refusals(kind, self._columns) if kind in ("encoder", "head") else {}
        names = [name for name in registry.names(kind) if name not in refused]
        default = default_part(self._dataset, kind)
        default = default if default in names else names[0]
        self._url.take_up(kind, {"enum": names}, key, default)
        if st.session_state.get(key) not in names:
            st.session_state[key] = default
        name = str(
            st.selectbox(
                title, names, key=key, format_func=as_read(lambda n: titled(kind, n)), persist_state="session",
                help=None if explained else in_short(registry.schema_of(kind, st.session_state[key])),
            )
        )  # fmt: skip
        self._url.write_down(kind, name, default)
        options = self.options(kind, name, heading=tr("Loss weights") if kind == "balancer" else title)
        if explained:
            st.caption(in_short(registry.schema_of(kind, name)))
        if refused:
            reasons: dict[str, list[str]] = {}
            for part, reason in refused.items():
                reasons.setdefault(reason, []).append(title_of(kind, part))
            told = (
                tr("{parts}: {reason}", parts=wording.commas(parts), reason=sentence(reason))
                for reason, parts in reasons.items()
            )
            text = "\n".join(f"- {line}" for line in told)
            st.caption(tr("{n} more do not fit these data", n=len(refused)), help=text)
        return name, options

    def options(self, kind: str, name: str, heading: str | None = None) -> dict[str, Any]:
        """The plain options of a part."""
        schema = registry.schema_of(kind, name)
        start = start_of(self._dataset, kind, name, self._columns.task_names)
        form = Form(f"play.{self._dataset}.{name}", self._columns.task_names, self._url, PREFIXES[kind])
        fitting = [n for n in registry.names(kind) if n not in refusals(kind, self._columns)] if kind == "head" else []

        def draw(advanced: bool) -> dict[str, Any]:
            return options_form(
                schema, start, form, advanced=advanced,
                nested=lambda inner: registry.schema_of(kind, inner),
                allowed=lambda option, values: [v for v in values if option != "inner" or v in fitting],
            )  # fmt: skip

        holders = [n.removesuffix("_options") for n in schema.get("properties", {}) if n.endswith("_options")]
        held = [str(st.session_state.get(f"{form.key}.{holder}")) for holder in holders]
        inside = [registry.schema_of(kind, part) for part in held if part in registry.names(kind)]
        options = draw(False)
        if any(has_advanced(part) for part in (schema, *inside)):
            self._more.append(_Put(heading or tr("Trunk"), options, lambda: draw(True)))
        return options


def _merge(options: dict[str, Any], further: Mapping[str, Any]) -> None:
    """Put further options beside those that are there; those of a part inside a part come in two halves."""
    for name, value in further.items():
        options[name] = {**options.get(name, {}), **value} if isinstance(value, dict) else value


def size_text(size: Size) -> str:
    """31,204 parameters; or what is known of their number."""
    if size.exact:
        return tr("{n:,} parameters", n=size.parameters)
    if size.least:
        return tr("At least {n:,} parameters, embeddings not counted", n=size.parameters)
    return tr("About {n:,} parameters", n=size.parameters)


def titled(kind: str, name: str) -> str:
    """A part's title, with its family where its kind has families."""
    group = family(kind, name)
    return title_of(kind, name) + (f" · {core(group)}" if group else "")


def _strong(heading: str) -> str:
    return f"**{heading}**"


def _tell_of_adopted(spec: RunSpec | None) -> None:
    """Say so where the controls cannot express all of the spec that they were to be set to."""
    wanted = st.session_state.pop(ADOPTED, None)
    if wanted is not None and (spec is None or spec.key != wanted):
        st.toast(tr("Some of its options have no control here; they are at their defaults."), icon=":material/info:")


def _parsed(value: dict[str, Any]) -> Setup:
    try:
        spec = RunSpec.parse(value)
        return Setup(spec, own_files.absent(value["data"]), parameter_count(spec))
    except SpecError as error:
        return Setup(None, told(error))


def _named_choice(url: UrlValues, kind: str, label: str, key: str, default: str) -> str:
    names: Sequence[str] = registry.names(kind)
    if url.loading and st.query_params.get(key) not in names:
        st.session_state[key] = default
    return url_choice(label, names, default, key, lambda name: titled(kind, name))


def _columns(dataset: str, options: dict[str, Any]) -> Schema:
    """Features and tasks; where the options are wrong, those of the defaults: the spec says what is wrong."""
    part = registry.get("dataset", dataset)
    try:
        return cast(DatasetOptions, part.model_validate(options)).table_schema()
    except ValueError:
        return cast(DatasetOptions, part()).table_schema()
