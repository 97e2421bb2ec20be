"""Rows of a data set on the device, for one run or for many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from mtl_core.data.tables import Arrays
from mtl_core.nn.encoder import Inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Rows(NamedTuple):
    """One split, or some rows of it. In a population every tensor may have one more dimension [M, ...] in front."""

    inputs: Inputs
    labels: Tensor  # [N, K]
    mask: Tensor  # [N, K]
    truth: Tensor  # [N, K], read by metrics alone

    def at(self, index: Any) -> Rows:
        """These rows; any index of a tensor."""
        return Rows(Inputs(*(part[index] for part in self.inputs)), *(part[index] for part in self[1:]))

    @property
    def bytes(self) -> int:
        """Memory that they take."""
        return sum(part.nbytes for part in (*self.inputs, *self[1:]))


def to_device(arrays: Arrays, device: torch.device) -> Rows:
    """A split as tensors."""

    def put(*columns: NDArray[Any]) -> Iterator[Tensor]:
        return (torch.from_numpy(column).to(device) for column in columns)

    inputs = Inputs(*put(arrays.numeric, arrays.ids, arrays.sequences, arrays.missing))
    return Rows(inputs, *put(arrays.labels, arrays.mask, arrays.truth))


class Shelf:
    """The same split of M runs: held once where runs have the same rows, stacked where each has its own.

    Args:
        splits: per member its rows; members with the same rows give the same object.
    """

    def __init__(self, splits: Sequence[Rows]) -> None:
        distinct = list({id(split): split for split in splits}.values())
        places = {id(split): place for place, split in enumerate(distinct)}
        device = splits[0].labels.device
        self.owner = torch.tensor([places[id(split)] for split in splits], device=device)
        self.alone = len(distinct) == 1
        if self.alone:
            self._rows = distinct[0]
        else:
            self._rows = Rows(
                Inputs(*(torch.stack(parts) for parts in zip(*(split.inputs for split in distinct), strict=True))),
                *(torch.stack(parts) for parts in zip(*(split[1:] for split in distinct), strict=True)),
            )
        #: Rows of each member.
        self.count = len(splits[0].labels)
        self._constant: list[bool] | None = None

    def batch(self, index_MB: Tensor) -> Rows:
        """Each member's rows at its own indices, to train on: tensors [M, B, ...], the truth left out (NaN)."""
        index = index_MB if self.alone else index_MB + self.count * self.owner[:, None]
        return self._picked(index)

    def shared_batch(self, index_B: Tensor) -> Rows:
        """The same rows for all members, to train on: tensors [B, ...], the truth left out (NaN).

        Raises:
            ValueError: members have rows of their own.
        """
        if not self.alone:
            raise ValueError("Members with rows of their own have no batch in common.")
        return self._picked(index_B)

    def _picked(self, index: Tensor) -> Rows:
        """Rows by their place among those of all distinct splits, one split after the other."""

        def pick(part: Tensor, constant: bool) -> Tensor:
            flat = part if self.alone else part.flatten(0, 1)
            shape = (*index.shape, *flat.shape[1:])
            if constant:
                return flat[0].expand(shape)
            # Copies whole rows; an index in brackets goes number by number, which takes three times as long.
            return flat.index_select(0, index.flatten()).reshape(shape)

        everything = (*self._rows.inputs, self._rows.labels, self._rows.mask)
        if self._constant is None:
            # What says the same of every row: masks of tasks without a sample space, no missing numbers.
            self._constant = list(map(_is_constant, everything))
        parts = list(map(pick, everything, self._constant))
        inputs, (labels, mask) = Inputs(*parts[:-2]), parts[-2:]
        return Rows(inputs, labels, mask, labels.new_tensor(float("nan")).expand(labels.shape))

    def part(self, rows: slice) -> Rows:
        """A run of rows: [B, ...] where all members have the same, else [M, B, ...]."""
        if self.alone:
            return self._rows.at(rows)
        return Rows(
            Inputs(*(part[self.owner, rows] for part in self._rows.inputs)),
            *(part[self.owner, rows] for part in self._rows[1:]),
        )

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these members only."""
        self.owner = self.owner[list(members)]


def _is_constant(part: Tensor) -> bool:
    """Is every number of it the same one, or not known?"""
    if not part.numel():
        return False
    first = part.flatten()[0]
    return bool((part == first).all()) or (part.is_floating_point() and bool(part.isnan().all()))
