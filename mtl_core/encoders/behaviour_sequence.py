"""DUPN's user representation: behaviours read in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.encoders.base import EncoderOptions
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Schema

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.encoder import Encoder


@register("encoder", "behaviour_sequence", "Behaviour sequence (DUPN)")
class BehaviourSequence(EncoderOptions):
    """A person is read from behaviours in their order: an LSTM over them, and attention over its states.

    Each behaviour has an item and a property. The item's parts are the sequences that share the table of one of the
    shown item's columns (item, shop, brand ...); properties are the user's sequences of the same length with a table of
    their own (action, time ...). Properties reach the gates of the LSTM only: an action says how much of a behaviour is
    worth keeping, the item says what is kept. Attention weighs the states by what they hold, by the user's other
    columns and by their age, counted in behaviours from the latest back; padding has weight 0. (The age stands for the
    time that is a property in DUPN. Without it, all states begin with the same weight, and hundreds of steps pass
    before the latest ones stand out.) What comes out is the weighted sum of the states, the user's columns, and all
    others. A model can compute the first two once for any number of candidates. Other sequences are bags: the mean of
    their embeddings.
    """

    card: ClassVar[Card] = Card(
        problem="What somebody wants now shows in what they did last and how, not in how often they did it. One such "
        "representation serves many tasks.",
        formula=r"\begin{aligned}"
        r"i_t, f_t, o_t &= \sigma(W_e e_t + W_p p_t + W_h h_{t-1} + b)\\"
        r"c_t &= f_t \odot c_{t-1} + i_t \odot \tanh(W'_e e_t + W'_h h_{t-1} + b'),\quad h_t = o_t \odot \tanh c_t\\"
        r"a_t &= \mathrm{softmax}_t \big(w^\top \tanh(A\,[h_t, u] + b_a) - \rho\,(T - t)\big),\quad"
        r" x = \Big[\textstyle\sum_t a_t h_t,\; u,\; x_{\mathrm{item}}\Big]"
        r"\end{aligned}",
        paper="Perceive Your Users in Depth: Learning Universal User Representations from Multiple E-commerce Tasks",
        authors="Yabo Ni, Dan Ou, Shichen Liu, Xiang Li, Wenwu Ou, Anxiang Zeng, Luo Si",
        year=2018,
        venue="KDD",
        reference="1805.10727",
    )

    dim: int = option(8, "Columns per embedding", ge=1, le=256)
    hidden: int = option(32, "Columns of the LSTM's state, and of the summary of the behaviours", ge=1, le=512)
    attention: int = option(16, "Hidden width of the attention over the states", ge=1, le=512, advanced=True)
    recency: float = option(
        0.5,
        "What each later behaviour takes off a state's score at the start of training; learned from there on",
        ge=0,
        le=10,
        advanced=True,
    )

    def check(self, schema: Schema) -> None:
        Columns.of(schema, lambda _: 1).behaviours  # noqa: B018  # raises

    def _beside(self, columns: Columns, mine: bool) -> int:
        """Width of the user's columns beside the behaviours, or of all other columns."""
        embedded = [f.role for f in columns.fields] + [columns.sequences[q].role for q in columns.behaviours.bags]
        numbers = sum((column.role == "user") == mine for column in columns.numeric)
        return numbers + self.dim * sum((role == "user") == mine for role in embedded)

    def width(self, columns: Columns) -> int:
        return self.hidden + self._beside(columns, mine=True) + self._beside(columns, mine=False)

    def parameters(self, columns: Columns, streams: int) -> int:
        parts, hidden = columns.behaviours, self.hidden
        gates = self.dim * (4 * len(parts.items) + 3 * len(parts.properties)) + 4 * (hidden + 1)
        attention = self.attention * (hidden + self._beside(columns, mine=True) + 2) + 1
        return streams * (sum(columns.tables) * self.dim + hidden * gates + attention)

    def build(self, columns: Columns, streams: int, generator: torch.Generator) -> Encoder:
        from mtl_core.nn.behaviour_sequence import BehaviourSequenceEncoder

        return BehaviourSequenceEncoder(
            columns, self.dim, self.hidden, self.attention, self.recency, streams, generator
        )
