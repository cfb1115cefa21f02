"""Publication replaces a window whole: what vanished vanishes, what lies outside stays, readers never see a mix."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest

from pipeline.export.run import export
from pipeline.rollups.jobs import JOBS, Window
from tests.pipeline.rollups.oracle import History, expected
from tests.pipeline.rollups.rollup_world import World
from tests.pipeline.rollups.test_rollups import AS_OF, HISTORY, WINDOW, event

ONE_RUN_PER_WINDOW = {
    "daily": "SELECT count(DISTINCT run_id), count(*) FROM daily_metric_rollups",
    "experiment": "SELECT count(DISTINCT run_id), count(*) FROM experiment_metric_rollups",
    "funnel": "SELECT count(DISTINCT run_id), count(*) FROM funnel_rollups",
    "funnel_cohort": "SELECT count(DISTINCT run_id), count(*) FROM funnel_cohort_rollups",
    "retention": "SELECT count(DISTINCT run_id), count(*) FROM retention_rollups",
}


@pytest.fixture
def world(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Iterator[World]:
    world = World(database_url, connection, tmp_path)
    world.load(HISTORY)
    world.export()
    yield world


def test_a_row_whose_cause_vanished_vanishes(world: World) -> None:
    world.roll_up(WINDOW, AS_OF)
    key = ("default", date(2026, 2, 18), "event_volume_by_name", "app_opened")
    assert key in world.published("daily")
    world.connection.execute("DELETE FROM event_logs WHERE event_name = 'app_opened'")
    export(world.database_url, world.lake, rebuild=True)
    world.roll_up(WINDOW, AS_OF)
    assert key not in world.published("daily")
    kept = [e for e in HISTORY.events if e.name != "app_opened"]
    remaining = History(HISTORY.tenants, kept, HISTORY.experiments, HISTORY.assignments)
    world.assert_published(expected(remaining, WINDOW.first, WINDOW.last, AS_OF))


def test_rows_outside_the_window_stay_as_they_were(world: World) -> None:
    world.roll_up(Window.ending(AS_OF, 10), AS_OF)
    before = {job: world.published(job) for job in JOBS}
    world.add_events(event(50, "new", occurred_at=AS_OF - timedelta(days=5), received_at=AS_OF))
    world.export()
    world.roll_up(WINDOW, AS_OF)
    for job in JOBS:
        outside = {key: row for key, row in before[job].items() if key[1] < WINDOW.first}
        assert {key: row for key, row in world.published(job).items() if key[1] < WINDOW.first} == outside
    world.roll_up(Window.ending(AS_OF, 10), AS_OF)
    assert world.published("daily")["default", date(2026, 2, 14), "dau", "overall"] == (1.0, None)


def test_a_paused_experiment_goes_from_the_window_and_stays_outside(world: World) -> None:
    world.roll_up(Window.ending(AS_OF, 10), AS_OF)
    world.pause("exp")
    world.roll_up(WINDOW, AS_OF)
    days = {key[1] for key in world.published("experiment")}
    assert days == {WINDOW.first - timedelta(days=back) for back in range(1, 8)}


def test_rows_of_a_deleted_variant_go_from_the_window(world: World) -> None:
    world.roll_up(WINDOW, AS_OF)
    world.connection.execute("DELETE FROM experiment_variants WHERE variant_id = 'A'")
    world.roll_up(WINDOW, AS_OF)
    assert {key[3] for key in world.published("experiment")} == {"B"}


def test_events_of_a_tenant_that_does_not_exist_are_ignored(world: World) -> None:
    stray = event(60, "ann")
    world.connection.execute(
        "INSERT INTO event_logs (event_id, tenant_id, anonymous_user_id, event_name, occurred_at, experiment_map)"
        " VALUES (gen_random_uuid(), 'nobody', 'ann', 'app_opened', %s, '{\"exp\": \"A\"}')",
        [stray.occurred_at],
    )
    world.export()
    runs = world.roll_up(WINDOW, AS_OF)
    assert [run.ignored_count for run in runs] == [2] * len(JOBS)
    world.assert_published(expected(HISTORY, WINDOW.first, WINDOW.last, AS_OF))


def test_ids_with_colons_are_counted_and_of_two_with_one_key_the_first_stays(world: World) -> None:
    world.add_events(event(70, "eve", "app_opened", experiment_map={"a:b": "c", "a": "b:c", "x:y": "z"}))
    world.export()
    world.roll_up(WINDOW, AS_OF, ("funnel",))
    with psycopg.connect(world.database_url) as connection:
        rows = connection.execute(
            "SELECT dimension_key, experiment_id, variant_id, users_count FROM funnel_rollups"
            " WHERE dimension_key LIKE '%:%:%' ORDER BY dimension_key"
        ).fetchall()
    assert rows == [("a:b:c", "a", "b:c", 1), ("x:y:z", "x:y", "z", 1)]


def test_readers_see_the_old_window_or_the_new_one(world: World) -> None:
    window = Window.ending(AS_OF, 14)
    world.roll_up(window, AS_OF)
    stop = threading.Event()
    mixed: list[tuple[str, int, int]] = []
    sizes = {job: len(world.published(job)) for job in JOBS}
    reads = 0

    def read() -> None:
        nonlocal reads
        with psycopg.connect(world.database_url, autocommit=True) as connection:
            while not stop.is_set():
                for job, query in ONE_RUN_PER_WINDOW.items():
                    row = connection.execute(query.encode()).fetchone()
                    assert row is not None
                    if row != (1, sizes[job]):
                        mixed.append((job, *row))
                reads += 1

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(8):
            world.roll_up(window, AS_OF)
    finally:
        stop.set()
        reader.join(60)
    assert mixed == []
    assert reads > 8
