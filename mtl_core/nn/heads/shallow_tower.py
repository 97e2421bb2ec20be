"""YouTube's shallow tower around another head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl_core.columns import Columns
from mtl_core.nn.encoder import Inputs
from mtl_core.nn.heads.base import Head, Output

#: Small: at the start no position is better than another.
INITIAL_STD = 0.01


class ShallowTowerHead(Head):
    """Adds a linear term of the position to the numbers of some towers, before the head inside goes on from them.

    Args:
        inner: the head inside.
        tables: per one-hot term the places of its position field and of the context field it is crossed with (or None),
            and its rows.
        terms: per tower the row of weights that it takes, None: nothing is added to it.
        drop: probability that a training row's positions are dropped.
    """

    index: Tensor

    def __init__(
        self,
        inner: Head,
        tables: Sequence[tuple[int, int | None, int]],
        terms: Sequence[int | None],
        columns: Columns,
        drop: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__(inner.tasks)
        self.inner = inner
        self.drop = drop
        self.fields = [(position, context) for position, context, _ in tables]
        sizes = [rows for *_, rows in tables]
        self.starts = [sum(sizes[:place]) for place in range(len(sizes))]
        self.context_rows = [1 if context is None else columns.fields[context].rows for _, context in self.fields]
        served = 1 + max(term for term in terms if term is not None)
        weights = torch.empty(sum(sizes), served).normal_(0.0, INITIAL_STD, generator=generator)
        self.weight_RT = nn.Parameter(weights)
        # A tower without a term takes the column of zeros put after the last.
        index = torch.tensor([served if term is None else term for term in terms])
        self.register_buffer("index", index, persistent=False)
        self.noise = 1 + inner.noise

    def term(self, ids_BC: Tensor, kept_B: Tensor) -> Tensor:
        """What is added to each tower's number [J, B]; 0 where the position is dropped or unknown."""
        total = self.weight_RT.new_zeros(len(ids_BC), self.weight_RT.shape[1])
        for (position, context), start, rows in zip(self.fields, self.starts, self.context_rows, strict=True):
            known_B = kept_B & (ids_BC[:, position] > 0)
            row_B = start + (ids_BC[:, position].clamp(min=1) - 1) * rows
            if context is not None:
                row_B = row_B + ids_BC[:, context]
            total = total + torch.where(known_B[:, None], nn.functional.embedding(row_B, self.weight_RT), 0.0)
        padded_BT = torch.cat([total, total.new_zeros(len(total), 1)], 1)
        return padded_BT[:, self.index].T

    def compose(self, z_JB: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return self.inner.compose(z_JB)

    def numbers(self, z_JB: Tensor) -> Tensor:
        return self.inner.numbers(z_JB)

    def forward(
        self, z_JB: Tensor, inputs: Inputs, noise_BN: Tensor | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        numbers_JB = self.numbers(z_JB)
        if noise_BN is not None:
            numbers_JB = numbers_JB + self.term(inputs.ids, noise_BN[:, 0] >= self.drop)
        return self.compose(numbers_JB)

    def losses(self, out: Output, labels_BK: Tensor, mask_BK: Tensor, noise_BN: Tensor | None = None) -> Tensor:
        return self.inner.losses(out, labels_BK, mask_BK, None if noise_BN is None else noise_BN[:, 1:])

    def rows(self, mask_BK: Tensor) -> Tensor:
        return self.inner.rows(mask_BK)
