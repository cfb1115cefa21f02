"""The export: every finished event once, in one commit; whatever else is going on."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars
import psycopg
import pyarrow.dataset
import pytest
from deltalake import DeltaTable
from psycopg.rows import dict_row

from pipeline.export.run import SourceChangedError, export
from pipeline.ingestion.event_store import store
from pipeline.lake.table import Lake, LakeSnapshot
from pipeline.settings import REPOSITORY
from tests.makers import NOW, event_row, event_rows


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "a lake")


def newest(lake: Lake) -> LakeSnapshot:
    snapshot = lake.snapshot()
    assert snapshot is not None
    return snapshot


def read(lake: Lake) -> list[dict[str, Any]]:
    """Every row of the newest version, in order of event_id."""
    table = pyarrow.dataset.dataset(newest(lake).paths()).to_table()
    return table.sort_by("event_id").to_pylist(maps_as_pydicts="strict")


def event_ids(lake: Lake) -> Counter[str]:
    return Counter(row["event_id"] for row in read(lake))


def test_an_empty_log_makes_no_table(database_url: str, lake: Lake) -> None:
    result = export(database_url, lake)
    assert (result.rows, result.days, result.lake_version) == (0, (), None)
    assert lake.snapshot() is None


def test_new_events_are_appended_in_one_version(database_url: str, connection: psycopg.Connection, lake: Lake) -> None:
    store(connection, [event_row(number) for number in range(10)])
    first = export(database_url, lake)
    store(connection, [event_row(number) for number in range(5, 15)])
    second = export(database_url, lake)
    assert (first.rows, first.lake_version) == (10, 0)
    assert (second.rows, second.lake_version) == (5, 1)
    assert second.rows_by_day == {NOW.date(): 5}
    assert (second.lo, newest(lake).exported_xid) == (first.hi, second.hi)
    assert event_ids(lake) == Counter(event_row(number).event_id for number in range(15))
    earlier = lake.snapshot(0)
    assert earlier is not None
    assert (earlier.rows(), earlier.exported_xid) == (10, first.hi)


def test_nothing_new_makes_no_version(database_url: str, connection: psycopg.Connection, lake: Lake) -> None:
    store(connection, [event_row()])
    export(database_url, lake)
    again = export(database_url, lake)
    assert (again.rows, again.days, again.lake_version) == (0, (), 0)


def test_days_are_utc_dates_of_occurrence_in_any_year(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    moments = [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2026, 2, 18, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 2, 19, tzinfo=UTC),
        datetime(2026, 2, 19, tzinfo=UTC) - timedelta(microseconds=1),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ]
    store(connection, [event_row(number, occurred_at=moment) for number, moment in enumerate(moments)])
    result = export(database_url, lake)
    assert result.rows_by_day == {
        date(1970, 1, 1): 1,
        date(2026, 2, 18): 2,
        date(2026, 2, 19): 1,
        date(9999, 12, 31): 1,
    }
    snapshot = newest(lake)
    assert snapshot.days() == list(result.days)
    assert snapshot.rows(date(2026, 2, 18), date(2026, 2, 19)) == 3
    assert all("day=2026-02-18" in path for path in snapshot.paths(date(2026, 2, 18), date(2026, 2, 18)))
    assert sorted(row["occurred_at"] for row in read(lake)) == sorted(moments)


def test_every_value_survives_the_journey(database_url: str, connection: psycopg.Connection, lake: Lake) -> None:
    full = event_row(
        1,
        anonymous_user_id="usér 🐸\t\"'",
        session_id="séance",
        install_id="",
        platform=None,
        occurred_at=NOW + timedelta(microseconds=1),
        sent_at=NOW - timedelta(microseconds=1),
        properties='{"big": 123456789012345678901234567890, "exact": 0.1000000000000000000001, "text": "日本 🎉"}',
        context='{"nested": {"list": [1, null, "two"]}}',
        assignment_version=7,
        assignments='[{"experiment_id": "e", "variant_id": "é", "variant_name": "n"}]',
        experiment_map='{"e": "é", "f": ""}',
        schema_version=3,
    )
    store(connection, [full, event_row(2, session_id=None, app_version=None)])
    export(database_url, lake)
    with connection.cursor(row_factory=dict_row) as cursor:
        stored = cursor.execute(
            "SELECT event_logs.*, event_id::text, properties::text, context::text, assignments::text"
            " FROM event_logs ORDER BY event_logs.event_id"
        ).fetchall()
    for row in stored:
        del row["ingest_xid"], row["stamp"]
    exported = read(lake)
    assert exported == stored
    assert [row["experiment_map"] for row in exported] == [{"e": "é", "f": ""}, {}]
    assert "123456789012345678901234567890" in exported[0]["properties"]
    assert "0.1000000000000000000001" in exported[0]["properties"]


def test_every_engine_reads_the_same_rows(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for seed in (1, 2):
        store(connection, event_rows(300, seed=seed))
        export(database_url, lake)
    snapshot = newest(lake)
    expected = sorted(event_ids(lake))
    assert len(expected) == snapshot.rows() == 600
    assert sorted(polars.scan_delta(lake.location).collect()["event_id"]) == expected
    assert sorted(polars.read_parquet(snapshot.paths())["event_id"]) == expected
    table = pyarrow.dataset.dataset(snapshot.paths(), partitioning="hive").to_table()
    assert sorted(table["event_id"].to_pylist()) == expected
    days = Counter(moment.date() for moment in table["occurred_at"].to_pylist())
    assert days == {day: snapshot.rows(day, day) for day in snapshot.days()}


def test_a_transaction_left_open_is_neither_skipped_nor_doubled(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    with psycopg.connect(database_url) as late:
        late.execute("SELECT pg_current_xact_id()")
        store(connection, [event_row(1)])
        assert export(database_url, lake).rows == 0
        with late.transaction():
            store(late, [event_row(2)])
        late.commit()
    assert export(database_url, lake).rows == 2
    assert export(database_url, lake).rows == 0
    assert event_ids(lake) == Counter({event_row(1).event_id: 1, event_row(2).event_id: 1})


def test_savepoints_and_rollbacks_leave_what_was_committed(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    with psycopg.connect(database_url) as writer:
        writer.execute("SELECT 1")
        store(writer, [event_row(1)])
        with pytest.raises(ZeroDivisionError), writer.transaction():
            store(writer, [event_row(2)])
            raise ZeroDivisionError
        writer.commit()
        writer.execute("SELECT 1")
        store(writer, [event_row(3)])
        writer.rollback()
    export(database_url, lake)
    assert event_ids(lake) == Counter({event_row(1).event_id: 1})


def test_four_exports_at_once_take_each_event_once(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    expected: Counter[str] = Counter()
    for round_number in range(5):
        rows = event_rows(200, seed=round_number)
        expected.update(row.event_id for row in rows)
        store(connection, rows)
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: export(database_url, lake), range(4)))
        assert sorted(result.rows for result in results) == [0, 0, 0, 200]
        assert {result.lake_version for result in results} <= {round_number, round_number - 1, None}
    assert event_ids(lake) == expected
    assert newest(lake).version == 4


def test_an_export_that_got_past_the_lock_is_refused(
    database_url: str, connection: psycopg.Connection, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(connection, [event_row(1)])
    export(database_url, lake)
    store(connection, [event_row(2)])
    stale = lake.table()
    export(database_url, lake)
    monkeypatch.setattr(lake, "table", lambda version=None: stale)
    with pytest.raises(Exception, match="nothing changed"):
        export(database_url, lake)
    monkeypatch.undo()
    assert event_ids(lake) == Counter({event_row(1).event_id: 1, event_row(2).event_id: 1})


def test_the_watermark_outlives_checkpoints_and_other_commits(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    for number in range(12):
        store(connection, [event_row(number)])
        export(database_url, lake)
    before = newest(lake)
    table = DeltaTable(str(lake.folder))
    table.optimize.compact()
    table.create_checkpoint()
    assert newest(lake).exported_xid == before.exported_xid
    assert export(database_url, lake).rows == 0
    assert newest(lake).rows() == 12
    assert len(newest(lake).paths()) == 1


def test_an_export_of_many_days_writes_one_file_a_day(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    rows = [event_row(number, occurred_at=NOW - timedelta(days=number % 400)) for number in range(1_200)]
    store(connection, rows)
    result = export(database_url, lake)
    assert (len(result.days), result.files, result.rows) == (400, 400, 1_200)


def test_many_chunks_and_row_groups_hold_every_row_once(
    database_url: str, connection: psycopg.Connection, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.export.arrow_transaction.BATCH_BYTES", 4_000)
    monkeypatch.setattr("pipeline.export.event_batches.CHUNK_BYTES", 30_000)
    monkeypatch.setattr("pipeline.lake.files.MAX_OPEN_ROW_GROUPS", 7)
    rows = event_rows(2_000, days=5)
    store(connection, rows)
    totals: list[int] = []
    result = export(database_url, lake, rows_written=totals.append)
    assert len(totals) > 5
    assert totals[-1] == result.rows == 2_000
    assert result.files > len(result.days)
    assert event_ids(lake) == Counter(row.event_id for row in rows)


def test_files_are_sorted_by_user_and_time(database_url: str, connection: psycopg.Connection, lake: Lake) -> None:
    store(connection, event_rows(500))
    export(database_url, lake)
    for path in newest(lake).paths():
        keys = polars.read_parquet(path).select("tenant_id", "anonymous_user_id", "occurred_at").rows()
        assert keys == sorted(keys)


def test_a_restore_with_foreign_transaction_ids_is_refused_and_repaired(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    store(connection, [event_row(1)])
    export(database_url, lake)
    connection.execute("SET session_replication_role = replica")
    connection.execute("UPDATE event_logs SET ingest_xid = '9000000000000'")
    connection.execute("SET session_replication_role = origin")
    store(connection, [event_row(2)])
    with pytest.raises(SourceChangedError, match="--rebuild"):
        export(database_url, lake)
    rebuilt = export(database_url, lake, rebuild=True)
    assert (rebuilt.rows, rebuilt.lake_version) == (2, 1)
    assert event_ids(lake) == Counter({event_row(1).event_id: 1, event_row(2).event_id: 1})
    store(connection, [event_row(3)])
    assert export(database_url, lake).rows == 1
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        connection.execute("UPDATE event_logs SET platform = 'ios'")


def test_another_database_is_not_mixed_into_the_lake(
    database_url: str, connection: psycopg.Connection, postgres_server: str, lake: Lake
) -> None:
    store(connection, [event_row(1)])
    export(database_url, lake)
    with pytest.raises(SourceChangedError, match="another database"):
        export(f"{postgres_server}/tidemark", lake)
    assert newest(lake).rows() == 1


def test_a_failed_export_leaves_no_files(database_url: str, connection: psycopg.Connection, lake: Lake) -> None:
    store(connection, event_rows(100))

    def fail(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(database_url, lake, rows_written=fail)
    assert lake.snapshot() is None
    assert list(Path(lake.location).rglob("*.parquet")) == []
    assert export(database_url, lake).rows == 100


def test_a_reader_of_one_version_is_not_disturbed_by_exports(
    database_url: str, connection: psycopg.Connection, lake: Lake
) -> None:
    store(connection, event_rows(100, seed=0))
    export(database_url, lake)
    paths = newest(lake).paths()
    stop = threading.Event()
    counts: set[int] = set()

    def keep_reading() -> None:
        with duckdb.connect() as engine:
            while not stop.is_set():
                row = engine.execute("SELECT count(*) FROM read_parquet(?)", [paths]).fetchone()
                assert row is not None
                counts.add(row[0])

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(keep_reading)
        for seed in range(1, 6):
            store(connection, event_rows(100, seed=seed))
            export(database_url, lake)
        stop.set()
        reading.result()
    assert counts == {100}


MEMORY_PROGRAM = """
import resource, sys
from pipeline.export.run import export
from pipeline.lake.table import Lake
export(sys.argv[1], Lake(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_does_not_follow_the_number_of_rows(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    def peak(rows: int) -> int:
        connection.execute("TRUNCATE event_logs")
        connection.execute(
            """
            INSERT INTO event_logs (event_id, anonymous_user_id, event_name, occurred_at, properties)
            SELECT gen_random_uuid(), 'user_' || i %% 9973, 'tab_opened',
                timestamptz '2026-01-01' + i %% 30 * interval '1 day',
                jsonb_build_object('text', repeat('x', 200), 'number', i)
            FROM generate_series(1, %s) AS i
            """,
            [rows],
        )
        done = subprocess.run(
            [sys.executable, "-c", MEMORY_PROGRAM, database_url, str(tmp_path / str(rows))],
            cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=200,
        )  # fmt: skip
        return int(done.stdout)

    assert peak(500_000) - peak(100_000) < 64 * 2**20


def test_more_stamps_than_are_kept_in_mind_are_still_told_apart(
    database_url: str, connection: psycopg.Connection, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.export.arrow_transaction.BATCH_BYTES", 4_000)
    monkeypatch.setattr("pipeline.export.event_batches.CHUNK_BYTES", 30_000)
    monkeypatch.setattr("pipeline.export.stamps.KNOWN_STAMPS", 5)
    wanted = {}
    rows = []
    for row in event_rows(1_000):
        variant = f"V{len(rows) % 41}"
        wanted[row.event_id] = (f'[{{"variant_id": "{variant}"}}]', {"exp": variant})
        rows.append(
            row._replace(assignments=wanted[row.event_id][0], experiment_map=json.dumps(wanted[row.event_id][1]))
        )
    store(connection, rows)
    export(database_url, lake)
    assert {row["event_id"]: (row["assignments"], row["experiment_map"]) for row in read(lake)} == wanted


def test_every_engine_filters_by_any_column(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> None:
    """Statistics in the log, if they are there for some columns only, make filters on the others find nothing."""
    lake = Lake(tmp_path / "lake")  # not the fixture: Polars cannot read a lake whose path has a space
    store(connection, event_rows(300, seed=5))
    export(database_url, lake)
    table = DeltaTable(lake.location)
    frame = polars.scan_delta(lake.location)
    for column in ("tenant_id", "anonymous_user_id", "event_name", "platform", "occurred_at"):
        value, rows = connection.execute(
            f"SELECT {column}, count(*) FROM event_logs GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1".encode()
        ).fetchone() or ("", 0)
        assert table.to_pyarrow_table(filters=[(column, "=", value)]).num_rows == rows, column
        assert frame.filter(polars.col(column) == value).collect().height == rows, column
