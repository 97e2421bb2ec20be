"""Field-weighted bi-interaction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtl_core.columns import Columns
from mtl_core.nn.embedding import INITIAL_STD, Lookup
from mtl_core.nn.encoder import Inputs


class NFwFMEncoder(Lookup):
    """Linear part [1] and field-weighted bi-interaction vector [dim] of each stream.

    Every column is a field f with V_f = sum of x_i v_i over its values: a number x v, a category v, a sequence of n
    values (1 / n) sum of v_i. With r symmetric, without diagonal:

        S = sum of w_i x_i;    h = sum over f < f' of r_ff' V_f * V_f'  +  sum over f of the pairs inside f.

    The table has dim + 1 columns, of which the last holds the linear weights w, which start at 0.
    """

    pair: Tensor

    def __init__(self, columns: Columns, dim: int, streams: int, generator: torch.Generator) -> None:
        super().__init__(columns, dim + 1, streams, generator)
        self.width = 1 + dim
        self.sequences = len(columns.sequences)
        if self.table is not None:
            with torch.no_grad():
                self.table[:, dim] = 0.0
        numeric = len(columns.numeric)
        self.number: nn.Parameter | None = None
        if numeric:
            number = torch.empty(streams, 1, numeric, dim + 1).normal_(0.0, INITIAL_STD, generator=generator)
            number[..., dim] = 0.0
            self.number = nn.Parameter(number)
        fields = numeric + len(columns.fields) + self.sequences
        pairs = fields * (fields - 1) // 2
        #: r_ff' of each pair f < f', row by row. 1, as in a factorisation machine; from 0 no field would learn.
        self.r = nn.Parameter(torch.ones(streams, pairs)) if pairs else None
        # pair[f, f']: where r_ff' stands; diagonal and lower triangle point at a 0 that is put after the last.
        pair = torch.full((fields, fields), pairs, dtype=torch.long)
        above = torch.triu_indices(fields, fields, offset=1)
        pair[above[0], above[1]] = torch.arange(pairs)
        self.register_buffer("pair", pair, persistent=False)

    def forward(self, inputs: Inputs) -> Tensor:
        fields = []
        if self.number is not None:
            fields.append(inputs.numeric[None, ..., None] * self.number)
        if self.table is not None:
            fields.append(self.fields(inputs.ids))
        # A field with one value has no pairs inside.
        inside_SBe: Tensor | float = 0.0
        if self.sequences:
            values_SBQTe, there_BQT = self.values(inputs.sequences)
            scaled = values_SBQTe / there_BQT.sum(2).clamp(min=1)[None, ..., None, None]
            total_SBQe = scaled.sum(3)
            inside_SBe = 0.5 * (total_SBQe.square() - scaled.square().sum(3)).sum(2)[..., :-1]
            fields.append(total_SBQe)
        all_SBFe = torch.cat(fields, dim=2)
        linear_SB1, v_SBFe = all_SBFe[..., -1:].sum(2), all_SBFe[..., :-1]
        return torch.cat([linear_SB1, self._between(v_SBFe) + inside_SBe], dim=2)

    def _between(self, v_SBFe: Tensor) -> Tensor:
        """Sum over pairs of fields [S, B, e], as V * (R V) summed over fields: the F^2 products are never stored."""
        if self.r is None:
            return torch.zeros_like(v_SBFe[:, :, 0])
        padded = torch.cat([self.r, torch.zeros_like(self.r[:, :1])], dim=1)
        r_SFF = padded[:, self.pair]
        return (v_SBFe * torch.matmul(r_SFF[:, None], v_SBFe)).sum(2)
