"""Turns batches of event rows from Postgres into sorted row groups of the lake, one per day.

Texts that repeat are dictionary-encoded as soon as they arrive: that halves the memory of a chunk, and sorting then
moves small integers instead of texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.export.stamps import Stamps
from pipeline.export.uuid_texts import uuid_texts
from pipeline.lake.schema import REPEATING_COLUMNS, WRITE_SCHEMA

# About 50,000 events: a chunk makes a row group of each of its days, and several chunks are in memory at a time.
CHUNK_BYTES = 16 * 2**20
# Of what comes as uuid and jsonb: the driver has types of its own for them.
PLAIN_TYPES = {"event_id": pa.binary(16), "properties": pa.string(), "context": pa.string()}
# A dictionary with fewer rows than this to each text is checked for texts of other days.
ROWS_PER_TEXT = 16


@dataclass(frozen=True)
class DayRows:
    """Rows of one UTC day, sorted by tenant, user and time; columns as in WRITE_SCHEMA."""

    day: date
    rows: pa.Table


def chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Gather batches (columns of `export/new_events`) into tables of bounded size, repeated texts encoded."""
    gathered: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        gathered.append(batch)
        size += batch.nbytes
        if size >= CHUNK_BYTES:
            yield _encode(gathered)
            size = 0
    if gathered:
        yield _encode(gathered)


def split_days(chunk: pa.Table, stamps: Stamps) -> Iterator[DayRows]:
    """Sort a chunk by day, tenant, user and time, and yield each UTC day's rows."""
    # Times are UTC: without the zone, Arrow need not look it up for each of them.
    days = chunk["occurred_at"].cast(pa.timestamp("us")).cast(pa.date32()).combine_chunks()
    order = pc.array_sort_indices(chunk["occurred_at"].cast(pa.int64()).combine_chunks())
    for key in (_rank(chunk["anonymous_user_id"]), _rank(chunk["tenant_id"]), days.cast(pa.int32())):
        # The sort is stable, and of small numbers it is one of counting: faster than comparing four columns.
        order = order.take(pc.array_sort_indices(key.take(order)))
    ordered = chunk.take(order)
    assignments, maps = stamps.columns(ordered)
    ordered = ordered.append_column("assignments", assignments).append_column("experiment_map", maps)
    event_ids = uuid_texts(ordered["event_id"].combine_chunks())
    ordered = ordered.set_column(ordered.schema.get_field_index("event_id"), "event_id", event_ids)
    start = 0
    for run in pc.value_counts(days.take(order)):
        count = run["counts"].as_py()
        part = ordered.slice(start, count)
        columns = [_own_texts(part[field.name]) for field in WRITE_SCHEMA]
        yield DayRows(run["values"].as_py(), pa.Table.from_arrays(columns, schema=WRITE_SCHEMA))
        start += count


def _encode(batches: list[pa.RecordBatch]) -> pa.Table:
    chunk = pa.Table.from_batches(batches)
    batches.clear()
    for position, name in enumerate(chunk.schema.names):
        column = chunk[name].cast(PLAIN_TYPES[name]) if name in PLAIN_TYPES else chunk[name]
        if name in REPEATING_COLUMNS or name == "stamp":
            column = column.dictionary_encode()
        chunk = chunk.set_column(position, name, column.combine_chunks())
    return chunk


def _own_texts(column: pa.ChunkedArray) -> pa.Array:
    """Return a column whose dictionary, if it has one, is not larger than its rows make it: it is written whole."""
    array = column.combine_chunks()
    if not isinstance(array, pa.DictionaryArray) or len(array.dictionary) * ROWS_PER_TEXT <= len(array):
        return array
    used = array.indices.dictionary_encode()
    return pa.DictionaryArray.from_arrays(used.indices, array.dictionary.take(used.dictionary))


def _rank(column: pa.ChunkedArray) -> pa.Array:
    encoded = column.combine_chunks()
    ranks = pc.rank(encoded.dictionary, sort_keys="ascending", tiebreaker="dense")
    return ranks.take(encoded.indices)
