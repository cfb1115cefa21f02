"""Small files become few, the rows stay what they were, and nobody who reads or exports meanwhile is disturbed."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from pipeline.database import AdvisoryLock, LockTakenError, advisory_lock
from pipeline.export.run import export
from pipeline.ingestion.conservation import conservation
from pipeline.ingestion.event_store import store
from pipeline.lake import compaction as lake_compaction
from pipeline.lake.commit import commit_rewrite
from pipeline.lake.compaction import FLOOR_BYTES, TARGET_BYTES, CompactionError, CompactionResult, choose, compact
from pipeline.lake.files import DayFiles
from pipeline.lake.rows import encode
from pipeline.lake.table import Lake, LakeError, LakeFile
from pipeline.refresh.lake_changes import added_files
from pipeline.settings import Settings
from tests.makers import NOW, add_experiment, assign, event_row, event_rows
from tests.pipeline.lake.lake_reading import lake_rows, row_groups

DAY = date(2026, 1, 1)


@dataclass(frozen=True)
class World:
    """A database and its lake."""

    database_url: str
    connection: psycopg.Connection
    settings: Settings

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake)

    def add(self, count: int, seed: int, days: int = 3) -> None:
        store(self.connection, event_rows(count, seed=seed, days=days))
        export(self.database_url, self.lake)

    def compact(self, *, whole_days: bool = False, target_bytes: int = TARGET_BYTES) -> CompactionResult:
        return compact(self.settings, self.database_url, self.lake, whole_days=whole_days, target_bytes=target_bytes)

    def files(self) -> list[LakeFile]:
        snapshot = self.lake.snapshot()
        return [] if snapshot is None else list(snapshot.files)


@pytest.fixture
def world(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> World:
    return World(database_url, connection, Settings(home=tmp_path))


def rich_rows(connection: psycopg.Connection) -> None:
    """Events of every kind of value: nulls and texts, users of two tenants, assignments, other scripts."""
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    add_experiment(connection, "é", {"a": 0.5, "b": 0.5})
    assign(connection, ["user_1", "user_2"], "é", "b", NOW - timedelta(days=9))
    for number in range(60):
        row = event_row(
            number,
            tenant_id="other" if number % 3 == 0 else "default",
            session_id=f"s_{number}" if number % 2 else None,
            sent_at=NOW if number % 5 == 0 else None,
            properties=json.dumps({"text": 'ü\\\n"日本', "number": number / 7}),
            context='{"source": "x"}' if number % 4 else "{}",
        )
        if number % 6 == 0:
            row = row._replace(assignments="[]", experiment_map='{"k": null, "n": 1}', assignment_version=3)
        store(connection, [row])


def test_a_day_of_small_files_becomes_one_sorted_file_with_the_same_rows(world: World) -> None:
    rich_rows(world.connection)
    export(world.database_url, world.lake)
    for seed in range(8):
        world.add(40, seed)
    before, files = lake_rows(world.lake), world.files()
    result = world.compact()
    assert lake_rows(world.lake) == before
    assert len(world.files()) == len({file.day for file in files}) == 4
    assert [day.files_before for day in result.days] == [8, 8, 8], "the fourth day had one file"
    assert sum(day.rows for day in result.days) + 60 == len(before)
    for file in world.files():
        (rows,) = row_groups(file.path)
        keys = list(
            zip(*(rows[name].to_pylist() for name in ("tenant_id", "anonymous_user_id", "occurred_at")), strict=True)
        )
        assert keys == sorted(keys)
    assert world.compact().days == ()
    assert conservation(world.settings, world.database_url, world.lake.snapshot()).problems == []


def test_files_are_written_as_those_of_an_export(world: World) -> None:
    world.add(50, 1)
    exported = pq.ParquetFile(world.files()[0].path)
    world.add(50, 2)
    world.compact()
    merged = pq.ParquetFile(world.files()[0].path)
    assert merged.schema.equals(exported.schema)
    assert merged.schema_arrow.equals(exported.schema_arrow)
    for name in range(merged.metadata.row_group(0).num_columns):
        ours, theirs = merged.metadata.row_group(0).column(name), exported.metadata.row_group(0).column(name)
        assert (ours.path_in_schema, ours.compression) == (theirs.path_in_schema, theirs.compression)
        assert ours.is_stats_set == theirs.is_stats_set
        assert ("PLAIN_DICTIONARY" in ours.encodings or "RLE_DICTIONARY" in ours.encodings) == (
            "PLAIN_DICTIONARY" in theirs.encodings or "RLE_DICTIONARY" in theirs.encodings
        )
    entry = newest_entry(world.lake)
    assert [json.loads(action["add"]["stats"]) for action in entry if "add" in action] == [
        {"numRecords": world.files()[-1].rows}
    ]


def newest_entry(lake: Lake) -> list[dict[str, dict[str, object]]]:
    path = sorted((Path(lake.location) / "_delta_log").glob("*.json"))[-1]
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_incremental_readers_see_no_new_rows_and_the_watermark_stays(world: World) -> None:
    world.add(30, 1)
    world.add(30, 2)
    before = world.lake.snapshot()
    assert before is not None
    after = world.compact().lake_version
    assert after is not None and after > before.version
    assert added_files(world.lake, before.version, after) == []
    assert {action["remove"]["dataChange"] for action in newest_entry(world.lake) if "remove" in action} == {False}
    now = world.lake.snapshot()
    assert now is not None and now.exported_xid == before.exported_xid
    world.add(5, 3)
    assert len(lake_rows(world.lake)) == 65


def test_readers_of_the_former_version_are_not_disturbed(world: World) -> None:
    world.add(30, 1)
    world.add(30, 2)
    before, rows = world.lake.snapshot(), lake_rows(world.lake)
    world.compact()
    assert before is not None and lake_rows(world.lake, before.version) == rows


def test_a_large_day_becomes_several_files_in_order(world: World) -> None:
    for seed in range(6):
        store(world.connection, event_rows(400, seed=seed, days=1, end=NOW - timedelta(seconds=1)))
        export(world.database_url, world.lake)
    rows = lake_rows(world.lake)
    size = sum(file.size for file in world.files())
    (day,) = world.compact(target_bytes=size // 4, whole_days=True).days
    assert day.files_before == 6
    assert 3 <= day.files_after < 6
    assert lake_rows(world.lake) == rows


def test_exports_before_and_after_the_table_was_read_are_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export commits while the compaction writes: both must be there."""
    world.add(30, 1)
    world.add(30, 2)
    write = lake_compaction._write

    def write_slowly(*arguments: object) -> object:
        written = write(*arguments)  # type: ignore[arg-type]
        world.add(1, uuid.uuid4().int % 1_000_000 + 100)
        return written

    monkeypatch.setattr(lake_compaction, "_write", write_slowly)
    added = len(world.compact().days)
    assert len(lake_rows(world.lake)) == 60 + added
    assert conservation(world.settings, world.database_url, world.lake.snapshot()).problems == []


def test_two_rewrites_of_one_file_do_not_double_its_rows(world: World) -> None:
    """delta-rs alone would commit both."""
    world.add(30, 1, days=1)
    world.add(30, 2, days=1)
    files = world.files()
    first, second = world.lake.table(), world.lake.table()
    assert first is not None and second is not None
    copies = DayFiles(Path(world.lake.location))
    for file in files:
        copies.append(file.day, encode(row_groups(file.path)[0]))
    new = copies.finish()
    commit_rewrite(world.lake, first, files, new, data_change=False)
    with pytest.raises(LakeError, match="nothing changed"):
        commit_rewrite(world.lake, second, files, [replace(file) for file in new], data_change=False)
    assert len(lake_rows(world.lake)) == 60


def test_only_one_process_rewrites_at_a_time(world: World) -> None:
    world.add(3, 1)
    with (
        psycopg.connect(world.database_url, autocommit=True) as other,
        advisory_lock(other, AdvisoryLock.LAKE_REWRITE),
        pytest.raises(LockTakenError, match="lake rewrite"),
    ):
        world.compact()


def test_merged_files_with_other_events_are_thrown_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add(30, 1, days=1)
    world.add(30, 2, days=1)
    before, on_disk = world.files(), files_on_disk(world.lake)
    monkeypatch.setattr(lake_compaction, "encode", lambda rows: encode(rows.slice(1)))
    with pytest.raises(CompactionError, match="nothing was changed"):
        world.compact()
    assert (world.files(), files_on_disk(world.lake)) == (before, on_disk)


def files_on_disk(lake: Lake) -> set[Path]:
    return set(Path(lake.location).glob("day=*/*.parquet"))


def test_an_empty_installation_has_nothing_to_compact(world: World) -> None:
    assert (world.compact().days, world.compact().lake_version) == ((), None)


def file(size: int, number: int = 0) -> LakeFile:
    return LakeFile(f"{number}.parquet", DAY, 1, size)


def test_a_late_event_does_not_rewrite_its_day() -> None:
    day = [file(40 * FLOOR_BYTES), *(file(5_000, number) for number in range(1, 4))]
    assert [chosen.size for chosen in choose(day)] == [5_000] * 3
    assert choose(day[:2]) == []
    assert len(choose(day, whole_days=True)) == 4


def test_a_day_of_exports_every_five_minutes_becomes_one_file() -> None:
    assert len(choose([file(150_000, number) for number in range(288)])) == 288


def test_files_of_full_size_are_left_alone() -> None:
    assert choose([file(TARGET_BYTES, 1), file(TARGET_BYTES, 2)], whole_days=True) == []
    assert choose([file(TARGET_BYTES // 2 + 1, 1), file(TARGET_BYTES // 2 + 1, 2)]) == []


@given(st.integers(0, 2**32))
def test_trickling_events_cost_a_logarithm_of_rewrites_and_leave_few_files(seed: int) -> None:
    chance = random.Random(seed)
    files: list[LakeFile] = []
    arrived = rewritten = 0
    for night in range(200):
        size = chance.choice((2_000, 50_000, 3_000_000))
        files.append(file(size, night))
        arrived += size
        chosen = choose(files)
        if chosen:
            merged = sum(part.size for part in chosen)
            rewritten += merged
            files = [part for part in files if part not in chosen] + [file(merged, 1_000 + night)]
    assert len(files) < 16
    assert rewritten < 12 * arrived + 200 * 2 * FLOOR_BYTES


def test_settings_of_rows_that_carry_objects_survive(world: World) -> None:
    """experiment_map is the one nested column: empty, with nulls, and with texts that are no ASCII."""
    maps = [{}, {"a": "1"}, {"ä": None, "b": "日本"}, {"n": 3}]
    for number, value in enumerate(maps * 3):
        world.connection.execute(
            "INSERT INTO event_logs (event_id, anonymous_user_id, event_name, occurred_at, experiment_map)"
            " VALUES (%s, 'u', 'e', %s, %s)",
            [uuid.UUID(int=number), NOW, Jsonb(value)],
        )
        export(world.database_url, world.lake)
    before = lake_rows(world.lake)
    world.compact()
    assert lake_rows(world.lake) == before
    assert len(world.files()) == 1
