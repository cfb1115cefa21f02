"""A backfill is published in stretches, goes on where it was interrupted, and names the days that failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.database import AdvisoryLock
from pipeline.export.run import export
from pipeline.ingestion.event_store import store
from pipeline.lake.table import Lake
from pipeline.rollups.backfill import DayFailure, backfill, is_unfinished
from pipeline.rollups.jobs import JOBS, Window, WindowError
from pipeline.rollups.run import RollupBusyError, roll_up
from pipeline.settings import REPOSITORY, Settings
from tests.makers import NOW, add_experiment, event_rows
from tests.waiting import wait_until

LAST = NOW.date()
DAYS = 20
FIRST = LAST - timedelta(days=DAYS - 1)
WINDOW = Window(FIRST, LAST)
PUBLISHED = (
    "SELECT day, metric_name, dimension_key, value, dimensions::text FROM daily_metric_rollups",
    "SELECT day, experiment_id, variant_id, metric_name, value, dimensions::text FROM experiment_metric_rollups",
    "SELECT day, step_name, dimension_key, users_count, events_count FROM funnel_rollups",
)
FAILING_DAY = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON funnel_rollups
FOR EACH ROW WHEN (NEW.day = '{day}') EXECUTE FUNCTION refuse();
"""


@pytest.fixture
def settings(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Settings:
    """An installation whose lake has events of every day."""
    add_experiment(connection, "exp", {"A": 1, "B": 1})
    store(connection, event_rows(400, days=DAYS))
    settings = Settings(home=tmp_path / "home")
    export(database_url, Lake(settings.lake))
    return settings


def published(connection: psycopg.Connection) -> list[list[tuple[Any, ...]]]:
    return [sorted(connection.execute(query.encode()).fetchall(), key=repr) for query in PUBLISHED]


def runs_per_day(connection: psycopg.Connection, first: date = FIRST) -> list[int]:
    """How often each day from `first` on was published by the funnel job."""
    spans = connection.execute(
        "SELECT window_start, window_end FROM rollup_runs WHERE status = 'SUCCESS' AND job_name = 'funnel_rollup'"
    ).fetchall()
    days = [first + timedelta(days=number) for number in range((LAST - first).days + 1)]
    return [sum(start.date() <= day < end.date() for start, end in spans) for day in days]


def test_the_stretches_together_publish_what_one_window_does(
    settings: Settings, database_url: str, connection: psycopg.Connection
) -> None:
    roll_up(settings, database_url, JOBS, WINDOW, NOW)
    expected = published(connection)
    connection.execute("TRUNCATE daily_metric_rollups, experiment_metric_rollups, funnel_rollups")
    told: list[tuple[int, int]] = []
    result = backfill(
        settings, database_url, WINDOW, NOW, stretch_days=7, days_done=lambda done, total: told.append((done, total))
    )
    assert published(connection) == expected
    assert all(rows for rows in expected)
    assert (result.resumed, result.failures) == (0, ())
    assert len(result.published) == len(JOBS) * 3
    assert told == sorted(told) and told[-1] == (DAYS, DAYS) and len(set(told)) >= 6
    assert not is_unfinished(settings, WINDOW, None)


def test_a_failing_day_is_named_and_undoes_no_other(
    settings: Settings, database_url: str, connection: psycopg.Connection
) -> None:
    roll_up(settings, database_url, JOBS, WINDOW, NOW)
    expected = published(connection)
    connection.execute("TRUNCATE daily_metric_rollups, experiment_metric_rollups, funnel_rollups")
    bad = FIRST + timedelta(days=11)
    connection.execute(FAILING_DAY.format(day=bad).encode())
    result = backfill(settings, database_url, WINDOW, NOW, stretch_days=8)
    assert result.failures == (DayFailure(bad, "funnel", "RaiseException: no room"),)
    daily, experiment, funnel = published(connection)
    assert (daily, experiment) == (expected[0], expected[1])
    assert funnel == [row for row in expected[2] if row[0] != bad]

    connection.execute("DROP TRIGGER refuse ON funnel_rollups")
    runs = runs_per_day(connection)
    again = backfill(settings, database_url, WINDOW, NOW, stretch_days=8)
    assert (again.resumed, again.failures) == (DAYS - 1, ())
    assert [run.job_name for run in again.published] == ["funnel_rollup"], "only what was missing is computed"
    assert published(connection) == expected
    assert runs_per_day(connection) == [count + (number == 11) for number, count in enumerate(runs)]


def test_a_backfill_that_ended_begins_anew_and_so_does_a_restart(
    settings: Settings, database_url: str, connection: psycopg.Connection
) -> None:
    assert backfill(settings, database_url, WINDOW, NOW).resumed == 0
    assert backfill(settings, database_url, WINDOW, NOW).resumed == 0
    assert runs_per_day(connection) == [2] * DAYS
    connection.execute(FAILING_DAY.format(day=FIRST).encode())
    assert len(backfill(settings, database_url, WINDOW, NOW).failures) == 1
    assert is_unfinished(settings, WINDOW, None)
    connection.execute("DROP TRIGGER refuse ON funnel_rollups")
    assert backfill(settings, database_url, WINDOW, NOW, restart=True).resumed == 0


def test_days_of_another_as_of_time_are_not_done(settings: Settings, database_url: str) -> None:
    connection = psycopg.connect(database_url, autocommit=True)
    with connection:
        connection.execute(FAILING_DAY.format(day=FIRST).encode())
        assert len(backfill(settings, database_url, WINDOW, NOW).failures) == 1
        later = NOW + timedelta(hours=1)
        assert not is_unfinished(settings, WINDOW, later)
        assert backfill(settings, database_url, WINDOW, NOW, as_of=later).resumed == 0
        assert backfill(settings, database_url, WINDOW, NOW, as_of=later).resumed == DAYS - 1


def test_a_day_that_grew_too_old_meanwhile_is_named(
    settings: Settings, database_url: str, connection: psycopg.Connection
) -> None:
    connection.execute(FAILING_DAY.format(day=FIRST).encode())
    assert len(backfill(settings, database_url, WINDOW, NOW).failures) == 1
    later = NOW + timedelta(days=170)
    (failure,) = backfill(settings, database_url, WINDOW, later).failures
    assert (failure.day, failure.job) == (FIRST, "funnel")
    assert "too old" in failure.error
    with pytest.raises(WindowError, match="too old"):
        backfill(settings, database_url, WINDOW, later, restart=True)


def test_what_fails_for_every_day_alike_ends_the_backfill_at_once(
    settings: Settings, database_url: str, connection: psycopg.Connection
) -> None:
    connection.execute("SELECT pg_advisory_lock(%s)", [int(AdvisoryLock.ROLLUP_FUNNEL)])
    with pytest.raises(RollupBusyError):
        backfill(settings, database_url, WINDOW, NOW, wait=False)
    connection.execute("SELECT pg_advisory_unlock(%s)", [int(AdvisoryLock.ROLLUP_FUNNEL)])
    with pytest.raises(psycopg.OperationalError):
        backfill(settings, database_url.rsplit("/", 1)[0] + "/nowhere", WINDOW, NOW)
    assert connection.execute("SELECT count(*) FROM rollup_runs WHERE status = 'SUCCESS'").fetchone() == (0,)


def command(home: Path, database_url: str) -> subprocess.Popen[str]:
    days = ("--from", str(FIRST), "--to", str(LAST), "--as-of", NOW.isoformat(), "--stretch-days", "2")
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "backfill", *days],
        cwd=REPOSITORY,
        env={**os.environ, "DATABASE_URL": database_url, "TIDEMARK_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_in_the_middle_it_goes_on_with_the_days_that_are_missing(
    settings: Settings, database_url: str, connection: psycopg.Connection
) -> None:
    def successes() -> int:
        row = connection.execute("SELECT count(*) FROM rollup_runs WHERE status = 'SUCCESS'").fetchone()
        return 0 if row is None else row[0]

    process = command(settings.home, database_url)
    wait_until(lambda: successes() >= 5 or process.poll() is not None, "some stretches", seconds=120)
    process.kill()
    process.communicate()
    assert process.returncode == -9, "it was killed before its end"
    before = runs_per_day(connection)
    assert 0 < sum(before) < DAYS
    done = command(settings.home, database_url)
    printed, said = done.communicate(timeout=120)
    assert done.returncode == 0, said
    answer = json.loads(printed)
    assert answer["ok"] is True and answer["failed"] == []
    assert 2 <= answer["days_published_before"] <= sum(before)
    assert f"{answer['days_published_before']} days are published" in said
    assert runs_per_day(connection) == [1] * DAYS, "no day is published twice"
    stitched = published(connection)
    roll_up(settings, database_url, JOBS, WINDOW, NOW)
    assert published(connection) == stitched


def test_the_command_ends_with_1_and_names_the_day_that_failed(
    settings: Settings, database_url: str, connection: psycopg.Connection
) -> None:
    bad = datetime.now(UTC).date() - timedelta(days=3)
    connection.execute(FAILING_DAY.format(day=bad).encode())
    done = subprocess.run(
        [sys.executable, "-m", "cli", "backfill", "--from", str(bad - timedelta(days=1)), "--to", str(bad)],
        cwd=REPOSITORY, env={**os.environ, "DATABASE_URL": database_url, "TIDEMARK_HOME": str(settings.home)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"failed: {bad} funnel: RaiseException: no room" in done.stderr
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert answer["failed"] == [{"day": str(bad), "job": "funnel", "error": "RaiseException: no room"}]
