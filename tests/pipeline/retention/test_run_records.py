"""Old records of runs go once no published row names them; nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from pipeline.database import AdvisoryLock, LockTakenError, advisory_lock
from pipeline.ingestion.event_store import store
from pipeline.retention.run_records import ForgottenRuns, forget_runs
from pipeline.rollups.jobs import JOBS, Window
from pipeline.settings import Settings
from tests.makers import NOW, event_rows
from tests.pipeline.rollups.rollup_world import World

DAYS = 30


def runs(world: World) -> set[UUID]:
    return {run_id for (run_id,) in world.connection.execute("SELECT run_id FROM rollup_runs").fetchall()}


def age(world: World, run_ids: set[UUID], days: int) -> None:
    """Let runs have begun so many days ago, and their files have been recorded then."""
    began = datetime.now(UTC) - timedelta(days=days)
    world.connection.execute("UPDATE rollup_runs SET started_at = %s WHERE run_id = ANY(%s)", [began, list(run_ids)])
    world.connection.execute("UPDATE lake_files SET recorded_at = %s", [began])


def publish(world: World, days: int = 3) -> set[UUID]:
    """Compute and publish every job; return the runs."""
    return {rollup.run_id for rollup in world.roll_up(Window.ending(NOW, days), NOW)}


def forget(world: World, *, dry_run: bool = False) -> ForgottenRuns:
    settings = Settings(home=world.settings.home, run_history_days=DAYS)
    return forget_runs(settings, world.database_url, datetime.now(UTC), dry_run=dry_run)


@pytest.fixture
def world(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> World:
    world = World(database_url, connection, tmp_path)
    store(connection, event_rows(200, seed=1, days=3, end=NOW))
    world.export()
    return world


def test_runs_without_a_row_go_after_their_time(world: World) -> None:
    first, second, third = publish(world), publish(world), publish(world)
    age(world, first, DAYS + 1)
    age(world, second, DAYS - 1)
    assert forget(world, dry_run=True).runs == len(JOBS)
    assert runs(world) == first | second | third
    assert forget(world).runs == len(JOBS)
    assert runs(world) == second | third
    kept = world.connection.execute("SELECT run_id FROM run_provenance").fetchall()
    assert {run_id for (run_id,) in kept} == second | third
    assert forget(world).runs == 0


def test_a_run_with_a_published_row_stays_however_old_it_is(world: World) -> None:
    older, newer = publish(world, days=3), publish(world, days=1)
    age(world, older, 10 * DAYS + 1)
    age(world, newer, 10 * DAYS)
    named = world.connection.execute("SELECT DISTINCT run_id FROM daily_metric_rollups").fetchall()
    assert {run_id for (run_id,) in named} & older
    forget(world)
    assert runs(world) >= newer | {run_id for (run_id,) in named}


def test_a_run_that_is_not_over_stays(world: World) -> None:
    old, shown = publish(world), publish(world)
    age(world, old | shown, 2 * DAYS)
    world.connection.execute("UPDATE rollup_runs SET status = 'RUNNING' WHERE run_id = ANY(%s)", [list(old)])
    assert forget(world).runs == 0


def test_the_record_of_a_file_goes_once_it_is_gone_and_unnamed(world: World) -> None:
    old = publish(world)
    age(world, old, 2 * DAYS)
    files = world.connection.execute("SELECT path FROM lake_files").fetchall()
    assert files
    world.connection.execute("DELETE FROM run_provenance")
    assert forget(world).files == 0, "the lake still has them: a run may read them again"
    for (path,) in files:
        (Path(world.settings.lake) / path).unlink()
    assert forget(world).files == len(files)


def test_two_at_a_time_are_refused(world: World, database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as other,
        advisory_lock(other, AdvisoryLock.PRUNE),
        pytest.raises(LockTakenError),
    ):
        forget(world)
