"""Reads rows from Parquet, CSV and NDJSON files as one kind of record, in bounded memory.

Owns formats, not meaning: a record has a column's text, number, time or NULL as the file gives it, and JSON columns as
JSON text (exactly as written, so that no number loses digits). Rows that cannot be read at all become records with a
problem, never an exception: the rest of the file counts.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FORMATS = ("parquet", "csv", "ndjson")
SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}
PARQUET_BATCH_ROWS = 5_000
LONGEST_CSV_FIELD = 64 * 2**20
LONGEST_LINE = 64 * 2**20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ImportFileError(Exception):
    """The file as a whole cannot be imported."""


class Record(NamedTuple):
    """One row of a file: its line (Parquet: its row number), both from 1, its columns, or why it cannot be read."""

    line: int
    values: Mapping[str, Any]
    problem: str | None = None


class Reader(Protocol):
    """An open file: its records in order, and how much of it has been read so far."""

    def records(self) -> Iterator[Record]:
        """Yield every row of the file."""

    def progress(self) -> tuple[int, int]:
        """Return what was read and the total, in bytes or rows."""


def format_of(path: Path, wanted: str | None = None) -> str:
    """Return the format of a file: the one wanted, else by its ending (`.gz` aside). Raises ImportFileError."""
    if wanted is not None:
        if wanted not in FORMATS:
            raise ImportFileError(f"unknown format {wanted!r}; use one of: {', '.join(FORMATS)}")
        return wanted
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = suffixes[-2:-1] if suffixes[-1:] == [".gz"] else suffixes[-1:]
    if not last or last[0] not in SUFFIXES:
        raise ImportFileError(f"{path}: cannot tell the format from the name; add --format parquet, csv or ndjson")
    return SUFFIXES[last[0]]


@contextmanager
def open_reader(
    path: Path, file_format: str, json_columns: frozenset[str], required: Sequence[str] = ()
) -> Iterator[Reader]:
    """Open a file for reading.

    Raises ImportFileError when it is not of that format or lacks a required column (CSV and Parquet name theirs once;
    of NDJSON each row tells), OSError when it is unreadable.
    """
    if file_format == "parquet":
        try:
            with pq.ParquetFile(path) as file:
                _check_columns(path, file.schema_arrow.names, required)
                yield ParquetReader(file, json_columns)
        except pa.ArrowException as error:
            raise ImportFileError(f"{path}: not readable as Parquet: {error}") from error
        return
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if compressed else raw
        size = path.stat().st_size
        try:
            if file_format == "csv":
                csv_reader = CsvReader(stream, raw, size)
                _check_columns(path, csv_reader.header, required)
                yield csv_reader
            else:
                yield NdjsonReader(stream, raw, size, json_columns)
        except (gzip.BadGzipFile, EOFError) as error:
            raise ImportFileError(f"{path}: the gzip file is damaged or cut off: {error}") from error


@dataclass(frozen=True)
class NdjsonReader:
    """One JSON object per line; empty lines do not count."""

    stream: IO[bytes] | gzip.GzipFile
    raw: IO[bytes]
    size: int
    json_columns: frozenset[str]

    def records(self) -> Iterator[Record]:
        """Yield every row of the file."""
        decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        line = 0
        while text := self.stream.readline(LONGEST_LINE):
            line += 1
            if line == 1:
                text = text.removeprefix(BYTE_ORDER_MARK)
            if not text.strip():
                continue
            try:
                text.decode("utf-8")
                columns = decode(text)
                yield Record(line, {name: self._value(name, raw) for name, raw in columns.items()})
            except UnicodeDecodeError as error:
                yield Record(line, {"raw": text.decode("utf-8", "replace")}, f"the line is not UTF-8: {error.reason}")
            except (msgspec.DecodeError, RecursionError) as error:
                yield Record(line, {"raw": text.decode("utf-8", "replace")}, f"the line is not a JSON object: {error}")

    def progress(self) -> tuple[int, int]:
        """Return the bytes read and the file's size."""
        return self.raw.tell(), self.size

    def _value(self, name: str, raw: msgspec.Raw) -> object:
        data = bytes(raw)
        if name in self.json_columns and data[:1] in (b"{", b"["):
            return data.decode()
        if data[:1] in (b"{", b"["):
            return json.loads(data)
        return msgspec.json.decode(data)


class CsvReader:
    """A header line, then rows; quoted fields may span lines; an empty field is NULL."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, raw: IO[bytes], size: int) -> None:
        csv.field_size_limit(LONGEST_CSV_FIELD)
        self._raw = raw
        self._size = size
        self._text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._rows = csv.reader(self._text, strict=True)
        self.header = next(self._rows, [])

    def records(self) -> Iterator[Record]:
        """Yield every row of the file, with the line it begins on."""
        rows, header = self._rows, self.header
        while True:
            line = rows.line_num + 1
            try:
                fields = next(rows)
            except StopIteration:
                break
            except csv.Error as error:
                yield Record(line, {}, f"the row is not CSV: {error}")
                continue
            if not fields:
                continue
            if len(fields) != len(header):
                problem = f"the row has {len(fields)} fields, the header has {len(header)}"
                yield Record(line, {"raw": fields}, problem)
                continue
            yield Record(line, {name: field or None for name, field in zip(header, fields, strict=True)})

    def progress(self) -> tuple[int, int]:
        """Return the bytes read and the file's size."""
        return self._raw.tell(), self._size


class ParquetReader:
    """Rows of a Parquet file; JSON columns as text, structs, lists or maps."""

    def __init__(self, file: pq.ParquetFile, json_columns: frozenset[str]) -> None:
        self._file = file
        self._json_columns = json_columns
        self._row = 0

    def records(self) -> Iterator[Record]:
        """Yield every row of the file, with its row number."""
        maps = {field.name for field in self._file.schema_arrow if pa.types.is_map(field.type)}
        for batch in self._file.iter_batches(batch_size=PARQUET_BATCH_ROWS):
            table = pa.table({name: _microseconds(batch[name]) for name in batch.schema.names})
            for values in table.to_pylist():
                self._row += 1
                try:
                    yield Record(self._row, {name: self._value(name, values[name], maps) for name in values})
                except (TypeError, ValueError) as error:
                    yield Record(self._row, {"raw": repr(values)}, f"a nested value has no JSON form: {error}")

    def progress(self) -> tuple[int, int]:
        """Return the rows read and the file's rows."""
        return self._row, self._file.metadata.num_rows

    def _value(self, name: str, value: object, maps: set[str]) -> object:
        if name not in self._json_columns or value is None or isinstance(value, str):
            return value
        plain = dict(value) if name in maps and isinstance(value, list) else value
        return json.dumps(plain, allow_nan=False, ensure_ascii=False, default=_plain)


def _check_columns(path: Path, names: Sequence[str], required: Sequence[str]) -> None:
    if not names:
        raise ImportFileError(f"{path}: is empty; it needs a header line with the column names")
    if len(set(names)) < len(names):
        raise ImportFileError(f"{path}: names a column twice")
    for name in required:
        if name not in names:
            raise ImportFileError(f"{path}: has no column {name}; it has: {', '.join(names)}")


def _microseconds(column: pa.Array) -> pa.Array:
    """Cut times to microseconds; a time without a zone is UTC."""
    if pa.types.is_timestamp(column.type):
        zone = column.type.tz
        cut = pc.cast(column, pa.timestamp("us", tz=zone), safe=False)
        return pc.cast(cut, pa.timestamp("us", tz="UTC"))
    return column


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} {value!r}")
