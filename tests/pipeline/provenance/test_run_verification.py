"""`verify`: a run is repeated from its record; a changed byte, a lost file and another result are found and named."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from pipeline import statements
from pipeline.lake.compaction import compact
from pipeline.provenance.input_files import kept_path
from pipeline.provenance.record import NotRecordedError, note_rewritten, read_record
from pipeline.provenance.run_verification import Verification, verify_run
from pipeline.refresh.run import refresh
from pipeline.rollups.checks import recompute
from pipeline.rollups.jobs import JOBS, Window, job_named
from pipeline.rollups.run import stage
from tests.makers import NOW
from tests.pipeline.rollups.oracle import Assignment, Event, History
from tests.pipeline.rollups.rollup_world import World

AS_OF = NOW + timedelta(hours=15)
WINDOW = Window.ending(AS_OF, 3)
DAY = timedelta(days=1)


def event(number: int, user: str, name: str = "session_submitted", days_ago: int = 0) -> Event:
    at = NOW - days_ago * DAY + timedelta(hours=1, seconds=number)
    return Event(str(uuid.UUID(int=number + 1)), "default", user, name, at, at + timedelta(seconds=3), {"exp": "A"})


HISTORY = History(
    tenants=["default"],
    events=[
        event(1, "ann"), event(2, "ann", "app_opened"), event(3, "bob", "app_opened", 1), event(4, "bob"),
        event(5, "eve", "exercise_logged", 2), event(6, "old", "app_opened", 30),
    ],
    experiments={("default", "exp"): ("RUNNING", ["A", "B"])},
    assignments=[
        Assignment("default", "ann", "exp", "A", NOW),
        Assignment("default", "eve", "exp", "B", NOW - 3 * DAY),
    ],
)  # fmt: skip


@pytest.fixture
def world(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Iterator[World]:
    world = World(database_url, connection, tmp_path)
    world.load(HISTORY)
    world.export()
    yield world


def run_of(world: World, job: str) -> UUID:
    return world.roll_up(WINDOW, AS_OF, (job,))[0].run_id


def verified(world: World, run_id: UUID) -> Verification:
    return verify_run(world.settings, world.database_url, run_id)


def files_of(world: World) -> list[Path]:
    snapshot = world.lake.snapshot()
    assert snapshot is not None
    return [Path(path) for path in snapshot.paths()]


def test_every_job_is_repeated_with_the_result_it_published(world: World) -> None:
    for published in world.roll_up(WINDOW, AS_OF):
        found = verified(world, published.run_id)
        assert (found.ok, found.verdict, found.problems, found.notes) == (True, "verified", (), ())
        assert found.files.intact > 0
        assert found.rows == published.rows_written > 0
        assert found.repeated_sha256 == found.recorded_sha256
    names = {job_named(job).run_name for job in JOBS}
    assert {run[0] for run in world.runs()} == names


@pytest.mark.parametrize(("share", "source"), [(0, "read_wanted_assignments"), (100, "read_assignments")])
def test_every_job_of_a_refresh_is_repeated_though_it_read_only_what_changed(
    world: World, monkeypatch: pytest.MonkeyPatch, share: int, source: str
) -> None:
    monkeypatch.setattr("pipeline.rollups.computation.ALL_ASSIGNMENTS_SHARE", share)
    refresh(world.settings, world.database_url, AS_OF)
    world.add_events(event(21, "zoe", days_ago=1), event(22, "zoe", "app_opened"), event(23, "ann", "app_opened", 2))
    refreshed = refresh(world.settings, world.database_url, AS_OF + timedelta(minutes=5))
    assert refreshed.published.keys() == set(JOBS)
    for job, published in refreshed.published.items():
        found = verified(world, published.run_id)
        assert (found.ok, found.verdict) == (True, "verified"), (job, found.problems)
        assert (found.notes, found.rows_replaced) == ((), 0)
    for job in ("experiment", "retention"):
        given = {i.name: i for i in read_record(world.connection, refreshed.published[job].run_id).inputs}
        assert given["assignments"].source == f"rollups/{source}"
    for path in (world.settings.lake / "users").glob("*.parquet"):
        path.unlink()
    found = verified(world, refreshed.published["daily"].run_id)
    assert (found.ok, found.verdict) == (True, "verified")
    assert "the users state it read is no longer kept" in found.notes[0]


def test_a_run_of_a_part_is_repeated_and_the_job_that_it_is_a_part_of_stands(world: World) -> None:
    refresh(world.settings, world.database_url, AS_OF)
    world.add_events(event(31, "eve", "app_opened", 7), event(32, "bob", days_ago=9))
    result = refresh(world.settings, world.database_url, AS_OF + timedelta(minutes=5))
    part = result.published["daily_cohorts"]
    assert (part.job_name, part.rows_written, part.ignored_count) == ("daily_cohorts_rollup", 2 * 2, 0)
    record = read_record(world.connection, part.run_id)
    assert {file.path.partition("/")[0] for file in record.files} == {"users"}
    assert record.newest_received_at is not None
    for published in result.published.values():
        assert verified(world, published.run_id).ok, published.job_name
    found = recompute(world.settings, world.database_url)
    assert [again.difference for again in found] == [None] * len(JOBS)
    row = "tenant_id = 'default' AND metric_name = 'new_users' AND day = %s"
    world.connection.execute(f"UPDATE daily_metric_rollups SET value = 9 WHERE {row}".encode(), [(NOW - DAY).date()])
    assert verified(world, part.run_id).verdict == "differs"


def test_a_run_records_its_files_statements_and_inputs(world: World) -> None:
    record = read_record(world.connection, run_of(world, "experiment"))
    assert [file.path for file in record.files] == sorted(kept_path(str(path)) for path in files_of(world))
    assert [file.size for file in record.files] == [path.stat().st_size for path in sorted(files_of(world))]
    assert record.newest_received_at == NOW + timedelta(hours=1, seconds=4 + 3)
    assert record.parameters["running_variants"] == [["default", "exp", "A"], ["default", "exp", "B"]]
    assert {"duckdb", "deltalake", "python", "pyarrow"} == record.engines.keys()
    kept = {given.name: given.contents is not None for given in record.inputs}
    assert kept == {"tenants": True, "days": True, "variants": True, "assignments": False}
    assert "rollups/new_users" in {step.name for step in record.steps}
    stored = "".join(record.texts.values()) + str(record.steps) + str(record.inputs) + str(record.parameters)
    assert "ann" not in stored.replace("channel", "")


def test_a_file_is_hashed_once(world: World) -> None:
    run_of(world, "daily")
    world.connection.execute("UPDATE lake_files SET sha256 = 'known already'")
    run_of(world, "funnel")
    assert world.connection.execute("SELECT DISTINCT sha256 FROM lake_files").fetchall() == [("known already",)]


def test_every_published_row_names_its_run(world: World) -> None:
    runs = {job_named(job).table: run for job, run in zip(JOBS, world.roll_up(WINDOW, AS_OF), strict=True)}
    for table, run in runs.items():
        query = f"SELECT run_id, count(*) FROM {table} GROUP BY 1"
        assert world.connection.execute(query.encode()).fetchall() == [(run.run_id, run.rows_written)]


def test_a_changed_byte_is_found_and_named(world: World) -> None:
    run_id = run_of(world, "daily")
    damaged = files_of(world)[1]
    original = damaged.read_bytes()
    middle = len(original) // 2
    damaged.write_bytes(original[:middle] + bytes([original[middle] ^ 1]) + original[middle + 1 :])
    found = verified(world, run_id)
    assert (found.ok, found.verdict) == (False, "input changed")
    assert found.files.changed == (kept_path(str(damaged)),)
    assert found.problems == (f"{kept_path(str(damaged))} is not the file that was read: its bytes have changed",)
    damaged.write_bytes(original)
    assert verified(world, run_id).ok


def test_a_missing_file_is_named(world: World) -> None:
    run_id = run_of(world, "daily")
    lost = files_of(world)[0]
    lost.rename(lost.with_suffix(".away"))
    found = verified(world, run_id)
    assert (found.ok, found.verdict, found.files.missing) == (False, "not repeatable", (kept_path(str(lost)),))
    lost.with_suffix(".away").rename(lost)
    assert verified(world, run_id).ok


def test_a_published_row_that_was_changed_is_named(world: World) -> None:
    run_id = run_of(world, "daily")
    world.connection.execute(
        "UPDATE daily_metric_rollups SET value = 7 WHERE metric_name = 'dau' AND day = %s", [WINDOW.last]
    )
    found = verified(world, run_id)
    assert (found.ok, found.verdict) == (False, "differs")
    assert found.problems == ("default/2026-02-19/dau/overall was published as value 7.0, repeated it is value 2.0",)


def test_rows_that_a_later_run_replaced_are_verified_by_their_digest(world: World) -> None:
    run_id = run_of(world, "daily")
    world.add_events(event(9, "zoe"))
    world.export()
    world.roll_up(Window.ending(AS_OF, 1), AS_OF, ("daily",))
    found = verified(world, run_id)
    assert (found.ok, found.rows_replaced > 0) == (True, True)
    world.connection.execute("UPDATE run_provenance SET result_sha256 = 'another'")
    assert "in rows that are no longer published" in verified(world, run_id).problems[0]


def test_other_statements_today_are_named_and_those_of_the_run_are_repeated(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = run_of(world, "funnel")
    changed = tmp_path / "sql"
    shutil.copytree(statements.SQL, changed)
    file = changed / "rollups" / "funnel_activity.sql"
    file.write_text(file.read_text().replace("sum(events)", "sum(events) + 1"))
    monkeypatch.setattr(statements, "SQL", changed)
    statements.statement.cache_clear()
    try:
        found = verified(world, run_id)
    finally:
        monkeypatch.undo()
        statements.statement.cache_clear()
    assert (found.ok, found.code_changed) == (True, ("rollups/funnel_activity",))
    assert "the code differs: other statements today are rollups/funnel_activity" in found.notes[0]


def test_a_recorded_text_that_was_changed_is_refused(world: World) -> None:
    run_id = run_of(world, "funnel")
    world.connection.execute("UPDATE statement_texts SET text = text || ' '")
    assert "is not the one that was run" in verified(world, run_id).problems[0]


def test_assignments_made_later_do_not_count_and_one_that_went_is_said(world: World) -> None:
    run_id = run_of(world, "experiment")
    world.connection.execute(
        "INSERT INTO assignments (anonymous_user_id, experiment_id, variant_id, assigned_at)"
        " VALUES ('bob', 'exp', 'B', %s)",
        [NOW + DAY],
    )
    assert verified(world, run_id).notes == ()
    world.connection.execute("UPDATE assignments SET variant_id = 'B' WHERE anonymous_user_id = 'ann'")
    assert verified(world, run_id).problems[0] == (
        "the assignments changed since: there are 2 as then, but not the same ones"
    )
    world.connection.execute("DELETE FROM assignments WHERE anonymous_user_id = 'ann'")
    found = verified(world, run_id)
    assert (found.ok, found.verdict) == (False, "input changed")
    assert found.problems[0] == "the assignments changed since: the run read 2 of them, now there are 1"


def test_files_merged_since_are_read_in_their_place(world: World) -> None:
    """A compaction: the newest day's rows in a new file, the old one removed by a vacuum."""
    world.add_events(event(11, "late", "app_opened"))
    world.export()
    run_id = run_of(world, "daily")
    merge_day(world)
    found = verified(world, run_id)
    assert (found.ok, found.verdict) == (True, "verified"), found.problems
    assert "the same rows of 1 days were read from their new files" in found.notes[-1]
    world.add_events(event(12, "later", "app_opened"))
    world.export()
    found = verified(world, run_id)
    assert (found.ok, found.verdict) == (False, "not repeatable")
    assert "events that came later for 2026-02-19" in found.problems[0]


def test_an_erasure_is_said_plainly(world: World) -> None:
    world.add_events(event(11, "late", "app_opened"))
    world.export()
    run_id = run_of(world, "daily")
    rewritten = files_of(world)[-1]
    merge_day(world)
    note_rewritten(world.connection, [str(rewritten)], "erasure 17")
    note_rewritten(world.connection, [str(rewritten)], "erasure 17")
    found = verified(world, run_id)
    assert (found.ok, found.verdict) == (False, "not repeatable")
    assert "its input was rewritten on purpose (erasure 17 on " in found.problems[0]
    assert kept_path(str(rewritten)) in found.problems[0]
    assert [rewrite.reason for rewrite in found.files.rewritten] == ["erasure 17"]


def test_a_home_that_moved_is_verified_where_it_is(world: World, tmp_path: Path) -> None:
    run_id = run_of(world, "daily")
    moved = tmp_path.parent / f"{tmp_path.name} moved"
    tmp_path.rename(moved)
    assert verified(World(world.database_url, world.connection, moved), run_id).ok


def test_what_published_nothing_has_nothing_to_verify(world: World) -> None:
    with pytest.raises(NotRecordedError, match="there is no run"):
        verified(world, uuid.UUID(int=1))
    staged = stage(world.settings, world.database_url, "daily", WINDOW, AS_OF)
    with pytest.raises(NotRecordedError, match="is RUNNING and published nothing"):
        verified(world, staged.run_id)


def merge_day(world: World) -> None:
    """Compact the lake, and remove the files that its newest version no longer has."""
    before = files_of(world)
    compact(world.settings, world.database_url, world.lake)
    for path in set(before) - set(files_of(world)):
        path.unlink()
