"""`explain`: the line it prints gives the published number, in a DuckDB that knows nothing of Tidemark."""

from __future__ import annotations

import math
import os
import random
import re
import subprocess
import uuid
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from pipeline.provenance import duckdb_line
from pipeline.provenance.explanation import Explanation, NotPublishedError, Question, UnknownMetricError, explain
from pipeline.rollups.jobs import Window
from pipeline.rollups.metric_definitions import METRICS
from pipeline.settings import REPOSITORY
from tests.makers import NOW
from tests.pipeline.rollups.oracle import Assignment, Event, History
from tests.pipeline.rollups.rollup_world import World

AS_OF = NOW + timedelta(hours=15)
WINDOW = Window.ending(AS_OF, 4)
SAMPLE = 60
NAMES = ("session_submitted", "app_opened", "workout_started", "exercise_logged", 'it\'s "odd" $1 $$\\\n\x01 -- é')
LAGS = (timedelta(hours=-1), timedelta(0), timedelta(microseconds=7), timedelta(seconds=90), timedelta(days=2))
HOUR = timedelta(hours=1)


def random_history(seed: int, events: int = 320) -> History:
    """Two tenants with the same users, events at and around the edges of days and of follow-up times."""
    chance = random.Random(seed)
    made = []
    first: dict[str, datetime] = {}
    for number in range(events):
        tenant = chance.choice(("default", "other"))
        user = chance.choice((*(f"user_{n}" for n in range(60)), ""))
        at = NOW - timedelta(seconds=chance.randrange(9 * 86_400)) + timedelta(days=1)
        anchor = first.setdefault(tenant + user, at)
        if chance.random() < 0.5:
            at = anchor + chance.choice((0, 24, 24, 168)) * HOUR + chance.choice((-1, 0, 1)) * timedelta(microseconds=1)
        stamps = {exp: chance.choice("AB") for exp in ("exp", "e:x") if chance.random() < 0.5}
        made.append(
            Event(
                str(uuid.UUID(int=number + 1)),
                tenant,
                user,
                chance.choices(NAMES, (6, 2, 2, 2, 2))[0],
                at,
                at + chance.choice(LAGS),
                stamps,
            )
        )
    assignments = [
        Assignment("default", f"user_{number}", "exp", chance.choice("AB"), NOW - chance.randrange(0, 96) * HOUR)
        for number in range(50)
    ]
    return History(["default", "other"], made, {("default", "exp"): ("RUNNING", ["A", "B"])}, assignments)


@pytest.fixture
def world(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Iterator[World]:
    world = World(database_url, connection, tmp_path / "a home's folder")
    world.load(random_history(5))
    world.export()
    world.roll_up(WINDOW, AS_OF)
    yield world


def questions(world: World) -> Iterator[tuple[Question, float]]:
    """Every published number, and how to ask for it."""
    for (tenant, day, metric, key), (value, _) in world.published("daily").items():
        dimension = key if metric == "event_volume_by_name" else None
        yield Question(metric, day, tenant, dimension=dimension), value
    for (tenant, day, experiment, variant, metric), (value, _) in world.published("experiment").items():
        yield Question(metric, day, tenant, experiment=experiment, variant=variant), value
    for (tenant, day, _, step, key), (_, _, users, events) in world.published("funnel").items():
        yield Question("users_count", day, tenant, dimension=key, step=step), users
        yield Question("events_count", day, tenant, dimension=key, step=step), events
    for (tenant, day, _, step, key), (*_, users, median, _, _) in world.published("funnel_cohort").items():
        yield Question("ordered_users_count", day, tenant, dimension=key, step=step), users
        if median is not None:
            yield Question("median_seconds", day, tenant, dimension=key, step=step), median
    for (tenant, day, after, key), (_, _, size, retained, _) in world.published("retention").items():
        yield Question("cohort_size", day, tenant, dimension=key, days_after=after), size
        yield Question("retained_users", day, tenant, dimension=key, days_after=after), retained
        yield Question("retention_rate", day, tenant, dimension=key, days_after=after), retained / size if size else 0


def asked(world: World, question: Question) -> Explanation:
    return explain(world.settings, world.database_url, question)


def run_line(line: str, folder: Path) -> float:
    """Run a line in a shell elsewhere, in another time zone, without this repository on the path."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "DATABASE_URL"}}
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder, env={**environment, "TZ": "Asia/Tokyo"}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return float(done.stdout)


def test_the_line_prints_the_published_value_for_every_metric(world: World, tmp_path: Path) -> None:
    """One number of each metric, the largest: a metric whose statement returns nothing cannot pass."""
    largest: dict[str, tuple[Question, float]] = {}
    for question, value in questions(world):
        if value >= largest.get(question.metric, (question, -1.0))[1]:
            largest[question.metric] = (question, value)
    assert largest.keys() == METRICS.keys()
    for question, value in largest.values():
        assert value > 0, question
        found = asked(world, question)
        assert found.value == value
        assert "\n" not in found.reproduce
        assert math.isclose(run_line(found.reproduce, tmp_path), value, rel_tol=1e-9), question


def test_the_query_gives_every_published_number(world: World) -> None:
    """Many numbers of a random lake, each by the query that its line holds, in one DuckDB with its defaults."""
    published = list(questions(world))
    chosen = random.Random(3).sample([each for each in published if each[1] > 0], SAMPLE)
    chosen += random.Random(4).sample([each for each in published if each[1] == 0], SAMPLE // 6)
    with duckdb.connect(":memory:") as stock:
        stock.execute("SET TimeZone = 'America/New_York'")
        for question, value in chosen:
            ((reproduced,),) = stock.execute(asked(world, question).query).fetchall()
            assert math.isclose(reproduced, value, rel_tol=1e-9), (question, value, reproduced)


def test_an_explanation_names_its_run_and_its_statement(world: World) -> None:
    found = asked(world, Question("dau", WINDOW.last))
    run = world.connection.execute(
        "SELECT DISTINCT run_id FROM daily_metric_rollups WHERE metric_name = 'dau'"
    ).fetchone()
    assert run == (found.run["run_id"],)
    snapshot = world.lake.snapshot()
    assert snapshot is not None
    assert found.lake_version == snapshot.version
    assert found.files == len(snapshot.paths(WINDOW.last, WINDOW.last))
    assert (found.unit, found.definition) == ("users", "distinct users with an event that day")
    assert found.sql.startswith("-- Distinct users")
    assert "$tenant_id" in found.sql
    assert "$tenant_id" not in found.query


def test_events_that_came_later_do_not_change_the_line(world: World, tmp_path: Path) -> None:
    question = Question("events_count", WINDOW.last, step="active_open")
    before = asked(world, question)
    at = NOW + HOUR
    world.add_events(Event(str(uuid.UUID(int=9_999)), "default", "late", "app_opened", at, at))
    world.export()
    after = asked(world, question)
    assert after.query == before.query
    assert run_line(after.reproduce, tmp_path) == before.value


def test_a_long_list_of_files_goes_to_a_file_beside_the_line(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = Question("new_users", WINDOW.last - timedelta(days=1))
    inline = asked(world, question)
    monkeypatch.setattr(duckdb_line, "LINE_LIMIT", 200)
    found = asked(world, question)
    assert len(found.reproduce) < len(inline.reproduce)
    assert run_line(found.reproduce, tmp_path) == run_line(inline.reproduce, tmp_path) == found.value


def test_without_events_the_line_prints_zero(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> None:
    world = World(database_url, connection, tmp_path)
    world.roll_up(WINDOW, AS_OF, ("daily",))
    assert run_line(asked(world, Question("logging_rate_24h", WINDOW.last)).reproduce, tmp_path) == 0


def test_what_cannot_be_explained_is_said(world: World) -> None:
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"metric": "dauu"}, UnknownMetricError, "there are cohort_size, dau, event"),
        ({"metric": "event_volume_by_name"}, UnknownMetricError, "--dimension NAME"),
        ({"metric": "users_assigned", "experiment": "exp"}, UnknownMetricError, "--experiment and --variant"),
        ({"metric": "users_count"}, UnknownMetricError, "--step"),
        ({"metric": "cohort_size"}, UnknownMetricError, "--days-after"),
        ({"metric": "dau", "tenant": "nobody"}, NotPublishedError, "of tenant nobody"),
        ({"metric": "dau", "day": date(2025, 1, 1)}, NotPublishedError, "on 2025-01-01"),
    ]
    for fields, error, message in wrong:
        with pytest.raises(error, match=message):
            asked(world, Question(**{"day": WINDOW.last, **fields}))


def test_the_guide_defines_every_metric_in_the_same_words() -> None:
    guide = (REPOSITORY / "docs/guides/metrics.md").read_text(encoding="utf-8")
    rows = {
        name: cells.split(" | ")[0].removesuffix(" |")
        for names, cells in re.findall(r"^\| (`[^|]*`) \| (.*) \|$", guide, flags=re.MULTILINE)
        for name in re.findall(r"`([a-z0-9_]+)`", names)
    }
    funnels = " ".join((REPOSITORY / "docs/guides/funnels.md").read_text(encoding="utf-8").split())
    for metric in METRICS.values():
        if metric.table == "funnel_cohort_rollups":
            assert metric.definition in funnels
        else:
            assert rows[metric.name if metric.column == "value" else metric.column] == metric.definition
