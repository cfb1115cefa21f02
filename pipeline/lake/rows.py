"""Rows of the lake on their way from one file to another: read as any reader sees them, written as an export does."""

from __future__ import annotations

import pyarrow as pa

from pipeline.lake.schema import ENCODED_TEXT, WRITE_SCHEMA


def encode(rows: pa.Table) -> pa.Table:
    """Return rows (columns of FILE_SCHEMA, in any order) as DayFiles takes them: columns of WRITE_SCHEMA."""
    columns = [_encode(rows[field.name].combine_chunks(), field.type) for field in WRITE_SCHEMA]
    return pa.Table.from_arrays(columns, schema=WRITE_SCHEMA)


def _encode(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_map(wanted):
        plain = column.cast(pa.map_(pa.string(), pa.string()))
        offsets = plain.offsets  # starts anywhere in a slice; `keys` and `items` do not begin with it
        keys, items = plain.keys.dictionary_encode(), plain.items.dictionary_encode()
        return pa.MapArray.from_arrays(offsets, keys, items)
    if wanted == ENCODED_TEXT:
        return column.cast(pa.string()).dictionary_encode()
    return column.cast(wanted)
