"""A refresh leaves every published table equal to a full recompute, and computes only the days that can change."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.database import connect
from pipeline.refresh import stale_days
from pipeline.refresh.equality import compare_all
from pipeline.refresh.run import RefreshResult, refresh
from pipeline.refresh.user_state import UserState
from pipeline.rollups.jobs import JOBS, RETENTION_DAYS, Window, first_computable_day, job_named
from tests.pipeline.rollups.oracle import Assignment, Event, History, expected, is_valid
from tests.pipeline.rollups.rollup_world import World

TENANTS = ("default", *(f"tenant_{number}" for number in range(7)))  # as many histories in each example
USERS = (*(f"user_{number}" for number in range(4)), "")
NAMES = ("session_submitted", "app_opened", "workout_started", "exercise_logged", "node_opened")
FULL = os.environ.get("TIDEMARK_FAULTS") == "full"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
EXAMPLES = 40 if FULL else 2  # of eight histories each
ORDERS = 20 if FULL else 3
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
AGES = tuple(
    timedelta(days=days, hours=hours)
    for days, hours in ((0, 0), (0, 3), (1, 0), (1, 1), (2, 0), (7, 0), (8, 2), (30, 0), (60, 0), (175, 0), (180, 0))
)


class Arrival(NamedTuple):
    """An event that arrives at a step: how old it is then (as_of minus occurred_at) in small numbers."""

    tenant: int
    user: int
    name: int
    age: int
    nudge: int
    ahead: bool
    again: bool


class Step(NamedTuple):
    """What happens between two refreshes, and how much later the second one is."""

    later: timedelta
    arrivals: list[Arrival]
    assigned: list[tuple[int, int, int, int]]
    paused: bool


ARRIVALS = st.builds(
    Arrival,
    tenant=st.integers(0, len(TENANTS) - 1),
    user=st.integers(0, len(USERS) - 1),
    name=st.integers(0, len(NAMES) - 1),
    age=st.integers(0, len(AGES) - 1),
    nudge=st.integers(-1, 1),
    ahead=st.booleans(),
    again=st.booleans(),
)
STEPS = st.lists(
    st.builds(
        Step,
        later=st.sampled_from(
            (timedelta(0), timedelta(minutes=5), timedelta(hours=11), DAY, 2 * DAY, 9 * DAY, 40 * DAY)
        ),
        arrivals=st.lists(ARRIVALS, max_size=40),
        assigned=st.lists(
            st.tuples(st.integers(0, len(TENANTS) - 1), st.integers(0, 3), st.integers(0, 1), st.integers(0, 5)),
            max_size=4,
        ),
        paused=st.sampled_from((False, False, False, True)),
    ),
    min_size=1,
    max_size=5,
)


class Story:
    """A world that grows step by step, and the history that the oracle is asked about."""

    def __init__(self, world: World, tenants: Sequence[str] = TENANTS) -> None:
        self.world = world
        self.tenants = tenants
        self.as_of = START
        self.events: list[Event] = []
        self.assignments: dict[tuple[str, str, str], Assignment] = {}
        self.writes: dict[tuple[str, str, str], list[Assignment]] = defaultdict(list)
        self.status = "RUNNING"
        world.load(self.history())

    def history(self) -> History:
        experiments = {
            (tenant, name): (self.status if name == "exp_b" else "RUNNING", ("A", "B"))
            for tenant in self.tenants
            for name in ("exp_a", "exp_b")
        }
        return History(self.tenants, self.events, experiments, list(self.assignments.values()))

    def take(self, step: Step) -> RefreshResult:
        """Let the step happen, then refresh."""
        self.prepare(step)
        return self.refresh()

    def prepare(self, step: Step) -> None:
        """Let the step happen."""
        self.as_of += step.later
        arrived = [self.event(arrival, len(self.events) + number) for number, arrival in enumerate(step.arrivals)]
        arrived += [event for event, arrival in zip(arrived, step.arrivals, strict=True) if arrival.again]
        self.events += arrived
        self.world.add_events(*arrived)
        for tenant, user, variant, age in step.assigned:
            self._assign(self.tenants[tenant % len(self.tenants)], USERS[user], "AB"[variant], self.as_of - AGES[age])
        self.status = "PAUSED" if step.paused else "RUNNING"
        self.world.connection.execute("UPDATE experiments SET status = %s WHERE experiment_id = 'exp_b'", [self.status])

    def refresh(self, *, full: bool = False) -> RefreshResult:
        return refresh(self.world.settings, self.world.database_url, self.as_of, full=full)

    def days(self) -> Window:
        return Window(first_computable_day(self.as_of), self.as_of.date())

    def assert_exact(self) -> None:
        """Every table equals the independent computation over all days that can be computed."""
        days = self.days()
        wanted = expected(self.history(), days.first, days.last, self.as_of)
        for table in (job_named(job).table for job in JOBS):
            # Days that are too old to be computed keep what was published: they are no part of the comparison.
            self.world.connection.execute(f"DELETE FROM {table} WHERE day < %s".encode(), [days.first])
        self.world.assert_published(wanted)

    def assert_equal(self) -> None:
        """Every table, of every job, equals a full recompute from the events."""
        compared = compare_all(self.world.settings, self.world.database_url)
        assert [comparison.problem for comparison in compared] == [None] * len(JOBS)

    def event(self, arrival: Arrival, number: int) -> Event:
        """The event of an arrival as of now, with an id made from its number."""
        occurred_at = self.as_of - AGES[arrival.age] + arrival.nudge * TICK
        if arrival.ahead:
            occurred_at = self.as_of + timedelta(minutes=5) + arrival.age * timedelta(hours=3) + arrival.nudge * TICK
        stamped = {"exp_a": "A"} if arrival.name % 2 else {}
        tenant = self.tenants[arrival.tenant % len(self.tenants)]
        return Event(
            str(uuid.UUID(int=number + 1)), tenant, USERS[arrival.user], NAMES[arrival.name],
            occurred_at, self.as_of, stamped,
        )  # fmt: skip

    def _assign(self, tenant: str, user: str, variant: str, at: datetime) -> None:
        for experiment in ("exp_a", "exp_b"):
            assignment = Assignment(tenant, user, experiment, variant, at)
            self.assignments[tenant, user, experiment] = assignment
            self.writes[tenant, user, experiment].append(assignment)
            self.world.connection.execute(
                "INSERT INTO assignments (tenant_id, anonymous_user_id, experiment_id, variant_id, assigned_at)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (tenant_id, anonymous_user_id, experiment_id)"
                " DO UPDATE SET variant_id = excluded.variant_id, assigned_at = excluded.assigned_at",
                [tenant, user, experiment, variant, at],
            )


@pytest.fixture
def world(database_url: str, connection: psycopg.Connection) -> Iterator[World]:
    yield World(database_url, connection, Path())


@pytest.fixture
def story(world: World, tmp_path: Path) -> Story:
    world.clear()
    return Story(World(world.database_url, world.connection, tmp_path), TENANTS[:2])


@settings(
    max_examples=EXAMPLES, phases=[Phase.generate], deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(steps=STEPS)
def test_each_refresh_is_exact_and_computes_what_can_change_alone(world: World, steps: list[Step]) -> None:
    world.clear()
    with tempfile.TemporaryDirectory() as folder:
        story = Story(World(world.database_url, world.connection, Path(folder)))
        story.refresh()
        for step in steps:
            before, paused = Inputs(story), story.status
            result = story.take(step)
            assert result.why_rebuilt is None
            wanted = Inputs(story).changed_since(before, story.days())
            if story.status != paused:
                wanted["experiment"] = wanted["retention"] = set(story.days().days())
            assert {job: set(result.days.get(job, ())) for job in wanted} == wanted
            story.assert_exact()
            story.assert_equal()
        assert not story.refresh().days
        assert story.refresh(full=True).why_rebuilt == "asked for"
        story.assert_exact()


class Inputs:
    """All that each day's numbers depend on, by brute force over the whole history."""

    def __init__(self, story: Story) -> None:
        valid = [event for event in story.events if is_valid(event, story.as_of)]
        days_of: dict[tuple[str, str], set[date]] = defaultdict(set)
        for event in valid:
            days_of[event.tenant_id, event.user].add(event.occurred_at.date())
        self.today = story.as_of.date()
        self.events: dict[str, dict[date, set[object]]] = {job: defaultdict(set) for job in JOBS}
        for event in valid:
            self._note(event, days_of[event.tenant_id, event.user])
        for (tenant, user), days in days_of.items():
            for job in ("daily", "experiment", "retention") if user else ():
                self.events[job][min(days)].add(("member", tenant, user))
        for (tenant, user, experiment), writes in story.writes.items():
            for assignment in writes:
                day = assignment.assigned_at.date()
                while day <= self.today:
                    self.events["experiment"][day].add((tenant, user, experiment, len(writes)))
                    day += DAY
            if (tenant, user) in days_of:
                for job in ("experiment", "retention"):
                    self.events[job][min(days_of[tenant, user])].add(("assigned", tenant, user, len(writes)))

    def _note(self, event: Event, active: set[date]) -> None:
        """Note an event where it counts; `active` are its user's days."""
        day = event.occurred_at.date()
        self.events["daily"][day].add(event.event_id)
        self.events["funnel"][day].add(event.event_id)
        if not event.user:
            return
        cohort = min(active)
        for job, reach in (("daily", 1), ("experiment", 7)):
            if (day - cohort).days <= reach:
                self.events[job][cohort].add(("cohort", event.event_id))
        if (day - cohort).days in RETENTION_DAYS:
            self.events["retention"][cohort].add(("active", event.tenant_id, event.user, day))
        for entered in {day, day - DAY} & active:
            self.events["funnel_cohort"][entered].add(event.event_id)

    def changed_since(self, before: Inputs, window: Window) -> dict[str, set[date]]:
        """Return the days of the window whose inputs differ, and those that have begun."""
        return {
            job: {
                day
                for day in window.days()
                if day > before.today or self.events[job].get(day, set()) != before.events[job].get(day, set())
            }
            for job in self.events
        }


def test_the_order_of_arrival_does_not_matter(world: World, tmp_path: Path) -> None:
    month = [
        Arrival(number % 8, number % 5, number % 5, number % len(AGES), number % 3 - 1, False, number % 7 == 0)
        for number in range(150)
    ]
    tables = set()
    for order in range(ORDERS):
        world.clear()
        story = Story(World(world.database_url, world.connection, tmp_path / str(order)), TENANTS[:2])
        events = [story.event(arrival, number) for number, arrival in enumerate(month)]
        random.Random(order).shuffle(events)
        for start in range(0, len(events), 50):
            story.world.add_events(*events[start : start + 50])
            story.refresh()
        tables.add(json.dumps([sorted(map(str, world.published(job).items())) for job in JOBS]))
    assert len(tables) == 1


def test_a_refresh_without_news_computes_nothing(story: Story) -> None:
    story.refresh()
    assert not story.refresh().days
    story.as_of += timedelta(minutes=5)
    assert not story.refresh().days


def test_an_event_of_the_future_counts_when_its_time_has_come(story: Story) -> None:
    story.refresh()
    story.take(Step(timedelta(0), [Arrival(0, 0, 0, 1, 0, True, False)], [], False))
    assert story.world.published("daily")["default", story.as_of.date(), "dau", "overall"][0] == 0
    story.as_of += timedelta(hours=4)
    story.refresh()
    assert story.world.published("daily")["default", story.as_of.date(), "dau", "overall"][0] == 1
    story.assert_exact()


def test_a_refresh_never_goes_back_in_time(story: Story) -> None:
    story.take(Step(timedelta(0), [Arrival(0, 0, 0, 1, 0, False, False)], [], False))
    story.as_of -= timedelta(minutes=1)
    result = story.refresh()
    assert (result.why_rebuilt, dict(result.days)) == (None, {})


def test_a_lost_state_is_rebuilt(story: Story) -> None:
    story.take(Step(timedelta(0), [Arrival(0, user, 0, user, 0, False, False) for user in range(4)], [], False))
    state = Path(UserState(story.world.lake).location)
    for file in state.glob("*.parquet"):
        file.unlink()
    assert story.refresh().why_rebuilt == "there is none"
    story.assert_exact()
    shutil.rmtree(state)
    assert story.refresh().why_rebuilt == "there is none"
    story.assert_exact()


def test_days_stay_stale_until_a_run_that_began_later_publishes_them(story: Story) -> None:
    story.refresh()
    day = story.as_of.date()
    with connect(story.world.database_url) as connection:
        stale_days.mark_all(connection, [day - DAY, day], story.as_of)
    story.world.roll_up(Window(day, day), story.as_of - DAY + timedelta(hours=12))
    story.world.roll_up(Window(day, day), story.as_of, jobs=("daily",))
    result = story.refresh()
    assert result.days == {job: (day - DAY,) if job == "daily" else (day - DAY, day) for job in JOBS}


def test_the_state_is_merged_when_much_was_added(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.refresh.user_state.MERGE_ROWS", 3)
    for number in range(6):
        arrivals = [Arrival(tenant, user, 0, number, 0, False, False) for tenant in range(3) for user in range(4)]
        story.take(Step(DAY, arrivals, [], False))
    users = UserState(story.world.lake).snapshot()
    assert users is not None and users.rows == 8
    story.assert_exact()
