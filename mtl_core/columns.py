"""What arrives at a model, column by column: names, roles and table sizes, without any rows and without torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
    #: Values that are kept at most; None: as many as arrive.
    length: int | None = None


@dataclass(frozen=True)
class Behaviours:
    """Sequences that tell the same behaviours, place by place. All are places in `Columns.sequences`."""

    #: What the behaviour was about: item, shop, brand.
    items: tuple[int, ...]
    #: How it was: action, time, scenario.
    properties: tuple[int, ...]
    #: The other sequences, which are bags of values.
    bags: tuple[int, ...]
    length: int | None


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
                SequenceColumn(
                    f.name, rows(f) if f.table_of is None else 0, places.get(f.table_of or ""), f.role, f.max_length
                )
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

    @property
    def by_role(self) -> tuple[tuple[int, ...], ...]:
        """Places of the embedded columns (fields, then sequences) of users, of items and of the rest, as far as any."""
        groups: dict[str, list[int]] = {"user": [], "item": [], "rest": []}
        roles = [f.role for f in self.fields] + [s.role for s in self.sequences]
        for place, role in enumerate(roles):
            groups[role if role in ("user", "item") else "rest"].append(place)
        return tuple(tuple(group) for group in groups.values() if group)

    @property
    def behaviours(self) -> Behaviours:
        """Which sequences tell a person's behaviours.

        Item parts are the sequences that read a field's table, as a history of items reads the item's. Properties are
        the sequences of the same length with a table of their own. Sequences of items or of the context are never
        behaviours, whatever their table: the genres of the film that is shown were not done by anybody.

        Raises:
            ValueError: no history of items, or parts of it that cannot belong to the same behaviours.
        """
        done = [(q, s) for q, s in enumerate(self.sequences) if s.role in ("user", None)]
        items = [(q, s) for q, s in done if s.field is not None]
        if not items:
            raise ValueError(
                "These data have no history of behaviours: that takes a sequence of a user that shares the table of an "
                "item's column (table_of)."
            )
        first = items[0][1]
        seen: dict[int | None, str] = {}
        for _, part in items:
            if part.length != first.length:
                raise ValueError(
                    f"{first.name} and {part.name} cannot tell the same behaviours: they keep {first.length} and "
                    f"{part.length} values (max_length)."
                )
            if part.field in seen:
                raise ValueError(
                    f"{seen[part.field]} and {part.name} share one table, so they are two histories; one can be read."
                )
            seen[part.field] = part.name
        properties = tuple(q for q, s in done if s.field is None and s.length == first.length)
        parts = tuple(q for q, _ in items)
        bags = tuple(q for q in range(len(self.sequences)) if q not in (*parts, *properties))
        return Behaviours(parts, properties, bags, first.length)

    def without(self, role: Role) -> tuple[Columns, tuple[int, ...], tuple[int, ...]]:
        """The columns of other roles, and the places of the numeric columns and fields that stay.

        Sequences stay: none has the role of a position. One that read the table of a column that goes has its own.
        """
        numeric = tuple(i for i, c in enumerate(self.numeric) if c.role != role)
        fields = tuple(i for i, c in enumerate(self.fields) if c.role != role)
        place = {old: new for new, old in enumerate(fields)}

        def moved(sequence: SequenceColumn) -> SequenceColumn:
            if sequence.field is None:
                return sequence
            if sequence.field in place:
                return replace(sequence, field=place[sequence.field])
            return replace(sequence, field=None, rows=self.fields[sequence.field].rows)

        kept = Columns(
            tuple(self.numeric[i] for i in numeric),
            tuple(self.fields[i] for i in fields),
            tuple(map(moved, self.sequences)),
        )
        return kept, numeric, fields
