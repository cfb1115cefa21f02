"""Staging and rolling up: windows, locks, failures, and runs that were interrupted."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from pipeline.database import advisory_lock, connect
from pipeline.rollups.jobs import JOBS, UnknownJobError, Window, WindowError, job_named
from pipeline.rollups.publish import OutdatedRollupError, UnfitRollupError, publish, verify
from pipeline.rollups.run import RollupBusyError, stage
from pipeline.rollups.staging import NotStagedError, load_staged
from pipeline.settings import REPOSITORY
from tests.makers import NOW
from tests.pipeline.rollups.oracle import Assignment, Event, History, expected
from tests.pipeline.rollups.rollup_world import World
from tests.waiting import wait_until

AS_OF = NOW + timedelta(hours=15)
WINDOW = Window.ending(AS_OF, 3)
DEADLINE_SECONDS = 60


def event(number: int, user: str, name: str = "session_submitted", **fields: object) -> Event:
    """An event at noon of the window's last day but one, unless `fields` say otherwise."""
    occurred_at = NOW - timedelta(hours=12) + timedelta(seconds=number)
    given = {"occurred_at": occurred_at, "received_at": occurred_at + timedelta(seconds=3), **fields}
    return Event(str(uuid.UUID(int=number + 1)), "default", user, name, **given)  # type: ignore[arg-type]


HISTORY = History(
    tenants=["default"],
    events=[
        event(1, "ann", experiment_map={"exp": "A"}),
        event(2, "ann", "app_opened", experiment_map={"exp": "A"}),
        event(3, "bob", "app_opened"),
        event(4, "eve", occurred_at=AS_OF + timedelta(minutes=6)),
    ],
    experiments={("default", "exp"): ("RUNNING", ["A", "B"])},
    assignments=[Assignment("default", "ann", "exp", "A", NOW), Assignment("default", "bob", "exp", "B", NOW)],
)


@pytest.fixture
def world(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Iterator[World]:
    world = World(database_url, connection, tmp_path)
    world.load(HISTORY)
    world.export()
    yield world


def test_a_window_ends_with_the_day_of_the_run() -> None:
    assert Window.ending(datetime(2026, 2, 19, 23, 59, tzinfo=UTC), 14) == Window(date(2026, 2, 6), date(2026, 2, 19))


@pytest.mark.parametrize("days", [0, 181, -1])
def test_a_window_outside_its_limits_is_refused(days: int) -> None:
    with pytest.raises(WindowError, match="1 to 180 days"):
        Window.ending(AS_OF, days)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [(date(2025, 8, 23), date(2025, 8, 24), "too old"), (date(2026, 2, 19), date(2026, 2, 20), "has not begun")],
)
def test_days_that_cannot_be_right_are_refused(world: World, first: date, last: date, message: str) -> None:
    with pytest.raises(WindowError, match=message):
        world.roll_up(Window(first, last), AS_OF)
    assert world.runs() == []


def test_an_unknown_job_is_refused(world: World) -> None:
    with pytest.raises(UnknownJobError, match="daily, experiment, funnel"):
        stage(world.settings, world.database_url, "weekly", WINDOW, AS_OF)


def test_a_deployment_without_events_publishes_zeros(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    world = World(database_url, connection, tmp_path)
    published = world.roll_up(WINDOW, AS_OF)
    assert [run.lake_version for run in published] == [None] * len(JOBS)
    world.assert_published(expected(History(["default"], [], {}, []), WINDOW.first, WINDOW.last, AS_OF))
    assert len(world.published("daily")) == 3 * 6


def test_the_same_run_twice_publishes_the_same_rows(world: World) -> None:
    first = world.roll_up(WINDOW, AS_OF)
    before = {job: world.published(job) for job in JOBS}
    second = world.roll_up(WINDOW, AS_OF)
    assert {job: world.published(job) for job in JOBS} == before
    assert [run.ignored_count for run in first + second] == [1] * 2 * len(JOBS)
    assert [run.rows_written for run in first] == [run.rows_written for run in second]
    assert {run.run_id for run in first}.isdisjoint({run.run_id for run in second})


def test_a_run_records_what_it_read_and_how(world: World) -> None:
    run = world.roll_up(WINDOW, AS_OF, ("daily",))[0]
    row = world.connection.execute(
        "SELECT status, window_start, window_end, as_of, lake_version, code_version, length(sql_sha256), rows_written,"
        " ignored_count, seconds > 0, finished_at >= started_at FROM rollup_runs WHERE run_id = %s",
        [run.run_id],
    ).fetchone()
    snapshot = world.lake.snapshot()
    assert snapshot is not None
    assert row == (
        "SUCCESS", WINDOW.start, WINDOW.end, AS_OF, snapshot.version, "0.1.0", 64, run.rows_written, 1, True, True,
    )  # fmt: skip


def test_stage_check_and_publish_can_be_separate_processes(world: World) -> None:
    staged = stage(world.settings, world.database_url, "funnel", WINDOW, AS_OF)
    assert world.published("funnel") == {}
    again = load_staged(world.settings, str(staged.run_id))
    assert again == staged
    assert verify(world.database_url, again) == ()
    published = publish(world.database_url, again)
    wanted = expected(HISTORY, WINDOW.first, WINDOW.last, AS_OF)
    assert world.published("funnel") == wanted.funnel
    assert published.ignored_count == wanted.ignored
    assert list(world.settings.staging.iterdir()) == []
    with pytest.raises(NotStagedError, match="compute it again"):
        load_staged(world.settings, staged.run_id)
    assert publish(world.database_url, again).rows_written == published.rows_written


def test_an_older_result_never_replaces_a_newer_one(world: World) -> None:
    older = stage(world.settings, world.database_url, "daily", WINDOW, AS_OF)
    world.add_events(event(9, "zoe"))
    world.export()
    newer = stage(world.settings, world.database_url, "daily", Window.ending(AS_OF, 1), AS_OF)
    publish(world.database_url, newer)
    with pytest.raises(OutdatedRollupError, match="superseded"):
        publish(world.database_url, older)
    assert [run[1] for run in world.runs()] == ["FAILED", "SUCCESS"]
    assert {key[1] for key in world.published("daily")} == {date(2026, 2, 19)}


def test_results_for_other_days_do_not_disturb_each_other(world: World) -> None:
    older = stage(world.settings, world.database_url, "daily", Window(WINDOW.first, WINDOW.first), AS_OF)
    publish(world.database_url, stage(world.settings, world.database_url, "daily", Window.ending(AS_OF, 1), AS_OF))
    publish(world.database_url, older)
    assert {key[1] for key in world.published("daily")} == {WINDOW.first, WINDOW.last}


def test_a_result_that_breaks_a_rule_is_not_published(world: World) -> None:
    world.roll_up(WINDOW, AS_OF)
    before = world.published("daily")
    staged = stage(world.settings, world.database_url, "daily", WINDOW, AS_OF)
    short = staged.rows.slice(1)
    broken = type(staged)(**{**staged.__dict__, "rows": short})
    with pytest.raises(UnfitRollupError, match="no row for default/2026-02-17/"):
        publish(world.database_url, broken)
    assert world.published("daily") == before
    assert world.runs()[-1][1] == "FAILED"
    assert "no row for" in world.runs()[-1][3]
    assert list(world.settings.staging.iterdir()) == []


def test_a_failure_while_computing_leaves_the_old_rows_and_a_failed_run(world: World) -> None:
    world.roll_up(WINDOW, AS_OF)
    before = {job: world.published(job) for job in JOBS}
    snapshot = world.lake.snapshot()
    assert snapshot is not None
    Path(snapshot.paths(WINDOW.first, WINDOW.last)[0]).unlink()
    with pytest.raises(Exception, match=r"No such file|No files found|not find"):
        world.roll_up(WINDOW, AS_OF)
    assert {job: world.published(job) for job in JOBS} == before
    assert world.runs()[-1][:2] == ("daily_metrics_rollup", "FAILED")
    assert world.runs()[-1][3]


def test_a_failure_while_publishing_leaves_the_old_rows_and_a_failed_run(world: World) -> None:
    world.roll_up(WINDOW, AS_OF)
    before = world.published("funnel")
    staged = stage(world.settings, world.database_url, "funnel", WINDOW, AS_OF)
    world.connection.execute(
        "ALTER TABLE funnel_rollups ADD CONSTRAINT refuse CHECK (step_name <> 'session_submitted') NOT VALID"
    )
    with pytest.raises(psycopg.errors.CheckViolation):
        publish(world.database_url, staged)
    assert world.published("funnel") == before
    assert world.runs()[-1][1] == "FAILED"


def test_a_second_rollup_of_a_job_waits_and_says_so(world: World) -> None:
    said: list[str] = []
    with connect(world.database_url, autocommit=True) as holder, advisory_lock(holder, job_named("daily").lock):
        thread = threading.Thread(target=world.roll_up, args=(WINDOW, AS_OF), kwargs={"say": said.append})
        thread.start()
        wait_until(lambda: said)
        assert world.runs() == []
    thread.join(DEADLINE_SECONDS)
    assert said == ["waiting for another daily rollup to end"]
    assert [run[1] for run in world.runs()] == ["SUCCESS"] * len(JOBS)


def test_a_second_rollup_of_a_job_can_refuse_to_wait(world: World) -> None:
    with (
        connect(world.database_url, autocommit=True) as holder,
        advisory_lock(holder, job_named("funnel").lock),
        pytest.raises(RollupBusyError, match="another funnel rollup is running"),
    ):
        world.roll_up(WINDOW, AS_OF, wait=False)


def test_rollups_at_once_end_with_one_of_them_published_whole(world: World) -> None:
    threads = [threading.Thread(target=world.roll_up, args=(WINDOW, AS_OF)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    assert [run[1] for run in world.runs()] == ["SUCCESS"] * 3 * len(JOBS)
    world.assert_published(expected(HISTORY, WINDOW.first, WINDOW.last, AS_OF))


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from pipeline.rollups.computation import Computation
from pipeline.rollups.jobs import Window
from pipeline.rollups.run import roll_up
from pipeline.settings import Settings
home, database_url, as_of = sys.argv[1:]
moment = datetime.fromisoformat(as_of)
roll_up(
    Settings(home=Path(home)), database_url, ["daily"], Window.ending(moment, 3), moment,
    step_done=lambda done, total: os.kill(os.getpid(), signal.SIGKILL),
)
"""


def test_a_killed_rollup_is_marked_by_the_next_one(world: World) -> None:
    arguments = [str(world.home), world.database_url, AS_OF.isoformat()]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=REPOSITORY, check=False, timeout=120)
    assert done.returncode == -9
    assert [run[1] for run in world.runs()] == ["RUNNING"]
    assert list(world.settings.spill.iterdir())
    world.roll_up(WINDOW, AS_OF)
    assert [run[1] for run in world.runs()] == ["FAILED", *["SUCCESS"] * len(JOBS)]
    assert "interrupted" in world.runs()[0][3]
    assert list(world.settings.spill.iterdir()) == []
    assert list(world.settings.staging.iterdir()) == []
    world.assert_published(expected(HISTORY, WINDOW.first, WINDOW.last, AS_OF))
