"""Where each tower's input comes from, level by level, as a flow that is conserved (Plotly: finished runs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.charts.order import by_owner, drawing_order, features_name
from app.charts.palette import LINE, expert_colour, hue, pale, tint
from app.core_texts import gate_name
from app.i18n import tr
from mtl_core.trunks.wiring import Gate, Wiring, gate_key

#: Links that carry less are left out, as shares of one tower.
LEAST = 0.002
#: Ribbons that are drawn: the widest ones.
MOST_RIBBONS = 500
#: Boxes lower than this carry no name; pixels.
NAMED = 11
#: Beyond so many columns there is no room for the names of a gate and of its tower beside each other.
FEW_COLUMNS = 3
#: So many boxes of a column have room for themselves.
AIRY = 12
#: The part of a column's height that lies between its nodes.
ROOM = 0.3


@dataclass(frozen=True)
class Link:
    """What flows from one node to another, in towers: all links into a tower sum to 1."""

    source: str
    target: str
    value: float
    colour: str
    about: str


@dataclass(frozen=True)
class Node:
    """A box: its name, its colour and its column; columns count from the features."""

    key: str
    label: str
    colour: str
    column: int


def shares(gate: Gate, mean: Sequence[float]) -> dict[int, float]:
    """Each expert's share of a gate's mix: its weight over the sum, sizes alone where weights may be negative."""
    sizes = {e: abs(mean[e]) for e in gate.sees}
    total = sum(sizes.values())
    return {e: size / total for e, size in sizes.items()} if total > 0 else {}


def flow(wiring: Wiring, tasks: Sequence[str], means: Mapping[str, Sequence[float]]) -> tuple[list[Node], list[Link]]:
    """Nodes and links, worked out backwards from the towers: each tower draws 1, a gate passes it on by its shares.

    Args:
        wiring: the trunk.
        tasks: task names.
        means: gate key -> mean weight per expert.
    """
    depth = len(wiring.levels)
    tables = wiring.embeddings
    nodes = []
    for stream in by_owner(tables):
        owner = tables[stream]
        colour = LINE if owner is None else pale(hue(owner), 0.5)
        nodes.append(Node(f"0.g{stream}", features_name(wiring, stream, tasks), colour, 0))
    for number, level in enumerate(wiring.levels, start=1):
        for e in drawing_order(level):
            expert = level.experts[e]
            colour = pale(expert_colour(expert.owner), 0.75)
            nodes.append(Node(f"{number}.e{e}", expert.name, colour, 2 * number - 1))
        for g in by_owner([gate.owner for gate in level.gates]):
            gate = level.gates[g]
            name = tr("gate {gate}", gate=gate_name(gate))
            nodes.append(Node(f"{number}.g{g}", name, expert_colour(gate.owner), 2 * number))
    drawn: dict[str, float] = {}
    links: list[Link] = []

    def link(source: str, target: str, value: float, colour: str, about: str) -> None:
        drawn[source] = drawn.get(source, 0.0) + value
        if value > LEAST:
            links.append(Link(source, target, value, colour, about))

    for k, task in enumerate(tasks):
        nodes.append(Node(f"t{k}", task, hue(k), 2 * depth + 1))
        for g in wiring.outputs[k]:
            share = 1 / len(wiring.outputs[k])
            about = tr("the tower of {task} reads this mix", task=task)
            link(f"{depth}.g{g}", f"t{k}", share, tint(hue(k), 0.45), about)
    for number in range(depth, 0, -1):
        level = wiring.levels[number - 1]
        for g, gate in enumerate(level.gates):
            through = drawn.get(f"{number}.g{g}", 0.0)
            for e, share in shares(gate, means[gate_key(number, gate.name)]).items():
                expert_name = level.experts[e].name
                about = tr(
                    "{gate} takes {share:.0%} from {expert}", gate=gate_name(gate), share=share, expert=expert_name
                )
                colour = tint(expert_colour(gate.owner), 0.45)
                link(f"{number}.e{e}", f"{number}.g{g}", through * share, colour, about)
        for e, expert in enumerate(level.experts):
            through = drawn.get(f"{number}.e{e}", 0.0)
            below = number - 1 if expert.level is None else expert.level
            reads = (expert.source, *expert.also)
            for stream in reads:
                about = tr("what {expert} of level {level} reads", expert=expert.name, level=number)
                link(f"{below}.g{stream}", f"{number}.e{e}", through / len(reads), tint(LINE, 0.5), about)
    kept = {end for each in links for end in (each.source, each.target)}
    return [node for node in nodes if node.key in kept], links


def widest(nodes: Sequence[Node], links: Sequence[Link]) -> tuple[list[Node], list[Link], float]:
    """What is drawn of a flow, and what the widest ribbon that is not carries: 0 if all are drawn."""
    if len(links) <= MOST_RIBBONS:
        return list(nodes), list(links), 0.0
    ranked = sorted(links, key=lambda link: -link.value)
    chosen = {id(link) for link in ranked[:MOST_RIBBONS]}
    drawn = [link for link in links if id(link) in chosen]
    ends = {end for link in drawn for end in (link.source, link.target)}
    return [node for node in nodes if node.key in ends], drawn, ranked[MOST_RIBBONS].value


def names(nodes: Sequence[Node], size: Mapping[str, float], height: float) -> dict[str, str]:
    """What is written beside each box: nothing where names would lie on each other, and only towers at the end."""
    last = max(node.column for node in nodes)
    towers = sum(size[node.key] for node in nodes if node.column == last)
    unit = (1 - ROOM) * height / max(towers, 1.0)
    return {
        node.key: ""
        if size[node.key] * unit < NAMED or (last > FEW_COLUMNS and node.column == last - 1)
        else node.label
        for node in nodes
    }


def sizes(nodes: Sequence[Node], links: Sequence[Link]) -> dict[str, float]:
    """What passes each node, in towers."""
    size = {node.key: 0.0 for node in nodes}
    for each in links:
        size[each.source] += each.value
    for each in links:
        if each.target.startswith("t"):
            size[each.target] += each.value
    return size


def middles(nodes: Sequence[Node], size: Mapping[str, float]) -> dict[str, float]:
    """Where each node's middle lies, 0 at the top and 1 at the bottom: stacked, with `ROOM` shared out between them."""
    columns: dict[int, list[Node]] = {}
    for node in nodes:
        columns.setdefault(node.column, []).append(node)
    y: dict[str, float] = {}
    for column in columns.values():
        at = 0.0
        total = sum(size[node.key] for node in column) or 1.0
        gap = ROOM / len(column)
        for node in column:
            height = (1 - ROOM) * size[node.key] / total
            y[node.key] = at + gap / 2 + height / 2
            at += height + gap
    return y


def height_of(nodes: Sequence[Node]) -> int:
    """Pixels, by the column with the most nodes: those beyond the first dozen stand closer."""
    columns = [node.column for node in nodes]
    most = max(map(columns.count, columns))
    return max(320, 62 * min(most, AIRY) + 24 * max(0, most - AIRY))


def sankey(wiring: Wiring, tasks: Sequence[str], means: Mapping[str, Sequence[float]]) -> go.Figure:
    """The flow as a figure: a ribbon as wide as what it carries."""
    nodes, links, _ = widest(*flow(wiring, tasks, means))
    place = {node.key: i for i, node in enumerate(nodes)}
    last = max(node.column for node in nodes)
    size = sizes(nodes, links)
    y = middles(nodes, size)
    named = names(nodes, size, height_of(nodes))
    # Plotly puts the number in where its own braces stand.
    towers = tr("{value} towers", value="%{value:.2f}")
    part = tr("{value} of a tower", value="%{value:.2f}")
    figure = go.Figure(
        go.Sankey(
            arrangement="fixed",
            textfont={"size": 13, "weight": 600},
            node={
                "label": [named[node.key] for node in nodes],
                "customdata": [node.label for node in nodes],
                "color": [node.colour for node in nodes],
                "x": [0.001 + 0.998 * node.column / last for node in nodes],
                "y": [min(0.999, max(0.001, y[node.key])) for node in nodes],
                "pad": 14,
                "thickness": 16,
                "line": {"width": 0},
                "hovertemplate": f"%{{customdata}}: {towers}<extra></extra>",
            },
            link={
                "source": [place[each.source] for each in links],
                "target": [place[each.target] for each in links],
                "value": [each.value for each in links],
                "color": [each.colour for each in links],
                "customdata": [each.about for each in links],
                "hovertemplate": f"%{{customdata}}<br>{part}<extra></extra>",
            },
        )
    )
    figure.update_layout(height=height_of(nodes), margin={"l": 6, "r": 6, "t": 12, "b": 12})
    return figure
