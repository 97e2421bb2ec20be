"""A user read from behaviours in their order: property-gated LSTM and attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtl_core.columns import Columns
from mtl_core.nn.embedding import Lookup, masked_softmax, mean_of
from mtl_core.nn.encoder import Inputs
from mtl_core.nn.initial import uniform

#: Larger than that of other encoders: gates must tell actions apart before anything can be learned through them.
INITIAL_STD = 0.3


class BehaviourSequenceEncoder(Lookup):
    """Summary of the behaviours, the rest of the user, everything else; once per stream.

    What depends on the user alone comes from `user` and is computed once for any number of candidates; `join` puts a
    row's other columns beside it. `forward` is one after the other.

    Values are oldest first with padding after, so no state needs to pass over a gap; what the LSTM does in padding is
    read by nobody. A person without behaviours has a summary of zeros.
    """

    behaviours: Tensor
    mine_numeric: Tensor
    mine_fields: Tensor
    mine_bags: Tensor
    other_numeric: Tensor
    other_fields: Tensor
    other_bags: Tensor

    def __init__(
        self,
        columns: Columns,
        dim: int,
        hidden: int,
        attention: int,
        recency: float,
        streams: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__(columns, dim, streams, generator, INITIAL_STD)
        parts = columns.behaviours
        self.hidden, self.items, self.length = hidden, len(parts.items), parts.length
        behaviours = torch.tensor([*parts.items, *parts.properties], dtype=torch.long)
        self.register_buffer("behaviours", behaviours, persistent=False)
        mine, other = (self._choose(name, columns, parts.bags) for name in ("mine", "other"))
        self.width = hidden + mine + other

        items, properties = dim * len(parts.items), dim * len(parts.properties)
        # Gates, input, forget, output, then the candidate: four blocks of columns. Properties reach the gates only.
        self.item_weight = uniform((streams, items, 4 * hidden), items, generator)
        self.property_weight = uniform((streams, properties, 3 * hidden), properties, generator) if properties else None
        self.state_weight = uniform((streams, hidden, 4 * hidden), hidden, generator)
        bias = torch.zeros(streams, 1, 4 * hidden)
        bias[..., hidden : 2 * hidden] = 1.0  # to begin with, remember
        self.bias = nn.Parameter(bias)
        self.attend_state = uniform((streams, hidden, attention), hidden, generator)
        self.attend_user = uniform((streams, mine, attention), mine, generator) if mine else None
        self.attend_bias = nn.Parameter(torch.zeros(streams, 1, attention))
        self.attend_score = uniform((streams, attention, 1), attention, generator)
        self.attend_recency = nn.Parameter(torch.full((streams, 1, 1), recency))

    def _choose(self, name: str, columns: Columns, bags: tuple[int, ...]) -> int:
        """Keep the places of the user's own columns, or of the others, in buffers; how wide they are together."""

        def chosen(role: str | None) -> bool:
            return (role == "user") == (name == "mine")

        numeric = [i for i, column in enumerate(columns.numeric) if chosen(column.role)]
        fields = [i for i, column in enumerate(columns.fields) if chosen(column.role)]
        kept = [q for q in bags if chosen(columns.sequences[q].role)]
        for kind, places in (("numeric", numeric), ("fields", fields), ("bags", kept)):
            self.register_buffer(f"{name}_{kind}", torch.tensor(places, dtype=torch.long), persistent=False)
        return len(numeric) + self.dim * (len(fields) + len(kept))

    def forward(self, inputs: Inputs) -> Tensor:
        return self.join(self.user(inputs), inputs)

    def user(self, inputs: Inputs) -> Tensor:
        """Summary of the behaviours and the user's other columns [S, B, U]."""
        mine_SBU = self._beside(inputs, self.mine_numeric, self.mine_fields, self.mine_bags)
        state_STBH, there_TB = self.states(inputs)
        weight_STB1 = self.attention(state_STBH, there_TB, mine_SBU)[..., None]
        return torch.cat([(weight_STB1 * state_STBH).sum(1), mine_SBU], dim=2)

    def join(self, user_SBU: Tensor, inputs: Inputs) -> Tensor:
        """x_SBD: each row's other columns beside its user's part; one user [S, 1, U] may serve all rows."""
        other_SBD = self._beside(inputs, self.other_numeric, self.other_fields, self.other_bags)
        return torch.cat([user_SBU.expand(-1, other_SBD.shape[1], -1), other_SBD], dim=2)

    def states(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """States after each behaviour [S, T, B, H], and where there is one [T, B]."""
        # Places of time first, so that every step of the loop reads rows that lie together.
        sequences_TBQ = inputs.sequences[:, :, : self.length].index_select(1, self.behaviours).permute(2, 0, 1)
        there_TBQ = sequences_TBQ >= 0
        offset_SQ = self.sequence_offset.index_select(1, self.behaviours)
        index = sequences_TBQ.clamp(min=0)[None] + offset_SQ[:, None, None]
        behaviour_STBe = (self.rows(index) * there_TBQ[None, ..., None]).flatten(3)
        # Everything that does not wait for the state before, for all places in one product.
        weight: Tensor = self.item_weight
        if self.property_weight is not None:
            gates_only = nn.functional.pad(self.property_weight, (0, self.hidden))
            weight = torch.cat([weight, gates_only], dim=1)
        times_rows = behaviour_STBe.shape[1:3]
        ahead_STBh = torch.baddbmm(self.bias, behaviour_STBe.flatten(1, 2), weight).unflatten(1, times_rows)
        state_SBH = cell_SBH = torch.zeros_like(ahead_STBh[:, 0, :, : self.hidden])
        states = []
        for ahead_SBh in ahead_STBh.unbind(1):
            z_SBh = torch.baddbmm(ahead_SBh, state_SBH, self.state_weight)
            gates_SBh, candidate_SBH = z_SBh.split([3 * self.hidden, self.hidden], dim=-1)
            take, keep, give = torch.sigmoid(gates_SBh).chunk(3, dim=-1)
            cell_SBH = keep * cell_SBH + take * torch.tanh(candidate_SBH)
            state_SBH = give * torch.tanh(cell_SBH)
            states.append(state_SBH)
        return torch.stack(states, dim=1), there_TBQ[..., : self.items].any(2)

    def attention(self, state_STBH: Tensor, there_TB: Tensor, user_SBU: Tensor) -> Tensor:
        """Weights over behaviours [S, T, B], from each state, the user and the time since then; 0 at padding."""
        query_SBA: Tensor = self.attend_bias
        if self.attend_user is not None:
            query_SBA = torch.baddbmm(query_SBA, user_SBU, self.attend_user)
        hidden_STBA = torch.matmul(state_STBH, self.attend_state[:, None]) + query_SBA[:, None]
        score_STB = torch.matmul(torch.tanh(hidden_STBA), self.attend_score[:, None])[..., 0]
        since_TB = there_TB.sum(0) - there_TB.cumsum(0)  # behaviours after this one
        score_STB = score_STB - self.attend_recency * since_TB
        return masked_softmax(score_STB.transpose(1, 2), there_TB.transpose(0, 1)).transpose(1, 2)

    def _beside(self, inputs: Inputs, numeric: Tensor, fields: Tensor, bags: Tensor) -> Tensor:
        """These columns: numbers, embeddings of fields, mean embeddings of bags. [S, B, width]"""
        numbers_BF = inputs.numeric.index_select(1, numeric)
        parts = [numbers_BF[None].expand(self.streams, -1, -1), self.fields(inputs.ids, fields).flatten(2)]
        if len(bags):
            parts.append(mean_of(*self.values(inputs.sequences, bags)).flatten(2))
        return torch.cat(parts, dim=2)
