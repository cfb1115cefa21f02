"""A lake with a generated history, written as the export writes it and without a database: days of 100,000 events."""

from __future__ import annotations

import hashlib
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa

from pipeline.lake.commit import commit
from pipeline.lake.files import DayFiles
from pipeline.lake.schema import ENCODED_TEXT, FILE_SCHEMA, REPEATING_COLUMNS, WRITE_SCHEMA
from pipeline.lake.table import Lake

SEED = 20_261_121
EVENTS_A_DAY = 100_000
JOINERS_A_DAY = 1_000
PEOPLE_BEFORE_DAYS = 365
STATEMENT = (Path(__file__).parent / "generate_day.sql").read_text(encoding="utf-8")


def write_history(lake: Lake, last: date, days: int, events_a_day: int, marks: dict[str, int]) -> None:
    """Write the days up to `last` in one commit that carries `marks`, as one file a day."""
    if lake.folder is None:
        raise SystemExit("the lake must be a folder")
    files = DayFiles(lake.folder)
    with generator() as engine:
        for number in range(days):
            day = last - timedelta(days=days - 1 - number)
            files.append(day, file_rows(generate(engine, day, number, events_a_day)))
    commit(lake, None, files.finish(), marks)


def generator() -> closing[duckdb.DuckDBPyConnection]:
    """Open the DuckDB that generates."""
    engine = duckdb.connect(":memory:")
    engine.execute("SET TimeZone = 'UTC'")
    return closing(engine)


def generate(
    engine: duckdb.DuckDBPyConnection,
    day: date,
    number: int,
    events: int,
    *,
    first_number: int = 0,
    joiners: int = JOINERS_A_DAY,
    late_share: float = 0.0,
    days_late: int = 14,
) -> pa.Table:
    """Return the rows of the history's day `number` (from 0): columns of the lake, and the number of the person."""
    parameters: dict[str, Any] = {
        "day": day, "day_number": number, "first_number": first_number, "events": events, "joiners": joiners,
        "seed": SEED, "late_share": late_share, "days_late": days_late,
    }  # fmt: skip
    return pa.table(engine.sql(STATEMENT, params=parameters).to_arrow_table())


def file_rows(rows: pa.Table) -> pa.Table:
    """Return generated rows as the writer of lake files wants them."""
    columns = []
    for field in FILE_SCHEMA:
        column = rows[field.name].combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0)
        if field.name == "experiment_map":
            column = pa.MapArray.from_arrays(
                column.offsets, column.keys.cast(pa.string()).dictionary_encode(),
                column.items.cast(pa.string()).dictionary_encode(),
            )  # fmt: skip
        elif field.name in REPEATING_COLUMNS:
            column = column.cast(pa.string()).dictionary_encode().cast(ENCODED_TEXT)
        else:
            column = column.cast(field.type)
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=WRITE_SCHEMA)


def people_of(first_number: int, last_number: int, joiners: int = JOINERS_A_DAY) -> range:
    """Return the numbers of the people who joined on the history's days from one to another."""
    return range((first_number + PEOPLE_BEFORE_DAYS) * joiners, (last_number + 1 + PEOPLE_BEFORE_DAYS) * joiners)


def name_of(person: int) -> str:
    """Return the anonymous_user_id of a person, as the statement makes it."""
    return str(UUID(hashlib.md5(f"person {person}".encode(), usedforsecurity=False).hexdigest()))


def variant_of(person: int) -> str:
    """Return the variant of the experiment `landing` that a person is in, as the statement makes it."""
    return "ABC"[person % 3]
