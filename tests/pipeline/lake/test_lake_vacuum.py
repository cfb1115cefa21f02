"""Old files go; whatever a version of the last days needs, and whatever may be in the making, stays."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.clock import utc_now
from pipeline.export.run import export
from pipeline.ingestion.event_store import store
from pipeline.lake.compaction import compact
from pipeline.lake.table import Lake, LakeError
from pipeline.lake.vacuum import VacuumedTable, vacuum
from pipeline.settings import Settings
from tests.makers import event_rows
from tests.pipeline.lake.lake_reading import lake_rows

HISTORY_DAYS = 7


@dataclass
class World:
    """A database and a lake whose files and log entries can be made older."""

    database_url: str
    connection: psycopg.Connection
    settings: Settings
    seed: int = 0

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake)

    @property
    def folder(self) -> Path:
        return Path(self.lake.location)

    def add(self) -> int:
        """Add some events and return the version that has them."""
        self.seed += 1
        store(self.connection, event_rows(20, seed=self.seed, days=2))
        version = export(self.database_url, self.lake).lake_version
        assert version is not None
        return version

    def compact(self) -> int:
        version = compact(self.settings, self.database_url, self.lake).lake_version
        assert version is not None
        return version

    def vacuum(self, now: datetime | None = None, *, dry_run: bool = False) -> VacuumedTable:
        result = vacuum(self.settings, self.database_url, self.lake, now or utc_now(), dry_run=dry_run)
        return next(table for table in result.tables if table.table == "events")

    def files(self) -> set[Path]:
        return set(self.folder.glob("day=*/*.parquet"))

    def age(self, days: float) -> None:
        """Let everything have happened some days earlier."""
        for path in self.files():
            written = path.stat().st_mtime - days * 86_400
            os.utime(path, (written, written))
        for path in (self.folder / "_delta_log").glob("*.json"):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            for action in lines:
                for kind, field in (("commitInfo", "timestamp"), ("remove", "deletionTimestamp")):
                    if kind in action:
                        action[kind][field] -= int(days * 86_400_000)
            path.write_text("\n".join(json.dumps(action) for action in lines))


@pytest.fixture
def world(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Iterator[World]:
    return World(database_url, connection, Settings(home=tmp_path, lake_history_days=HISTORY_DAYS))


def test_replaced_files_go_when_no_kept_version_has_them(world: World) -> None:
    world.add()
    replaced = world.add()
    rows = lake_rows(world.lake)
    newest = world.compact()
    assert world.vacuum().removed_files == 0
    world.age(HISTORY_DAYS + 1)
    listed = world.vacuum(dry_run=True)
    assert listed.removed_files > 0
    assert len(world.files()) == listed.kept_files + listed.removed_files
    assert world.vacuum().removed_files == listed.removed_files
    assert world.files() == {Path(path) for path in snapshot_paths(world.lake)}
    assert lake_rows(world.lake) == lake_rows(world.lake, newest) == rows
    with pytest.raises(LakeError, match=f"version {replaced} of the lake .* is no longer kept"):
        world.lake.snapshot(replaced)


def snapshot_paths(lake: Lake) -> list[str]:
    snapshot = lake.snapshot()
    return [] if snapshot is None else snapshot.paths()


def test_a_version_that_was_the_newest_within_the_time_is_kept_however_old_it_is(world: World) -> None:
    world.add()
    old = world.add()
    world.age(100)
    rows = lake_rows(world.lake)
    world.compact()  # now: until a moment ago, the old version was what everybody read
    assert world.vacuum().removed_files == 0
    assert lake_rows(world.lake, old) == rows
    world.age(HISTORY_DAYS - 0.1)
    assert world.vacuum().removed_files == 0
    world.age(0.2)
    assert world.vacuum().removed_files > 0


def test_what_a_killed_writer_left_goes_at_the_same_age_and_not_before(world: World) -> None:
    world.add()
    stray = next(iter(world.files())).with_name(f"{uuid.uuid4()}.parquet")
    stray.write_bytes(b"half a file")
    assert world.vacuum().removed_files == 0
    world.age(HISTORY_DAYS + 1)
    young = stray.with_name(f"{uuid.uuid4()}.parquet")
    young.write_bytes(b"an export is at it")
    result = world.vacuum()
    assert (result.removed_files, result.removed_bytes) == (1, len(b"half a file"))
    assert not stray.exists()
    assert young.exists()


def test_a_log_with_a_gap_stops_the_vacuum(world: World) -> None:
    world.add()
    world.add()
    third = world.add()
    world.compact()
    rows = lake_rows(world.lake)
    world.vacuum()  # writes a checkpoint, so that the table can be read without the entry
    (world.folder / "_delta_log" / f"{third:020d}.json").unlink()
    files = world.files()
    with pytest.raises(LakeError, match="nothing was removed"):
        world.vacuum()
    assert (world.files(), lake_rows(world.lake)) == (files, rows)


def test_the_watermark_and_the_numbers_of_rewrites_survive_the_checkpoint(world: World) -> None:
    world.add()
    world.add()
    world.compact()
    before = world.lake.snapshot()
    world.vacuum()
    for path in sorted((world.folder / "_delta_log").glob("*.json"))[:-1]:
        path.unlink()  # only the checkpoint is left to read from
    after = world.lake.snapshot()
    assert before is not None
    assert after is not None
    assert (after.exported_xid, after.paths()) == (before.exported_xid, before.paths())
    table = world.lake.table()
    assert table is not None
    assert table.transaction_version("rewrite") == 2
    world.add()
    assert len(lake_rows(world.lake)) == 60


def test_an_installation_without_a_lake(world: World) -> None:
    assert vacuum(world.settings, world.database_url, world.lake, utc_now()).tables == ()


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["add", "compact", "vacuum", "age"]), min_size=3, max_size=10))
def test_every_version_of_the_last_days_can_be_read_after_any_history(world: World, steps: list[str]) -> None:
    ages: dict[int, float] = {world.add(): 0.0}  # how long ago each version was replaced, in days; 0 for the newest
    rows = {version: lake_rows(world.lake, version) for version in ages}
    for step in steps:
        if step in {"add", "compact"}:
            version = world.add() if step == "add" else world.compact()
            snapshot = world.lake.snapshot()
            assert snapshot is not None
            for between in range(max(ages) + 1, snapshot.version + 1):
                ages[between] = 0.0
                rows[between] = lake_rows(world.lake, between)
            assert version == max(ages)
        elif step == "age":
            world.age(3)
            newest = max(ages)
            ages = {version: age + 3 * (version < newest) for version, age in ages.items()}
        else:
            world.vacuum()
        for version, age in ages.items():
            if age < HISTORY_DAYS:
                assert lake_rows(world.lake, version) == rows[version]
