"""What the model zoo shows: published systems, the parts they are made of, and what to train to see each of them.

No Streamlit, no torch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

from app import wording
from app.core_texts import in_words, paragraphs
from app.families import FAMILIES, family
from app.i18n import by_language, core, mark, tr, trn
from app.setup_values import preset_of, recipe_spec
from mtl_core import registry
from mtl_core.card import Card
from mtl_core.comparison import preset_spec
from mtl_core.data.base import DatasetOptions
from mtl_core.encoders.base import EncoderOptions
from mtl_core.heads.base import HeadOptions
from mtl_core.heads.meeting import Meeting
from mtl_core.recipes.base import RecipeOptions
from mtl_core.spec import RunSpec
from mtl_core.trunks.base import TrunkOptions
from mtl_core.trunks.wiring import Level, Wiring

#: Kind -> what its entries are called in the plural; systems first, then parts in the order in which data flow.
KINDS = {
    "recipe": mark("Systems"), "encoder": mark("Encoders"), "trunk": mark("Trunks"), "head": mark("Heads"),
    "balancer": mark("Balancers"),
}  # fmt: skip
#: Parts of a system, in that order.
PARTS = ("encoder", "trunk", "head", "balancer")
#: A picture with more tasks than this shows no structure any more: it is drawn with the first few.
LEGIBLE_TASKS, DRAWN_TASKS = 4, 3
_ARXIV = re.compile(r"\d{4}\.\d{4,5}")


@dataclass(frozen=True)
class Entry:
    """One system or part."""

    kind: str
    name: str
    title: str
    #: Its problem family, or the family of parts; None where its kind has none.
    family: str | None
    #: What it does, in one sentence.
    summary: str
    #: What it computes and on whose account, paragraph by paragraph; for parts without a card this is all there is.
    details: tuple[str, ...]
    card: Card | None

    @property
    def problem(self) -> str:
        """What it was made for; what it does where nobody wrote that down."""
        return self.card.problem if self.card is not None else self.summary

    @property
    def formula(self) -> str:
        """What it computes, in LaTeX; "" where that stands in its details alone."""
        holder = self.card or registry.get(self.kind, self.name)
        return str(getattr(holder, "formula", ""))

    @property
    def link(self) -> str | None:
        """Address of the paper."""
        if self.card is not None:
            return address(self.card.reference)
        named = re.search(r"arXiv (" + _ARXIV.pattern + ")", " ".join(self.details))
        return address(named.group(1)) if named else None


def origin(entry: Entry) -> str:
    """The year of its paper; of what a paper measured its own system against, that system as well."""
    card = entry.card
    if card is None or card.year is None:
        return ""
    if card.baseline_of:
        return tr("baseline in {system} ({year})", system=card.baseline_of, year=card.year)
    return str(card.year)


def address(reference: str) -> str | None:
    """Of an arXiv number or a DOI."""
    if not reference:
        return None
    return f"https://arxiv.org/abs/{reference}" if _ARXIV.fullmatch(reference) else f"https://doi.org/{reference}"


@lru_cache(maxsize=16)
def entries(kind: str) -> tuple[Entry, ...]:
    """All of a kind, in teaching order."""
    return tuple(_entry(kind, name) for name in registry.names(kind))


def _entry(kind: str, name: str) -> Entry:
    part = registry.get(kind, name)
    summary, *details = paragraphs(part.__doc__ or "")
    card = cast(Card | None, getattr(part, "card", None))
    return Entry(kind, name, registry.title(kind, name), family(kind, name), summary, tuple(details), card)


def families(kind: str) -> tuple[str, ...]:
    """The families of a kind, in teaching order."""
    return tuple(FAMILIES.get(kind, {}))


def found(kind: str, of_family: str | None, text: str) -> list[Entry]:
    """Entries of a family (None: all) in which every word of the text occurs, in whatever is told of them."""
    words = text.casefold().split()
    return [
        entry
        for entry in entries(kind)
        if of_family in (None, entry.family) and all(word in _told(entry) for word in words)
    ]


@by_language(maxsize=256)
def _told(entry: Entry) -> str:
    """What a search for words looks through: English, and the reader's language."""
    card = entry.card
    source = (card.paper, card.authors, str(card.year or ""), card.venue) if card else entry.details
    data = registry.title("dataset", spec_of(entry.kind, entry.name).data.name)
    texts = (entry.title, entry.family or "", entry.summary, entry.problem, data)
    return " ".join((*texts, *map(core, texts), entry.name, *source)).casefold()


@lru_cache(maxsize=256)
def spec_of(kind: str, name: str) -> RunSpec:
    """What to train to see it: a system on the data that suit it, a part in a small model that has use for it."""
    if kind == "recipe":
        return recipe_spec(name)
    if kind == "trunk":
        return preset_spec("conflict", name)
    if kind == "balancer":
        return preset_spec("conflict", "shared_bottom", balancer={"name": name})
    systems = used_by(kind, name)
    if systems:
        return recipe_spec(systems[0])
    data = next(data for data in registry.names("dataset") if _fits(kind, name, data))
    value = preset_of(data)["spec"]
    return preset_spec(data, "shared_bottom", model={**value["model"], kind: {"name": name}})


def _fits(kind: str, name: str, data: str) -> bool:
    part = cast(EncoderOptions | HeadOptions, registry.get(kind, name)())
    try:
        part.check(cast(DatasetOptions, registry.get("dataset", data)()).table_schema())
    except ValueError:
        return False
    return True


def parts_of(spec: RunSpec) -> dict[str, str]:
    """Kind -> name of the parts that a spec is made of."""
    model = spec.model
    chosen = {"encoder": model.encoder, "trunk": model.trunk, "head": model.head, "balancer": spec.balancer}
    return {kind: chosen[kind].name for kind in PARTS}


@lru_cache(maxsize=256)
def used_by(kind: str, name: str) -> tuple[str, ...]:
    """The systems that have this part."""
    return tuple(system for system in registry.names("recipe") if parts_of(recipe_spec(system))[kind] == name)


@dataclass(frozen=True)
class Size:
    """One option of a system: as published, and as it is trained here."""

    name: str
    meaning: str
    published: Any
    here: Any


def sizes(kind: str, name: str) -> list[Size]:
    """The options of an entry with their values."""
    part = registry.get(kind, name)
    published = part().model_dump(mode="json")
    here = dict(published)
    if kind == "recipe":
        here |= part.model_validate(cast(type[RecipeOptions], part).sized).model_dump(mode="json")
    else:
        spec = spec_of(kind, name)
        held = {"encoder": spec.model.encoder, "trunk": spec.model.trunk, "head": spec.model.head}
        options = held.get(kind, spec.balancer).options
        here |= {option: options[option] for option in published if option in options}
    fields = registry.json_schema(part).get("properties", {})
    return [
        Size(option, str(fields[option].get("description", "")), published[option], here[option])
        for option in published
    ]


@dataclass(frozen=True)
class Picture:
    """Who may mix whom, and for which tasks it is drawn."""

    wiring: Wiring
    tasks: tuple[str, ...]
    meeting: Meeting
    #: Streams that the encoder gives: 1 for shared embeddings, else one per task, and one more for shared ones beside.
    streams: int
    #: Tasks that the system has and the picture leaves out.
    omitted: int


@lru_cache(maxsize=256)
def picture(spec_key: str, kind: str, name: str) -> Picture:
    """The wiring of what is trained, with a few of its tasks where all of them would be a thicket.

    Args:
        spec_key: key of `spec_of(kind, name)`, so that another spec is another picture.
        kind: of the entry.
        name: of the entry.
    """
    spec = spec_of(kind, name)
    tasks = spec.schema.task_names
    if len(tasks) <= LEGIBLE_TASKS:
        return Picture(spec.wiring, tasks, spec.meeting, spec.streams, 0)
    few = tasks[:DRAWN_TASKS]
    trunk, encoder = cast(TrunkOptions, spec.model.trunk.part), cast(EncoderOptions, spec.model.encoder.part)
    streams = encoder.streams(len(few), trunk.embeddings)
    meeting = cast(HeadOptions, spec.model.head.part).meeting(spec.schema.tasks[:DRAWN_TASKS])
    return Picture(trunk.wire(few, streams), few, meeting, streams, len(tasks) - len(few))


def picture_sentence(picture: Picture) -> str:
    """Who sees whom, in words."""
    level, tasks = picture.wiring.levels[-1], picture.tasks
    shared = sum(expert.owner is None for expert in level.experts)
    private = len(level.experts) - shared
    if len(level.experts) == 1:
        text = tr("one shared network")
    elif not shared:
        parts = tr("{n} private parts of networks", n=private)
        text = tr("one network per task") if private == len(tasks) else parts
    else:
        text = trn("{n} shared expert", "{n} shared experts", shared)
        if private:
            text = wording.join([text, trn("{n} private one", "{n} private ones", private)])
    levels, reach = len(picture.wiring.levels), _reach(picture.wiring, tasks)
    if not picture.meeting.empty:  # what towers hear behind the trunk is another matter
        reach = tr("in the trunk {claim}", claim=reach)
    if levels > 1:
        said = tr("{n} levels, on the last {networks}: {reach}.", n=levels, networks=text, reach=reach)
    else:
        said = tr("{networks}: {reach}.", networks=text, reach=reach)
    return wording.passage(
        wording.capital(said),
        _embeddings(picture),
        _units(picture.wiring),
        wording.meeting_sentence(picture.meeting, tasks),
    )


def _units(wiring: Wiring) -> str:
    """What scales networks without mixing them."""
    if not any(gate.modulates for level in wiring.levels for gate in level.gates):
        return ""
    return tr("A gate unit per layer and task reads the embeddings and scales that layer, row by row.")


def _embeddings(picture: Picture) -> str:
    if picture.streams == 1:
        return tr("Embeddings are shared.")
    if picture.streams == len(picture.tasks):
        return tr("Each task has embeddings of its own.")
    return tr("Each task has embeddings of its own, beside shared ones.")


def _reach(wiring: Wiring, tasks: Sequence[str]) -> str:
    """Whose networks a task's tower hears."""
    everyone = {expert.owner for each in wiring.levels for expert in each.experts}
    return _reach_of_shared(wiring.levels[-1]) if everyone == {None} else _reach_of_own(wiring, tasks, everyone)


def _reach_of_shared(level: Level) -> str:
    if len(level.experts) == 1:
        return tr("every task receives the same")
    if any(gate.owner is not None for gate in level.gates):
        return tr("each task has a mix of its own")
    return tr("one gate mixes them, every task receives the same")


def _reach_of_own(wiring: Wiring, tasks: Sequence[str], everyone: set[int | None]) -> str:
    heard, level = heard_owners(wiring), wiring.levels[-1]
    if all(owners == {k} for k, owners in enumerate(heard)):
        tied = tr("no task hears another's; a penalty pulls their weights together")
        return tied if level.tied else tr("no task hears another's")
    if all(owners == {k, None} for k, owners in enumerate(heard)):
        return tr("a task hears its own and what is shared")
    if all(owners == everyone for owners in heard):
        direct = all(level.experts[e].owner in (None, gate.owner) for gate in level.gates for e in gate.sees)
        shared = direct and any(expert.owner is None for expert in level.experts)
        through = tr("a task hears its own and the shared, which hear everyone")
        return through if shared else tr("every task hears all of them")
    leads = [tasks[k] for k in range(len(tasks)) if all(k in owners for owners in heard)]
    some = tr("some tasks hear others")
    return tr("{task} is heard by all, and hears no other", task=leads[0]) if len(leads) == 1 else some


def heard_owners(wiring: Wiring) -> list[set[int | None]]:
    """Per task, the owners (None: shared) of all experts on the way from the input to its tower, over every level."""
    mixes: list[list[set[int | None]]] = [[]]
    for level in wiring.levels:
        through: list[set[int | None]] = []
        for expert in level.experts:
            below = mixes[-1 if expert.level is None else expert.level]
            reads = [below[source] for source in (expert.source, *expert.also) if source < len(below)]
            through.append({expert.owner}.union(*reads))
        mixes.append([set[int | None]().union(*(through[e] for e in gate.sees)) for gate in level.gates])
    return [set[int | None]().union(*(mixes[-1][gate] for gate in gates)) for gates in wiring.outputs]


def shown_options(rows: Sequence[Size]) -> list[Size]:
    """Options without those that only hold the options of a part inside."""
    return [
        replace(row, name=in_words(row.name), meaning=core(row.meaning))
        for row in rows
        if not isinstance(row.here, dict)
    ]
