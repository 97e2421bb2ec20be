"""A table file as Arrow columns: encoding, separator and header are found, and every problem is one sentence."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mtl_core.data.base import DataError
from mtl_core.data.table.places import Form, find, form_of

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

Encoding = Literal["auto", "utf-8", "gbk", "latin-1"]
Separator = Literal["auto", "comma", "tab", "semicolon", "pipe"]
Decimal = Literal["auto", "point", "comma"]
#: How a column is read: as 4-byte or 8-byte numbers, or as text with each distinct value stored once.
Kind = Literal["number", "exact", "text"]

SEPARATORS: dict[str, str] = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}
#: How a missing value may be written. A question mark is a value.
NULLS = ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "Null", "null", "None", "<NA>", "\\N"]
MAX_COLUMNS = 5000
#: Put between the values of a Parquet list: a sign that no value has.
LIST_SIGN = "\x1f"
_CHUNK = 16 * 2**20
_HEAD = 256 * 1024
#: The longest cell that is read; beyond it a quote was never closed.
_LONGEST_CELL = 64 * 2**20
_CODECS = {"utf-8": "utf-8-sig", "gbk": "gb18030", "latin-1": "cp1252"}


@dataclass(frozen=True)
class Source:
    """A file that can be read, and how."""

    path: Path
    form: Form
    columns: tuple[str, ...]
    #: About how many rows it has; exact where no line is blank.
    rows: int
    codec: str = "utf-8"
    separator: str = ","
    #: A cell holds a line break, which makes reading several times slower.
    broken_lines: bool = False
    decimal: Literal["point", "comma"] = "point"

    def read(self, kinds: Mapping[str, Kind], keep: NDArray[np.int64] | None = None) -> dict[str, pa.ChunkedArray]:
        """These columns, all rows or the rows with these numbers (ascending).

        Raises:
            DataError: a number column holds text, a row has too many cells, and the like.
        """
        absent = [name for name in kinds if name not in self.columns]
        if absent:
            raise DataError(f"{self.path.name} has no column `{absent[0]}`. It has: {_listed(self.columns)}.")
        if self.form == "parquet":
            return {name: _parquet_column(self.path, name, kind, keep) for name, kind in kinds.items()}
        return self._csv(kinds, keep, None)

    def head(self, rows: int) -> dict[str, pa.ChunkedArray]:
        """The first rows of all columns as text."""
        if self.form == "parquet":
            keep = np.arange(min(rows, self.rows))
            return {name: _parquet_column(self.path, name, "text", keep) for name in self.columns}
        return self._csv(dict.fromkeys(self.columns, "text"), None, _first_rows(self.path, self.form, rows))

    def sha256(self) -> str:
        """Hash of the file."""
        import hashlib

        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _csv(
        self, kinds: Mapping[str, Kind], keep: NDArray[np.int64] | None, start: bytes | None
    ) -> dict[str, pa.ChunkedArray]:
        import pyarrow as pa
        from pyarrow import csv as pc

        types = {
            "number": pa.float32(), "exact": pa.float64(), "text": pa.dictionary(pa.int32(), pa.string()),
        }  # fmt: skip
        reading = pc.ReadOptions(
            column_names=list(self.columns), skip_rows_after_names=1, block_size=_CHUNK, encoding=self.codec
        )
        parsing = pc.ParseOptions(delimiter=self.separator, newlines_in_values=self.broken_lines)
        converting = pc.ConvertOptions(
            column_types={name: types[kind] for name, kind in kinds.items()}, include_columns=list(kinds),
            null_values=NULLS, strings_can_be_null=True, decimal_point="," if self.decimal == "comma" else ".",
        )  # fmt: skip

        def table(options: Any) -> pa.Table:
            stream = pa.BufferReader(start) if start is not None else _stream(self.path, self.form)
            with stream:
                if keep is None:
                    return pc.read_csv(stream, options, parsing, converting)
                return _selected(pc.open_csv(stream, options, parsing, converting), keep)

        try:
            try:
                found = table(reading)
            except pa.ArrowInvalid as error:
                if "straddling" not in str(error):
                    raise
                reading.block_size = _LONGEST_CELL
                found = table(reading)
        except (pa.ArrowInvalid, pa.ArrowCapacityError, UnicodeDecodeError) as error:
            raise DataError(self._explain(str(error))) from error
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.path.name} cannot be read to its end: {_line(error)}. Upload it again.") from error
        return {name: found.column(name) for name in kinds}

    def _explain(self, message: str) -> str:
        """Arrow's messages in a reader's words."""
        if match := re.search(r"Expected (\d+) columns, got (\d+): ?(.*)", message, re.DOTALL):
            wanted, got, row = match.groups()
            return (
                f"A row of {self.path.name} has {got} cells where the first line names {wanted} columns: "
                f"{_shown(row, 60)}. Check separators and quotes there."
            )
        if match := re.search(r"In CSV column #(\d+).*invalid value '(.*)'", message, re.DOTALL):
            place, value = int(match.group(1)), match.group(2)
            return not_a_number(self.columns[place], value, self.decimal)
        if "UTF8" in message or "decode" in message:
            return f"{self.path.name} is not written in one encoding throughout. Save it as UTF-8."
        if "straddling" in message:
            return f"{self.path.name} has a cell of more than {_LONGEST_CELL >> 20} MB: is a quote never closed?"
        return f"{self.path.name} cannot be read as a table: {_shown(_line(message), 160)}."


def open_table(
    path: str,
    encoding: Encoding = "auto",
    separator: Separator = "auto",
    decimal: Decimal = "auto",
    sha256: str = "",
) -> Source:
    """Find out how a file is to be read; without a path, the made-up example.

    CSV, TSV, gzipped or not, and Parquet are told apart by what they hold. With a hash, an upload of the same content
    serves where the path leads nowhere.

    Raises:
        DataError: no such file, not allowed, not a table; one sentence each.
    """
    if not path:
        from mtl_core.data.table.example import example

        return example()
    found = find(path, sha256)
    form = form_of(found)
    if form == "parquet":
        return _open_parquet(found)
    state = found.stat()
    surveyed, lines, broken = _survey(found, form, state.st_mtime_ns, state.st_size)
    codec = _CODECS[encoding] if encoding != "auto" else surveyed
    start = _decoded_start(found, form, codec)
    sign = SEPARATORS[separator] if separator != "auto" else _find_separator(start, found)
    columns = _header(start, sign, found)
    if lines < 1:
        raise DataError(f"{found.name} has a line of column names and no rows.")
    point = _find_decimal(start, sign) if decimal == "auto" else decimal
    source = Source(found, form, columns, lines, codec.removesuffix("-sig"), sign, broken, point)
    return replace(source, codec="utf-8") if codec.startswith("utf-8") else source


def dictionary(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int32]]:
    """Distinct values and, per row, the place of its value, -1 where it is missing."""
    import pyarrow as pa

    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), [])
    codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    values = whole.dictionary.to_pylist()
    for empty in (None, ""):  # a missing value may also stand in the dictionary
        if empty in values:
            codes = np.where(codes == values.index(empty), -1, codes).astype(np.int32)
    return [v or f"(empty {place})" for place, v in enumerate(values)], codes


def not_a_number(name: str, value: str, decimal: Decimal = "point") -> str:
    """What to say of text where a number should be, with a hint where its spelling explains it."""
    text = f"Column `{name}` should hold numbers, but holds {_shown(value, 40)}"
    if re.fullmatch(r"[+-]?\d+,\d+", value) and decimal == "point" and not re.fullmatch(r"[+-]?\d{1,3},\d{3}", value):
        return f"{text}: a decimal comma. Choose decimal comma for this file."
    if re.fullmatch(r"[+-]?\d{1,3}([,. '\u00a0\u202f]\d{3})+([.,]\d+)?", value):
        return f"{text}: a thousands separator. Write numbers without one, or choose decimal comma if it is one."
    if re.fullmatch(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}.*|\d{1,2}\.\d{1,2}\.\d{4}.*", value):
        return f"{text}: a date. List the column among the dates to have it read as day numbers."
    if re.fullmatch(r"[+-]?[\d.,]+ ?[%$€£¥]|[$€£¥] ?[\d.,]+", value):
        return f"{text}: a number with a unit. Write the number alone."
    return f"{text}. Treat the column as categorical, or clean it."


def _listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(f"`{n}`" for n in names[:most]) + (" ..." if len(names) > most else "")


def _shown(value: str, most: int) -> str:
    return repr(value if len(value) <= most else value[: most - 3] + "...")


def _line(error: object) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _stream(path: Path, form: Form) -> Any:
    import pyarrow as pa

    return pa.input_stream(str(path), compression="gzip" if form == "gzip" else None)


def _selected(batches: Any, keep: NDArray[np.int64]) -> pa.Table:
    """Rows with these numbers, without holding the others."""
    import pyarrow as pa

    found, start = [], 0
    for batch in batches:
        a, b = np.searchsorted(keep, (start, start + batch.num_rows))
        found.append(batch.take(pa.array(keep[a:b] - start)))
        start += batch.num_rows
    return pa.Table.from_batches(found, schema=batches.schema)


def _chunks(path: Path, form: Form, size: int = _CHUNK) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") if form == "gzip" else path.open("rb") as file:
            while chunk := file.read(size):
                yield chunk
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} is damaged: {_line(error)}. Pack or upload it again.") from error


@lru_cache(maxsize=16)
def _survey(path: Path, form: Form, _changed: int, _size: int) -> tuple[str, int, bool]:
    """Encoding, number of rows, and whether cells hold line breaks: two passes, once for each state of a file."""
    return _find_codec(path, form), *_count(path, form)


def _find_codec(path: Path, form: Form) -> str:
    """UTF-8 (also with a byte order mark) and UTF-16 by nature; else GBK if it makes sense as Chinese; else Latin-1."""
    first = next(_chunks(path, form, 4))
    if first[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    if _decodes(path, form, "utf-8"):
        return "utf-8-sig"
    if _seems_chinese(next(_chunks(path, form))) and _decodes(path, form, "gb18030"):
        return "gb18030"
    return "cp1252" if _decodes(path, form, "cp1252") else "latin-1"


def _decodes(path: Path, form: Form, codec: str) -> bool:
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        for chunk in _chunks(path, form):
            # Plain ASCII needs no decoding, and most tables are that.
            if not (chunk.isascii() and codec == "utf-8" and not decoder.getstate()[0]):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _seems_chinese(chunk: bytes) -> bool:
    """In GBK nearly all bytes above 127 stand in pairs within the common characters; in Latin-1 they stand alone."""
    runs = re.findall(rb"[\x80-\xff]+", chunk)
    high = sum(map(len, runs))
    common = sum(2 * len(re.findall(rb"[\xa1-\xf7][\xa1-\xfe]", run)) for run in runs if len(run) > 1)
    return high > 0 and common / high > 0.9


def _decoded_start(path: Path, form: Form, codec: str) -> str:
    raw = next(_chunks(path, form, _HEAD))
    try:
        text = codecs.getincrementaldecoder(codec)().decode(raw)
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not written in the chosen encoding. Choose another, or auto.") from error
    return text.removeprefix("\ufeff")


def _records(text: str, separator: str, most: int = 200) -> list[list[str]]:
    """The first records; the last may be cut off and is left out where there are more."""
    csv.field_size_limit(_LONGEST_CELL)
    found: list[list[str]] = []
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if record:
                found.append(record)
            if len(found) > most:
                break
    except csv.Error:
        pass
    return found[:-1] if len(found) > 2 and len(text) > _HEAD // 4 else found


def _find_separator(text: str, path: Path) -> str:
    """The sign that cuts most records into the same number of cells as the first, more cells being better."""
    best, best_score = "", (0.0, 0)
    for sign in SEPARATORS.values():
        records = _records(text, sign)
        if not records or len(records[0]) < 2:
            continue
        share = sum(len(r) == len(records[0]) for r in records) / len(records)
        if (round(share, 1), len(records[0])) > best_score:
            best, best_score = sign, (round(share, 1), len(records[0]))
    if not best and not text.strip():
        raise DataError(f"{path.name} is empty: it holds nothing but blanks.")
    return best or ","


def _find_decimal(text: str, separator: str) -> Literal["point", "comma"]:
    """A comma if a column holds numbers like 3,14 throughout and none holds numbers like 3.14.

    Three digits behind every comma are no evidence: 1,234 may be a thousand.
    """
    if separator == ",":
        return "point"
    _, *records = _records(text, separator) or [[]]
    found = {",": False, ".": False}
    for cells in zip_longest(*records, fillvalue=""):
        values = {cell.strip() for cell in cells} - set(NULLS)
        for sign in found:
            numbers = [re.fullmatch(rf"[+-]?\d+(?:{re.escape(sign)}(\d+))?", value) for value in values]
            found[sign] |= all(numbers) and any(n is not None and len(n[1] or "123") != 3 for n in numbers)
    return "comma" if found[","] and not found["."] else "point"


def _header(text: str, separator: str, path: Path) -> tuple[str, ...]:
    """Column names from the first record.

    Raises:
        DataError: one column only, a name twice, numbers in place of names.
    """
    records = _records(text, separator)
    if not records:
        raise DataError(f"{path.name} is empty: it holds nothing but blanks.")
    names = [name.strip() for name in records[0]]
    _check_names(names, path)
    if all(_is_number(name) for name in names):
        raise DataError(
            f"The first line of {path.name} should name the columns, but holds numbers. Add a line of names."
        )
    return tuple(name or f"column {place}" for place, name in enumerate(names, start=1))


def _check_names(names: Sequence[str], path: Path) -> None:
    if len(names) == 1:
        raise DataError(
            f"{path.name} has one column only, `{_shown(names[0], 40)[1:-1]}`: a table needs features and a label. "
            f"If it has more, choose the separator."
        )
    if len(names) > MAX_COLUMNS:
        raise DataError(f"{path.name} has {len(names):,} columns; {MAX_COLUMNS:,} can be read. Leave some out.")
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            raise DataError(f"{path.name} has two columns called `{name}`. Rename one of them.")
        seen.add(name)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _count(path: Path, form: Form) -> tuple[int, bool]:
    """Rows below the first line, and whether a line ends inside quotes (an odd number of them so far)."""
    lines, inside, broken, last = 0, 0, False, b"\n"
    for chunk in _chunks(path, form):
        raw = np.frombuffer(chunk, np.uint8)
        ends = np.flatnonzero(raw == 10)
        if b'"' in chunk:
            # Quotes per line; the sum may wrap around at 256, which keeps it odd or even.
            counts = np.add.reduceat((raw == 34).view(np.uint8), np.concatenate([[0], ends]), dtype=np.uint8)
            odd = (np.cumsum(counts & 1) + inside) & 1
            broken = broken or bool(odd[:-1].any())
            lines += int((odd[:-1] == 0).sum())
            inside = int(odd[-1])
        else:
            lines += 0 if inside else len(ends)
            broken = broken or bool(inside and len(ends))
        last = chunk[-1:]
    rows = lines + (last != b"\n") - 1
    if rows < 1 and b"\r" in next(_chunks(path, form, _HEAD)).rstrip(b"\r\n"):
        rows = 1  # lines that end as on old Macs are not counted
    return rows, broken


def _first_rows(path: Path, form: Form, rows: int) -> bytes:
    """The file up to the end of about this many rows, never cut inside quotes."""
    found, lines = bytearray(), 0
    for chunk in _chunks(path, form, 2**20):
        found += chunk
        lines += chunk.count(b"\n")
        if lines > rows or len(found) > 4 * _LONGEST_CELL:
            break
    else:
        return bytes(found)
    raw = np.frombuffer(found, np.uint8)
    ends = np.flatnonzero(raw == 10)
    quotes = np.cumsum(np.add.reduceat((raw == 34).view(np.uint8), np.concatenate([[0], ends]), dtype=np.uint8) & 1)
    whole = ends[(quotes[:-1] & 1) == 0]
    return bytes(found[: int(whole[min(rows, len(whole) - 1)]) + 1]) if len(whole) else bytes(found)


def _open_parquet(path: Path) -> Source:
    import pyarrow as pa
    from pyarrow import parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path.name} is a damaged Parquet file: {_shown(_line(error), 120)}.") from error
    # pandas keeps its index as a column of this kind of name; it is no data.
    names = [n for n in schema.names if not re.fullmatch(r"__index_level_\d+__", n)]
    _check_names(names, path)
    if not rows:
        raise DataError(f"{path.name} has column names and no rows.")
    return Source(path, "parquet", tuple(names), rows)


def _parquet_column(path: Path, name: str, kind: Kind, keep: NDArray[np.int64] | None) -> pa.ChunkedArray:
    """One column, so that no two are held in the file's own, larger types."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            is_text = pa.types.is_string(file.schema_arrow.field(name).type)
        # Distinct texts are stored once in the file already: never spell them out per row.
        with pq.ParquetFile(path, read_dictionary=[name] if is_text and kind == "text" else None) as file:
            pieces = []
            start = 0
            for group in range(file.num_row_groups):
                piece = file.read_row_group(group, columns=[name]).column(name)
                if keep is not None:
                    a, b = np.searchsorted(keep, (start, start + len(piece)))
                    start += len(piece)
                    if a == b:
                        continue
                    piece = piece.take(pa.array(keep[a:b] - (start - len(piece)))) if b - a < len(piece) else piece
                pieces.append(as_text(piece) if kind == "text" else as_number(piece, name, kind))
                if keep is not None and start > keep[-1]:
                    break
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"Column `{name}` of {path.name} cannot be read: {_shown(_line(error), 120)}.") from error
    return pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks], type=pieces[0].type)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Any column as text with distinct values stored once; whole numbers without a decimal point."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.dictionary(pa.int32(), pa.string())
    kind = column.type
    if pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type):
        return column.cast(wanted)
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        texts = [
            pa.array([None if v is None else LIST_SIGN.join(map(str, v)) for v in c.to_pylist()]) for c in column.chunks
        ]
        return pa.chunked_array(texts, type=pa.string()).dictionary_encode()
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise DataError("A column holds records or bytes: only numbers, text, dates and lists can be read.")
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), None, column)
        whole = pc.all(pc.equal(column, pc.trunc(column))).as_py()
        if whole and (pc.max(pc.abs(column)).as_py() or 0) < 2**63:
            column = column.cast(pa.int64())
    return column.cast(pa.string()).dictionary_encode().cast(wanted)


def as_number(column: pa.ChunkedArray, name: str, kind: Kind) -> pa.ChunkedArray:
    """Numbers of any type; dates as days since 1970.

    Raises:
        DataError: it holds text or records.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = column.type
    if pa.types.is_dictionary(found):
        column = column.cast(found.value_type)
        found = column.type
    wanted = pa.float32() if kind == "number" else pa.float64()
    if pa.types.is_date(found) or pa.types.is_timestamp(found):
        stamps = (
            column.cast(pa.timestamp("us", tz=getattr(found, "tz", None)))
            .cast(pa.int64())
            .cast(pa.float64(), safe=False)
        )
        return pc.divide(stamps, 86_400e6).cast(wanted)
    if pa.types.is_decimal(found):
        column = column.cast(pa.float64())
    if pa.types.is_string(found) or pa.types.is_large_string(found):
        return _parsed(column, name).cast(wanted)
    if not (pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_boolean(found)
            or pa.types.is_decimal(found)):  # fmt: skip
        raise DataError(f"Column `{name}` holds {found}, not numbers: only numbers, text, dates and lists can be read.")
    return column.cast(wanted, safe=False)


def _parsed(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.if_else(pc.is_in(column, pa.array(NULLS)), None, column)
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid as error:
        bad = first_bad(column.drop_null().unique().to_pylist(), float)
        raise DataError(not_a_number(name, bad)) from error


def first_bad(values: Sequence[str], parse: Callable[[str], object]) -> str:
    """The first value that cannot be parsed."""
    for value in values:
        try:
            parse(value)
        except ValueError:
            return value
    return values[0] if values else ""
