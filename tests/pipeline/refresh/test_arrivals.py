"""Arrivals: after every refresh, the counts by day of event and day of receipt are those of all events of the lake."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.erasure.person import Person
from pipeline.erasure.run import erase
from pipeline.ingestion.event_store import EventRow, store
from pipeline.lake.compaction import compact
from pipeline.refresh import arrivals
from pipeline.refresh.arrivals import count_arrivals
from pipeline.refresh.run import refresh
from tests.makers import NOW, event_rows
from tests.pipeline.rollups.rollup_world import World

AS_OF = NOW + timedelta(days=3)
Counts = dict[tuple[str, date, date], int]


@pytest.fixture
def world(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Iterator[World]:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('acme', 'test')")
    yield World(database_url, connection, tmp_path)


def wanted(rows: list[EventRow]) -> Counts:
    return dict(Counter((row.tenant_id, _day(row.occurred_at), _day(row.received_at)) for row in rows))


def _day(moment: datetime) -> date:
    assert moment.utcoffset() == timedelta(0)
    return moment.date()


def counted(world: World) -> Counts:
    rows = world.connection.execute(
        "SELECT tenant_id, occurred_day, received_day, events FROM arrival_counts WHERE events <> 0"
    )
    return {(tenant, occurred, received): events for tenant, occurred, received, events in rows}


def progress(world: World) -> tuple[str, int]:
    row = world.connection.execute("SELECT table_id, lake_version FROM arrival_progress").fetchone()
    assert row is not None
    return (row[0], row[1])


def some_events(seed: int) -> list[EventRow]:
    """Events of two tenants, delivered up to a day late, some of them on the last moment of a day."""
    rows = event_rows(60, seed=seed, days=4)
    rows += [row._replace(tenant_id="acme") for row in event_rows(40, seed=seed + 100, days=4)]
    midnight = NOW - timedelta(days=1)
    rows[0] = rows[0]._replace(occurred_at=midnight - timedelta(microseconds=1), received_at=midnight)
    return rows


def test_increments_add_up_to_a_count_of_everything(world: World) -> None:
    rows: list[EventRow] = []
    for seed in range(3):
        new = some_events(seed)
        rows += new
        store(world.connection, new + new[:10])
        refresh(world.settings, world.database_url, AS_OF)
        assert counted(world) == wanted(rows)
    compact(world.settings, world.database_url, world.lake, whole_days=True)
    refresh(world.settings, world.database_url, AS_OF)
    assert counted(world) == wanted(rows), "files that were only rewritten are not new"
    snapshot = world.lake.snapshot()
    assert snapshot is not None
    assert progress(world)[1] == snapshot.version
    world.connection.execute("UPDATE arrival_counts SET events = events + 1")
    refresh(world.settings, world.database_url, AS_OF)
    assert counted(world) != wanted(rows), "nothing new, nothing counted"
    refresh(world.settings, world.database_url, AS_OF, full=True)
    assert counted(world) == wanted(rows)


def test_a_count_that_was_killed_is_repeated_and_counts_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = some_events(1), some_events(2)
    store(world.connection, first)
    refresh(world.settings, world.database_url, AS_OF)
    store(world.connection, second)
    monkeypatch.setattr("pipeline.refresh.arrivals._add", _killed_after(monkeypatch))
    with pytest.raises(KeyboardInterrupt):
        refresh(world.settings, world.database_url, AS_OF)
    assert counted(world) == wanted(first)
    monkeypatch.undo()
    for _ in range(2):
        refresh(world.settings, world.database_url, AS_OF)
        assert counted(world) == wanted(first + second)


def _killed_after(monkeypatch: pytest.MonkeyPatch) -> object:
    done = arrivals._add

    def add(*given: object) -> None:
        done(*given)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    return add


def test_a_lake_that_was_made_anew_is_counted_anew(world: World) -> None:
    rows = some_events(3)
    store(world.connection, rows)
    refresh(world.settings, world.database_url, AS_OF)
    before = progress(world)
    shutil.rmtree(world.settings.lake)
    with scratch_folder(world.settings) as scratch, duckdb_engine(world.settings, scratch) as engine:
        count_arrivals(world.database_url, engine, world.lake, None)
    assert counted(world) == {}
    refresh(world.settings, world.database_url, AS_OF)
    assert counted(world) == wanted(rows)
    assert progress(world)[0] != before[0]


def test_who_is_erased_is_counted_no_more(world: World) -> None:
    rows = some_events(4)
    store(world.connection, rows)
    refresh(world.settings, world.database_url, AS_OF)
    erase(
        world.settings,
        world.database_url,
        Person("default", "user_3"),
        clock=lambda: AS_OF,
        drain=lambda moment: None,
        whole_server=False,
    )
    left = [row for row in rows if (row.tenant_id, row.anonymous_user_id) != ("default", "user_3")]
    assert len(left) < len(rows)
    assert counted(world) == wanted(left)
