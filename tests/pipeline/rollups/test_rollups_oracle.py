"""The published tables equal an independent computation, whatever the history: 30 examples of five tenants each."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.rollups.jobs import Window
from tests.pipeline.rollups.oracle import Assignment, Event, History, expected
from tests.pipeline.rollups.rollup_world import World
from tests.sizes import sized

TENANTS = ("default", "other", "third", "fourth", "fifth")  # five histories an example, with the same user ids
USERS = (*(f"user_{number}" for number in range(5)), "")  # the last is nobody: a visit of a web shop without a user
NAMES = (
    "session_submitted", "app_opened", "tab_opened", "workout_started", "exercise_logged", "achievement_unlocked",
    "workouts_default_loaded", "node_opened", 'Ünusual "name"\\\n\x01', "overall",
)  # fmt: skip
EXPERIMENTS = ("exp_a", "exp_b", "exp_c")
VARIANTS = ("A", "B", "gone")
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
# Distances at which a rule changes its answer, for moments counted from a user's earlier event or from the run.
SPANS = (timedelta(0), timedelta(hours=3), DAY, 2 * DAY, 7 * DAY)
LAGS = (-timedelta(hours=1), timedelta(0), TICK, timedelta(seconds=2.5), timedelta(hours=7), 30 * DAY)


class EventPlan(NamedTuple):
    """An event in a few small numbers, so that a failing example shrinks well."""

    tenant: int
    user: int
    name: int
    anchor: str
    step: int
    nudge: int
    lag: int
    variants: tuple[int, int]
    repeat: bool


PLANS = st.lists(
    st.builds(
        EventPlan,
        tenant=st.integers(0, len(TENANTS) - 1),
        user=st.integers(0, len(USERS) - 1),
        name=st.integers(0, len(NAMES) - 1),
        anchor=st.sampled_from(("window", "earlier", "earlier", "midnight", "future", "oldest", "history")),
        step=st.integers(0, 30),
        nudge=st.integers(-1, 1),
        lag=st.integers(0, len(LAGS) - 1),
        variants=st.tuples(st.integers(0, 3), st.integers(0, 3)),
        repeat=st.booleans(),
    ),
    max_size=120,
)
MOMENTS = st.builds(
    lambda days, micros: datetime(2026, 2, 19, tzinfo=UTC) + days * DAY + micros * TICK,
    st.integers(0, 20),
    st.sampled_from((0, 1, 43_200_000_000, 86_399_999_999)),
)
STATUSES = st.fixed_dictionaries({name: st.sampled_from(("RUNNING", "RUNNING", "PAUSED")) for name in EXPERIMENTS})
ASSIGNMENTS = st.dictionaries(
    st.tuples(st.sampled_from(TENANTS), st.sampled_from(USERS), st.sampled_from(EXPERIMENTS)),
    st.tuples(st.sampled_from(VARIANTS), st.integers(-30, 3), st.integers(-1, 1)),
    max_size=40,
)


Held = Mapping[tuple[str, str, str], tuple[str, int, int]]


def history_of(plans: list[EventPlan], as_of: datetime, statuses: Mapping[str, str], held: Held) -> History:
    midnight = as_of.replace(hour=0, minute=0, second=0, microsecond=0)
    events: list[Event] = []
    last_of: dict[tuple[int, int], datetime] = {}
    for number, plan in enumerate(plans):
        nudge = plan.nudge * TICK
        base = {
            "window": as_of - plan.step * timedelta(hours=9),
            "earlier": last_of.get((plan.tenant, plan.user), midnight - 9 * DAY) + SPANS[plan.step % len(SPANS)],
            "midnight": midnight - plan.step * DAY,
            "future": as_of + timedelta(minutes=5 * (plan.step % 3)),
            "oldest": as_of - 180 * DAY,
            "history": as_of - plan.step * 8 * DAY,
        }[plan.anchor]
        occurred_at = base + nudge
        last_of.setdefault((plan.tenant, plan.user), occurred_at)
        stamped = {
            experiment: VARIANTS[choice]
            for experiment, choice in zip(EXPERIMENTS, plan.variants, strict=False)
            if choice < len(VARIANTS)
        }
        event = Event(
            str(uuid.UUID(int=number + 1)), TENANTS[plan.tenant], USERS[plan.user], NAMES[plan.name],
            occurred_at, occurred_at + LAGS[plan.lag], stamped,
        )  # fmt: skip
        events.extend([event] * (2 if plan.repeat else 1))
    experiments = {
        (tenant, experiment): (status, ("A", "B")) for tenant in TENANTS for experiment, status in statuses.items()
    }
    assignments = [
        Assignment(tenant, user, experiment, variant, midnight + days * DAY + nudge * TICK)
        for (tenant, user, experiment), (variant, days, nudge) in held.items()
    ]
    return History(TENANTS, events, experiments, assignments)


EXAMPLES = MOMENTS.flatmap(
    lambda as_of: st.tuples(st.builds(history_of, PLANS, st.just(as_of), STATUSES, ASSIGNMENTS), st.just(as_of))
)


@pytest.fixture
def world(database_url: str, connection: psycopg.Connection) -> Iterator[World]:
    yield World(database_url, connection, Path())


@settings(
    max_examples=sized(12, 60),
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(example=EXAMPLES, days=st.integers(1, 16))
def test_rollups_equal_the_oracle(world: World, example: tuple[History, datetime], days: int) -> None:
    history, as_of = example
    window = Window.ending(as_of, days)
    wanted = expected(history, window.first, window.last, as_of)
    world.clear()
    with tempfile.TemporaryDirectory() as folder:
        fresh = World(world.database_url, world.connection, Path(folder))
        fresh.load(history)
        fresh.export()
        published = fresh.roll_up(window, as_of)
    world.assert_published(wanted)
    assert {run.ignored_count for run in published} == {wanted.ignored}
