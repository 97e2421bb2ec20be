"""What arrives at a model, column by column: names, roles and table sizes, without any rows and without torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mtl_core.schema import Feature, Role, Schema


@dataclass(frozen=True)
class NumericColumn:
    """One scaled number per row."""

    name: str
    role: Role | None = None


@dataclass(frozen=True)
class FieldColumn:
    """One id per row, 0 for an unknown value; `rows` is the size of its embedding table, the unknown row included."""

    name: str
    rows: int
    role: Role | None = None
    #: Bins of a numeric feature rather than categories.
    binned: bool = False


@dataclass(frozen=True)
class SequenceColumn:
    """Several ids per row, oldest first, negative where there is none.

    `field` is the place in `Columns.fields` whose table it reads; None: it has a table of its own with `rows` rows.
    """

    name: str
    rows: int
    field: int | None = None
    role: Role | None = None


@dataclass(frozen=True)
class Columns:
    """The inputs of a model, in the order of its tensors."""

    numeric: tuple[NumericColumn, ...] = ()
    fields: tuple[FieldColumn, ...] = ()
    sequences: tuple[SequenceColumn, ...] = ()

    @classmethod
    def of(cls, schema: Schema, rows: Callable[[Feature], int]) -> Columns:
        """The columns of a schema; `rows` tells how large the table of a field, or of a sequence of its own, is."""
        places = {feature.name: i for i, feature in enumerate(schema.fields)}
        return cls(
            tuple(NumericColumn(f.name, f.role) for f in schema.numeric),
            tuple(FieldColumn(f.name, rows(f), f.role, f.kind == "numeric") for f in schema.fields),
            tuple(
                SequenceColumn(f.name, rows(f) if f.table_of is None else 0, places.get(f.table_of or ""), f.role)
                for f in schema.sequences
            ),
        )

    @classmethod
    def plain(cls, numeric: int, vocabulary: Sequence[int] = (), sequences: Sequence[SequenceColumn] = ()) -> Columns:
        """Columns without roles, named by their place."""
        return cls(
            tuple(NumericColumn(f"x{i}") for i in range(numeric)),
            tuple(FieldColumn(f"c{i}", rows) for i, rows in enumerate(vocabulary)),
            tuple(sequences),
        )

    @property
    def tables(self) -> tuple[int, ...]:
        """Rows of each embedding table: the fields', then those of sequences that have one of their own."""
        return (*(f.rows for f in self.fields), *(s.rows for s in self.sequences if s.field is None))

    @property
    def table_of_sequence(self) -> tuple[int, ...]:
        """Per sequence the place in `tables` that it reads."""
        own = iter(range(len(self.fields), len(self.tables)))
        return tuple(next(own) if s.field is None else s.field for s in self.sequences)

    def without(self, role: Role) -> tuple[Columns, tuple[int, ...], tuple[int, ...]]:
        """The columns of other roles, and the places of the numeric columns and fields that stay.

        Sequences stay: none has the role of a position.
        """
        numeric = tuple(i for i, c in enumerate(self.numeric) if c.role != role)
        fields = tuple(i for i, c in enumerate(self.fields) if c.role != role)
        place = {old: new for new, old in enumerate(fields)}
        sequences = tuple(
            s if s.field is None else SequenceColumn(s.name, s.rows, place[s.field], s.role) for s in self.sequences
        )
        kept = Columns(tuple(self.numeric[i] for i in numeric), tuple(self.fields[i] for i in fields), sequences)
        return kept, numeric, fields
