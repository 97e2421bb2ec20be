"""What to train: data, model, loss weights and training, as controls made from the options' schemas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import streamlit as st

from app.components.options_form import has_advanced, in_short, options_form
from app.components.own_file import file_choice
from app.components.url_choice import url_choice, url_integer
from mtl_core import registry
from mtl_core.data.base import DatasetOptions
from mtl_core.sizes import parameter_count
from mtl_core.spec import RunSpec, SpecError, TrainingSpec

#: The presets on top of the page: label -> (data set, trunk).
PRESETS = {
    "Shared bottom on conflicting tasks": ("conflict", "shared_bottom"),
    "MMoE": ("conflict", "mmoe"),
    "PLE": ("conflict", "ple"),
    "MMoE on census data": ("adult", "mmoe"),
    "PLE on census data": ("adult", "ple"),
}


@dataclass(frozen=True)
class Setup:
    """What the controls say: a spec, or why they give none."""

    spec: RunSpec | None
    problem: str | None


def preset_strip() -> None:
    """One click sets data and model; a single-choice row that remembers nothing."""
    st.pills(
        "Presets",
        list(PRESETS),
        key="preset",
        on_change=_apply_preset,
        label_visibility="collapsed",
    )


def _apply_preset() -> None:
    chosen = st.session_state.get("preset")
    if chosen in PRESETS:
        st.session_state["data"], st.session_state["trunk"] = PRESETS[chosen]
        st.session_state["show"] = PRESETS[chosen]
        # Nothing stays chosen, so that the same preset can be had again after something was changed by hand.
        st.session_state["preset"] = None


def setup_panel() -> Setup:
    """Draw the controls."""
    catalogue = registry.catalogue()
    with st.container(border=True):
        st.markdown("**Data**")
        dataset = _choice("dataset", "Data set", "data", "conflict")
        preset = cast(type[DatasetOptions], registry.get("dataset", dataset)).preset()
        spec: dict[str, Any] = preset["spec"]
        schema = catalogue["dataset"][dataset]
        own = dataset == "table"
        if own:
            data_options = dict(file_choice().options)
            st.page_link("app_pages/data.py", label="Bring another file", icon=":material/upload_file:")
        else:
            data_options = options_form(schema, spec["data"].get("options", {}), f"play.{dataset}", ())
        st.caption(in_short(schema))
    tasks = _tasks(dataset, data_options)
    with st.container(border=True):
        st.markdown("**Model**")
        trunk = _choice("trunk", "Trunk", "trunk", "mmoe")
        schema = catalogue["trunk"][trunk]
        trunk_options = options_form(schema, preset["trunks"].get(trunk, {}), f"play.{dataset}.{trunk}", tasks)
        towers_schema = {
            "properties": {"towers": registry.json_schema(RunSpec)["$defs"]["ModelSpec"]["properties"]["towers"]}
        }
        towers = options_form(towers_schema, {"towers": spec["model"]["towers"]}, f"play.{dataset}", tasks)["towers"]
        st.caption(in_short(schema))
        size = st.empty()
    with st.container(border=True):
        st.markdown("**Loss weights**")
        balancer = spec.get("balancer", {}).get("options", {})
        balancer_options = options_form(catalogue["balancer"]["static"], balancer, f"play.{dataset}.static", tasks)
    with st.container(border=True):
        st.markdown("**Training**")
        schema = registry.json_schema(TrainingSpec)
        training = options_form(schema, spec["training"], f"play.{dataset}", tasks)
        seed = url_integer(
            "Seed", 0, 2**31 - 1, 0, "seed",
            help="Draws the data or its split, the start values and the order of the batches",
        )  # fmt: skip
        encoder_name = spec["model"].get("encoder", {}).get("name", "embedding")
        encoder_options: dict[str, Any] = {}
        with st.expander("More"):
            training |= options_form(schema, spec["training"], f"play.{dataset}", tasks, advanced=True)
            if not own and has_advanced(catalogue["dataset"][dataset]):
                start = spec["data"].get("options", {})
                data_options |= options_form(
                    catalogue["dataset"][dataset], start, f"play.{dataset}", tasks, advanced=True
                )
            encoder = catalogue["encoder"][encoder_name]
            start = spec["model"].get("encoder", {}).get("options", {})
            encoder_options |= options_form(encoder, start, f"play.{dataset}.{encoder_name}", tasks)
            encoder_options |= options_form(encoder, start, f"play.{dataset}.{encoder_name}", tasks, advanced=True)
    value = {
        "data": {"name": dataset, "options": data_options},
        "model": {
            "encoder": {"name": encoder_name, "options": encoder_options},
            "trunk": {"name": trunk, "options": trunk_options},
            "towers": towers,
        },
        "balancer": {"name": "static", "options": balancer_options},
        "training": training,
        "seed": seed,
    }
    found = _parsed(value)
    if found.spec is not None:
        counted = parameter_count(found.spec)
        start = "" if counted.exact else "At least " if counted.least else "About "
        size.caption(
            f"{start}{counted.parameters:,} parameters" + (", embeddings not counted" if counted.least else "")
        )
    return found


def _parsed(value: dict[str, Any]) -> Setup:
    try:
        return Setup(RunSpec.parse(value), None)
    except SpecError as error:
        return Setup(None, str(error))


def _choice(kind: str, label: str, key: str, default: str) -> str:
    return url_choice(label, registry.names(kind), default, key, lambda name: registry.title(kind, name))


def _tasks(dataset: str, options: dict[str, Any]) -> tuple[str, ...]:
    part = registry.get("dataset", dataset)
    try:
        return cast(DatasetOptions, part.model_validate(options)).table_schema().task_names
    except ValueError:  # shown by the spec below, with every other problem
        return cast(DatasetOptions, part()).table_schema().task_names
