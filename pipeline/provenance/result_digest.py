"""A digest of published rows: the same for a staged result, for rows read back, and for a computation repeated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

Key = tuple[Any, ...]
Row = dict[str, Any]
JSON_COLUMNS = ("dimensions",)


def rows_of(columns: Sequence[str], table: pa.Table) -> list[Row]:
    """Return a result's rows as they are when read back from Postgres."""
    values = [table.column(name).to_pylist() for name in columns]
    return [plain(dict(zip(columns, row, strict=True))) for row in zip(*values, strict=True)]


def plain(row: Mapping[str, Any]) -> Row:
    """Return a row with JSON texts parsed and whole decimals as integers."""
    return {name: _plain(name, value) for name, value in row.items()}


def digest(rows: Iterable[Row]) -> str:
    """Return the SHA-256 of rows, as hexadecimal digits, whatever their order."""
    lines = sorted(json.dumps(row, sort_keys=True, ensure_ascii=False, default=_text) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def first_difference(key: Sequence[str], computed: Iterable[Row], published: Iterable[Row]) -> str | None:
    """Return a sentence about the first row, in order of key, that differs; None when none does."""
    ours = {tuple(row[name] for name in key): row for row in computed}
    theirs = {tuple(row[name] for name in key): row for row in published}
    for place in sorted(ours.keys() | theirs.keys(), key=lambda parts: tuple(str(part) for part in parts)):
        if ours.get(place) != theirs.get(place):
            name = "/".join(str(part) for part in place)
            was, found = _shown(key, theirs.get(place)), _shown(key, ours.get(place))
            return f"{name} was published as {was}, repeated it is {found}"
    return None


def _plain(name: str, value: Any) -> Any:  # noqa: ANN401 - any column
    if name in JSON_COLUMNS and isinstance(value, str):
        return json.loads(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _text(value: object) -> str:
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a published row")


def _shown(key: Sequence[str], row: Row | None) -> str:
    if row is None:
        return "no row"
    return ", ".join(f"{name} {value}" for name, value in row.items() if name not in key and value is not None)
