"""What an export does to columns on their way to the lake: encoded, sorted, split by day, and unchanged to a reader."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.export.run import export
from pipeline.ingestion.event_store import store
from pipeline.lake.schema import FILE_SCHEMA, OPTIONAL_COLUMNS
from pipeline.lake.table import Lake
from tests.makers import NOW, event_row, event_rows


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def paths(lake: Lake) -> list[str]:
    snapshot = lake.snapshot()
    assert snapshot is not None
    return snapshot.paths()


def rows_by_id(lake: Lake) -> dict[str, dict[str, Any]]:
    tables = [pq.read_table(path, partitioning=None) for path in paths(lake)]
    return {row["event_id"]: row for row in pa.concat_tables(tables).to_pylist(maps_as_pydicts="strict")}


def test_readers_see_plain_columns_and_no_zone_but_utc(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    store(connection, event_rows(200))
    export(database_url, lake)
    for path in paths(lake):
        schema = pq.read_schema(path)
        assert schema.names == FILE_SCHEMA.names
        for field in FILE_SCHEMA:
            written = schema.field(field.name)
            assert written.nullable == (field.name in OPTIONAL_COLUMNS)
            if pa.types.is_map(field.type):
                assert (written.type.key_type, written.type.item_type) == (pa.string(), pa.string())
            else:
                assert written.type == field.type


def test_columns_that_the_lake_calls_required_are_required_by_postgres(connection: psycopg.Connection) -> None:
    optional = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'event_logs' AND is_nullable = 'YES'"
    ).fetchall()
    assert {name for (name,) in optional} == set(OPTIONAL_COLUMNS)


def test_days_are_utc_days_also_before_1970_and_at_midnight(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    moments = [
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ]
    store(connection, [event_row(number, occurred_at=moment) for number, moment in enumerate(moments)])
    result = export(database_url, lake)
    assert list(result.days) == sorted(moment.date() for moment in moments)
    assert sorted(row["occurred_at"] for row in rows_by_id(lake).values()) == sorted(moments)


def test_rows_are_sorted_by_tenant_user_and_time_whatever_their_order(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('acme', 'Acme'), ('zoo', 'Zoo')")
    rows = [
        event_row(
            number,
            tenant_id=("zoo", "acme", "default")[number % 3],
            anonymous_user_id=f"user {number * 7 % 11}",
            occurred_at=NOW - timedelta(hours=number * 13 % 100, microseconds=number),
        )
        for number in range(600)
    ]
    store(connection, rows)
    export(database_url, lake)
    found = 0
    for path in paths(lake):
        keys = polars.read_parquet(path).select("tenant_id", "anonymous_user_id", "occurred_at").rows()
        assert keys == sorted(keys)
        found += len(keys)
    assert found == 600


def test_equal_assignments_with_different_maps_keep_their_own(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    rows = [
        event_row(
            number,
            assignments=json.dumps([{"variant_id": f"V{number % 3}"}]),
            experiment_map=json.dumps({f"experiment {number % 5}": None if number % 7 == 0 else f"V{number % 2}"}),
        )
        for number in range(500)
    ]
    store(connection, rows)
    export(database_url, lake)
    exported = rows_by_id(lake)
    assert len(exported) == 500
    for row in rows:
        assert exported[row.event_id]["assignments"] == row.assignments
        assert exported[row.event_id]["experiment_map"] == json.loads(row.experiment_map)


def test_texts_too_many_for_a_dictionary_are_kept(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    rows = [
        event_row(
            number, anonymous_user_id=f"{number:04d}" + "u" * 240, session_id=None if number % 3 else f"s{number}"
        )
        for number in range(6_000)
    ]
    store(connection, rows)
    export(database_url, lake)
    exported = rows_by_id(lake)
    assert len(exported) == 6_000
    for row in rows:
        found = exported[row.event_id]
        assert (found["anonymous_user_id"], found["session_id"]) == (row.anonymous_user_id, row.session_id)


def test_a_day_does_not_carry_the_texts_of_another(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    many = [event_row(number, anonymous_user_id=f"{number:040d}") for number in range(3_000)]
    store(connection, [*many, event_row(3_000, occurred_at=NOW - timedelta(days=1), anonymous_user_id="alone")])
    export(database_url, lake)
    sizes = {Path(path).parent.name: Path(path).stat().st_size for path in paths(lake)}
    day = (NOW - timedelta(days=1)).date()
    assert sizes[f"day={day}"] < 10_000
    column = pq.ParquetFile(next(path for path in paths(lake) if f"day={day}" in path)).metadata.row_group(0).column(2)
    assert column.total_uncompressed_size < 200
