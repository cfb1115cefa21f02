"""What analysts read: the exact files of one version, in every engine alike, and what cannot be read says why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import psycopg
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from pipeline.export.run import export
from pipeline.ingestion.event_store import EventRow, store
from pipeline.lake import open_lake
from pipeline.lake.reader import COLUMNS, Days, Events, LakeReader
from pipeline.lake.table import Lake, LakeError
from pipeline.settings import Settings
from tests.databases import migrated_database
from tests.makers import NOW, event_row

DAY = NOW.date()
DAY_BEFORE = DAY - timedelta(days=1)
MAP = '{"exp": "A"}'
HOME = "a home [1] 50%"


@dataclass(frozen=True)
class World:
    """A home whose lake has three versions: 6 events of two days; 2 late ones; 1 of another tenant."""

    home: Path
    database_url: str
    connection: psycopg.Connection

    @property
    def lake(self) -> LakeReader:
        return open_lake(self.home)

    def export(self, rows: Sequence[EventRow]) -> None:
        store(self.connection, rows)
        export(self.database_url, Lake(self.home / "lake"))


def row(number: int, day: date, **fields: Any) -> EventRow:
    at = datetime(day.year, day.month, day.day, 23, 30, number, tzinfo=UTC)
    return event_row(number, occurred_at=at, received_at=at, assignments="[]", experiment_map=MAP, **fields)


def fill(home: Path, database_url: str, connection: psycopg.Connection) -> World:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    made = World(home, database_url, connection)
    made.export([row(number, DAY_BEFORE if number < 4 else DAY) for number in range(6)])
    made.export([row(number, DAY_BEFORE) for number in (10, 11)])
    made.export([row(20, DAY, tenant_id="other")])
    return made


@pytest.fixture
def growing(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> World:
    """A world to export more into."""
    return fill(tmp_path / HOME, database_url, connection)


@pytest.fixture(scope="module")
def filled(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with migrated_database(postgres_server) as url, psycopg.connect(url, autocommit=True) as connection:
        yield fill(tmp_path_factory.mktemp("filled") / HOME, url, connection)


@pytest.fixture
def world(filled: World, tmp_path: Path) -> World:
    """A copy of the filled world, to do anything with but exporting."""
    shutil.copytree(filled.home, tmp_path / HOME)
    return replace(filled, home=tmp_path / HOME)


def ids(events: Events) -> list[str]:
    """The events' ids in each engine, which must agree."""
    found = {
        "duckdb": [str(value) for (value,) in events.duckdb(duckdb.connect()).select("event_id").fetchall()],
        "polars": events.polars().select("event_id").collect().get_column("event_id").to_list(),
        "arrow": events.arrow().to_table(columns=["event_id"]).column("event_id").to_pylist(),
    }
    assert sorted(found["duckdb"]) == sorted(found["polars"]) == sorted(found["arrow"])
    return sorted(found["duckdb"])


def expected(*numbers: int) -> list[str]:
    return sorted(event_row(number).event_id for number in numbers)


def test_a_version_holds_what_was_exported_until_then(world: World) -> None:
    assert ids(world.lake.at(0).events()) == expected(*range(6))
    assert ids(world.lake.at(1).events()) == expected(*range(6), 10, 11)
    assert ids(world.lake.at().events()) == ids(world.lake.events()) == expected(*range(6), 10, 11, 20)
    assert [world.lake.at(number).version for number in (0, 1, 2)] == [0, 1, 2]


def test_a_view_stays_what_it_was_while_more_is_exported(growing: World) -> None:
    view, events = growing.lake.at(), growing.lake.events()
    growing.export([row(30, DAY)])
    assert ids(events) == ids(view.events()) == expected(*range(6), 10, 11, 20)
    assert len(ids(growing.lake.events())) == 10


def test_a_time_means_the_newest_version_committed_until_then(world: World) -> None:
    versions = world.lake.versions()
    for version in versions:
        assert world.lake.at(time=version.committed_at).version == version.version
    just_before = versions[1].committed_at - timedelta(milliseconds=1)
    assert world.lake.at(time=just_before).version == 0
    assert world.lake.at(time=just_before.astimezone(ZoneInfo("Asia/Tokyo"))).version == 0
    assert world.lake.at(time=just_before.replace(tzinfo=None).isoformat()).version == 0
    with pytest.raises(LakeError, match="its oldest is version 0 of 20"):
        world.lake.at(time=versions[0].committed_at - timedelta(milliseconds=1))
    with pytest.raises(LakeError, match="'yesterday' is not an ISO 8601 time"):
        world.lake.at(time="yesterday")
    with pytest.raises(LakeError, match="not both"):
        world.lake.at(1, time="2026-01-01")


def test_times_survive_a_copy_of_the_lake(world: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(world.home / "lake", copy, copy_function=shutil.copyfile)
    assert open_lake(copy).versions() == world.lake.versions()
    assert ids(open_lake(copy).events()) == ids(world.lake.events())


def test_versions_say_what_each_changed(world: World) -> None:
    versions = world.lake.versions()
    assert [(version.version, version.rows_by_day, version.rows) for version in versions] == [
        (0, {DAY_BEFORE: 4, DAY: 2}, 6),
        (1, {DAY_BEFORE: 2}, 2),
        (2, {DAY: 1}, 1),
    ]
    assert [(version.files_added, version.files_removed) for version in versions] == [(2, 0), (1, 0), (1, 0)]
    assert versions == sorted(versions, key=lambda version: version.committed_at)
    assert world.lake.versions(newest=1) == versions[-1:]
    assert world.lake.versions(newest=9) == versions
    assert world.lake.versions(newest=0) == []


def test_a_rewrite_of_files_gains_no_rows_and_a_deletion_loses_some(world: World, tmp_path: Path) -> None:
    plain = world.home.rename(tmp_path / "plain")  # what deletes here cannot stand the other name
    table = DeltaTable(Lake(plain / "lake").location)
    table.optimize.compact()
    table.delete("tenant_id = 'other'")
    compacted, erased = open_lake(plain).versions(newest=2)
    assert (compacted.rows_by_day, compacted.files_removed) == ({}, 4)
    assert erased.rows_by_day == {DAY: -1}
    assert ids(open_lake(plain).events()) == expected(*range(6), 10, 11)


def test_versions_whose_log_is_gone_are_left_out(growing: World) -> None:
    lake = Lake(growing.home / "lake")
    table = lake.table()
    assert table is not None
    table.create_checkpoint()
    log = Path(lake.location) / "_delta_log"
    for number in (0, 1):
        (log / f"{number:020d}.json").unlink()
    growing.export([row(40, DAY), row(41, DAY)])
    oldest, newest = growing.lake.versions()
    assert (oldest.version, oldest.rows_by_day, oldest.rows) == (2, None, None)
    assert (newest.version, newest.rows_by_day) == (3, {DAY: 2})
    with pytest.raises(LakeError, match="has no version 1; it keeps 2 to 3"):
        growing.lake.at(1)
    with pytest.raises(LakeError, match="its oldest is version 2"):
        growing.lake.at(time=oldest.committed_at - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("days", "numbers"),
    [
        (None, (0, 1, 2, 3, 4, 5, 10, 11, 20)),
        (DAY, (4, 5, 20)),
        (str(DAY), (4, 5, 20)),
        ((DAY_BEFORE, DAY_BEFORE), (0, 1, 2, 3, 10, 11)),
        ((str(DAY_BEFORE), str(DAY)), (0, 1, 2, 3, 4, 5, 10, 11, 20)),
        ((None, DAY_BEFORE), (0, 1, 2, 3, 10, 11)),
        ((DAY, None), (4, 5, 20)),
        ((None, None), (0, 1, 2, 3, 4, 5, 10, 11, 20)),
        ("2001-01-01", ()),
    ],
)
def test_days_are_utc_days_of_occurrence_with_both_ends_included(
    world: World, days: Days | None, numbers: tuple[int, ...]
) -> None:
    events = world.lake.events(days)
    assert ids(events) == expected(*numbers)
    assert events.rows == len(numbers) == sum(file.rows for file in events.files())
    assert events.paths() == [file.path for file in events.files()]
    for file in events.files():
        assert Path(file.path).stat().st_size == file.size
        assert f"day={file.day}" in file.path


@pytest.mark.parametrize(
    ("days", "complaint"),
    [
        ("2026-02-30", "'2026-02-30' is not a day such as"),
        ("20260219", "is not a day such as"),
        (("2026-02-19", "tomorrow"), "'tomorrow' is not a day such as"),
        ((DAY, DAY_BEFORE), f"the first day {DAY} is after the last day {DAY_BEFORE}"),
        ((DAY,), "neither a day nor a pair"),
        (7, "neither a day nor a pair"),
        (NOW, "is not a day; give a date"),
    ],
)
def test_a_day_that_is_none_is_named(world: World, days: Any, complaint: str) -> None:
    with pytest.raises(LakeError, match=complaint):
        world.lake.events(days)


def test_a_tenant_sees_its_own_events(world: World) -> None:
    assert ids(world.lake.events(tenant="other")) == expected(20)
    assert ids(world.lake.events(tenant="default")) == expected(*range(6), 10, 11)
    assert ids(world.lake.events(tenant="o' OR true --")) == []
    assert ids(world.lake.events(days="2001-01-01", tenant="other")) == []


@pytest.mark.parametrize("days", [None, "2001-01-01"], ids=["with events", "without"])
def test_all_engines_see_the_same_columns_and_types(world: World, days: Days | None) -> None:
    events = world.lake.events(days)
    relation, frame, dataset = events.duckdb(duckdb.connect()), events.polars(), events.arrow()
    assert tuple(relation.columns) == tuple(frame.collect_schema().names()) == tuple(dataset.schema.names) == COLUMNS
    duck = dict(zip(relation.columns, map(str, relation.types), strict=True))
    assert (duck["day"], duck["occurred_at"]) == ("DATE", "TIMESTAMP WITH TIME ZONE")
    assert duck["experiment_map"] == "MAP(VARCHAR, VARCHAR)"
    assert frame.collect_schema()["day"] == pl.Date
    assert frame.collect_schema()["occurred_at"] == pl.Datetime("us", "UTC")
    assert dataset.schema.field("day").type == pa.date32()
    assert dataset.schema.field("experiment_map").type == pa.map_(pa.string(), pa.string())


def test_values_are_those_that_were_stored(world: World) -> None:
    events = world.lake.events(DAY, tenant="other")
    rows = events.arrow().to_table().to_pylist(maps_as_pydicts="strict")
    assert [(r["day"], r["anonymous_user_id"], r["experiment_map"], json.loads(r["properties"])) for r in rows] == [
        (DAY, "user_6", {"exp": "A"}, {})
    ]
    assert rows[0]["occurred_at"] == datetime(DAY.year, DAY.month, DAY.day, 23, 30, 20, tzinfo=UTC)
    assert events.duckdb(duckdb.connect()).select("experiment_map['exp']").fetchall() == [("A",)]


@pytest.mark.parametrize("columns", [["day", "event_name"], ["event_name", "tenant_id"], "event_name"])
def test_columns_come_in_the_order_asked_for(world: World, columns: list[str]) -> None:
    wanted = [columns] if isinstance(columns, str) else columns
    events = world.lake.events(columns=columns)
    assert events.duckdb(duckdb.connect()).columns == wanted
    assert events.polars().collect().columns == wanted
    assert events.arrow().to_table().column_names == wanted


@pytest.mark.parametrize("columns", [["day", "event_name"], ["event_name", "tenant_id"], "event_name"])
def test_a_tenant_and_columns_go_together(world: World, columns: list[str]) -> None:
    events = world.lake.events(tenant="other", columns=columns)
    assert len(events.duckdb(duckdb.connect()).fetchall()) == 1
    assert events.polars().collect().height == 1
    assert events.arrow().count_rows() == events.arrow().to_table().num_rows == 1


def test_unknown_columns_are_named(world: World) -> None:
    with pytest.raises(LakeError, match=r"columns: user_id, when; the lake has event_id, tenant_id, "):
        world.lake.events(columns=["event_name", "user_id", "when"])
    with pytest.raises(LakeError, match="none given"):
        world.lake.events(columns=[])


def test_the_default_connection_turns_times_into_utc_days(world: World) -> None:
    duckdb.default_connection().execute("SET TimeZone = 'Asia/Tokyo'")
    events = world.lake.events(DAY).duckdb()
    assert duckdb.sql("SELECT DISTINCT occurred_at::DATE FROM events").fetchall() == [(DAY,)]
    own = duckdb.connect()
    own.execute("SET TimeZone = 'Asia/Tokyo'")
    relation = world.lake.events(DAY).duckdb(own)
    assert relation.select("occurred_at::DATE").distinct().fetchall() == [(DAY + timedelta(days=1),)]
    assert relation.select("day").distinct().fetchall() == events.select("day").distinct().fetchall() == [(DAY,)]


def test_files_that_are_gone_are_missed_only_where_they_are_needed(world: World) -> None:
    events = world.lake.at(1).events(DAY_BEFORE)
    Path(events.paths()[0]).unlink()
    with pytest.raises(LakeError, match=f"version 1 .* from {DAY_BEFORE} to {DAY_BEFORE}: 1 of its files were removed"):
        world.lake.at(1).events()
    assert ids(world.lake.at(1).events(DAY)) == expected(4, 5)
    assert [version.version for version in world.lake.versions(newest=1)] == [2]


def test_the_lake_is_found_from_its_home_its_folder_its_table_and_its_url(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = world.home / "lake"
    for where in (world.home, str(lake), lake / "events", lake.as_uri(), Settings(home=world.home)):
        assert len(ids(open_lake(where).events())) == 9
    monkeypatch.setenv("TIDEMARK_HOME", str(world.home))
    assert open_lake().at().version == 2
    monkeypatch.chdir(world.home)
    assert open_lake(".").at().days() == [DAY_BEFORE, DAY]


def test_a_lake_that_is_not_there_yet_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"there is no lake at .*lake/events yet; `./tidemark export` makes it"):
        open_lake(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_lake_elsewhere_has_no_times() -> None:
    with pytest.raises(LakeError, match="this machine's disk"):
        open_lake("s3://bucket/lake").versions()
    with pytest.raises(LakeError, match="this machine's disk"):
        open_lake("s3://bucket/lake").at(time="2026-01-01")
