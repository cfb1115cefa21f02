"""A refresh leaves every published table equal to a full recompute, and computes only the days that can change."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql

from pipeline.database import connect
from pipeline.lake.compaction import compact
from pipeline.refresh import stale_days
from pipeline.refresh.equality import compare_all
from pipeline.refresh.run import RefreshResult, refresh
from pipeline.refresh.user_state import UserState
from pipeline.rollups.jobs import JOBS, REFRESH_JOBS, RETENTION_DAYS, Window, first_computable_day, job_named
from pipeline.rollups.publish import OutdatedRollupError
from pipeline.rollups.run import publish, stage
from tests.pipeline.rollups.oracle import Assignment, Event, History, Journey, expected, is_valid, journeys_of
from tests.pipeline.rollups.rollup_world import World
from tests.sizes import sized

TENANTS = ("default", *(f"tenant_{number}" for number in range(7)))  # as many histories in each example
USERS = (*(f"user_{number}" for number in range(4)), "")
NAMES = ("session_submitted", "app_opened", "workout_started", "exercise_logged", "node_opened")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
EXAMPLES = sized(1, 40)  # of eight histories each
ORDERS = sized(2, 20)
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


def event_of(arrival: Arrival, number: int, tenants: Sequence[str], as_of: datetime) -> Event:
    """The event of an arrival as of a moment, with an id made from its number."""
    occurred_at = as_of - AGES[arrival.age] + arrival.nudge * TICK
    if arrival.ahead:
        occurred_at = as_of + timedelta(minutes=5) + arrival.age * timedelta(hours=3) + arrival.nudge * TICK
    stamped = {"exp_a": "A"} if arrival.name % 2 else {}
    tenant = tenants[arrival.tenant % len(tenants)]
    return Event(
        str(uuid.UUID(int=number + 1)), tenant, USERS[arrival.user], NAMES[arrival.name], occurred_at, as_of, stamped
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
            query = sql.SQL("DELETE FROM {} WHERE day < %s").format(sql.Identifier(table))
            self.world.connection.execute(query, [days.first])
        self.world.assert_published(wanted)

    def assert_equal(self) -> None:
        """Every table, of every job, equals a full recompute from the events."""
        compared = compare_all(self.world.settings, self.world.database_url)
        assert [comparison.problem for comparison in compared] == [None] * len(JOBS)

    def event(self, arrival: Arrival, number: int) -> Event:
        """The event of an arrival as of now, with an id made from its number."""
        return event_of(arrival, number, self.tenants, self.as_of)

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
    max_examples=EXAMPLES, phases=[Phase.generate],
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
            wanted["daily_cohorts"] -= wanted["daily"]
            assert {job: set(result.days.get(job, ())) for job in wanted} == wanted
            story.assert_exact()
            story.assert_equal()
        assert not story.refresh().days
        assert story.refresh(full=True).why_rebuilt == "asked for"
        story.assert_exact()


class Told(Protocol):
    """What has happened so far."""

    as_of: datetime
    tenants: Sequence[str]
    events: list[Event]
    writes: dict[tuple[str, str, str], list[Assignment]]


class Inputs:
    """All that each day's numbers depend on, by brute force over the whole history."""

    def __init__(self, story: Told) -> None:
        valid = {event.event_id: event for event in story.events if is_valid(event, story.as_of)}
        days_of: dict[tuple[str, str], set[date]] = defaultdict(set)
        for event in valid.values():
            days_of[event.tenant_id, event.user].add(event.occurred_at.date())
        self.today = story.as_of.date()
        self.events: dict[str, dict[date, set[object]]] = {job: defaultdict(set) for job in REFRESH_JOBS}
        for event in valid.values():
            self._note(event, days_of[event.tenant_id, event.user])
        for tenant in story.tenants:
            journeys = journeys_of(event for event in valid.values() if event.tenant_id == tenant)
            for user, journey in journeys.items():
                self._note_journey((tenant, user), journey, days_of[tenant, user])
        for (tenant, user, experiment), writes in story.writes.items():
            for number, assignment in enumerate(writes, start=1):
                day = assignment.assigned_at.date()
                while day <= self.today:
                    self.events["experiment"][day].add((tenant, user, experiment, number, number == len(writes)))
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
        for entered in {day, day - DAY} & active:
            self.events["funnel_cohort"][entered].add(event.event_id)

    def _note_journey(self, user: tuple[str, str], journey: Journey, active: set[date]) -> None:
        """Note what the numbers of new users need to know of one of them."""
        cohort = journey.cohort_day
        self.events["daily_cohorts"][cohort].add((*user, journey.converted))
        week = (journey.active_on_first_day, journey.sessions_within(7 * DAY), journey.converted)
        self.events["experiment"][cohort].add((*user, *week))
        returned = [after for after in RETENTION_DAYS if cohort + after * DAY in active]
        self.events["retention"][cohort].add((*user, *returned))

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


def moment(user: int, name: str, at: datetime, number: int, received_at: datetime) -> Event:
    return Event(str(uuid.UUID(int=10_000 + number)), "default", USERS[user], name, at, received_at, {})


@pytest.mark.parametrize("order", range(sized(1, 6)))
def test_sessions_at_the_ends_of_their_spans_count(story: Story, order: int) -> None:
    first = START - 9 * DAY + 7 * TICK
    story.world.connection.execute(
        "INSERT INTO assignments (anonymous_user_id, experiment_id, variant_id, assigned_at)"
        " VALUES ('user_0', 'exp_a', 'A', %s)",
        [first],
    )
    story.assignments["default", "user_0", "exp_a"] = Assignment("default", "user_0", "exp_a", "A", first)
    told = [
        moment(0, name, first + after, number, START)
        for number, (name, after) in enumerate(
            [
                ("app_opened", timedelta(0)), ("app_opened", timedelta(0)), ("session_submitted", DAY),
                ("session_submitted", DAY), ("session_submitted", DAY + TICK), ("session_submitted", 7 * DAY),
                ("session_submitted", 7 * DAY + TICK),
            ]
        )
    ]  # fmt: skip
    random.Random(order).shuffle(told)
    story.refresh()
    for event in told:
        story.events.append(event)
        story.world.add_events(event)
        story.refresh()
        story.assert_exact()
    key = ("default", first.date(), "exp_a", "A")
    published = story.world.published("experiment")
    assert (published[*key, "users_active_d1"][0], published[*key, "sessions_submitted_d7"][0]) == (1, 4)
    assert published[*key, "logging_rate_24h_by_variant"][0] == 1
    late = moment(0, "app_opened", first - TICK, 99, START)
    story.events.append(late)
    story.world.add_events(late)
    result = story.refresh()
    story.assert_exact()
    published = story.world.published("experiment")
    assert (published[*key, "users_active_d1"][0], published[*key, "sessions_submitted_d7"][0]) == (1, 3)
    assert published[*key, "logging_rate_24h_by_variant"][0] == 0
    assert set(result.days["experiment"]) == {first.date()}


def test_users_age_out_of_the_valid_days_by_small_steps(story: Story) -> None:
    born = START - 180 * DAY + timedelta(minutes=11)
    told = [
        moment(user, name, born + after, number, START)
        for number, (user, name, after) in enumerate(
            [
                (0, "app_opened", timedelta(0)), (0, "session_submitted", timedelta(minutes=10)),
                (0, "app_opened", timedelta(days=1, hours=2)), (0, "session_submitted", timedelta(days=2)),
                (1, "session_submitted", timedelta(minutes=3)), (1, "app_opened", timedelta(days=30)),
                (2, "app_opened", timedelta(minutes=5)), (3, "app_opened", timedelta(minutes=17)),
                (3, "session_submitted", timedelta(minutes=17)), (3, "session_submitted", timedelta(days=8)),
                (3, "app_opened", timedelta(days=15)),
            ]
        )
    ]  # fmt: skip
    story.events += told
    story.world.add_events(*told)
    story.take(Step(timedelta(0), [], [(0, user, 0, 1) for user in range(4)], False))
    moved = 0
    for _ in range(8):
        before = Inputs(story)
        result = story.take(Step(timedelta(minutes=5), [], [], False))
        wanted = Inputs(story).changed_since(before, story.days())
        assert result.days == {job: tuple(sorted(days)) for job, days in wanted.items() if days}
        assert "daily" not in result.days and "funnel" not in result.days
        moved += bool(result.days)
        story.assert_exact()
    assert moved == 3  # the days of users 0 and 3, and of user 1; user 2 never comes back
    story.assert_equal()


def test_an_event_counts_once_though_its_file_was_merged_before_its_time(story: Story) -> None:
    story.refresh()
    first = START - DAY
    ahead = START + timedelta(minutes=7)
    past = [moment(0, "app_opened", first, 0, START), moment(0, "session_submitted", START, 1, START)]
    for number, group in enumerate([past, [moment(0, "session_submitted", ahead, 2, START)]]):
        story.events += group
        story.world.add_events(*group)
        if number == 0:
            story.refresh()
        else:
            story.world.export()
    compact(story.world.settings, story.world.database_url, story.world.lake)
    story.as_of += timedelta(minutes=5)
    story.refresh()
    story.assert_exact()
    assert latest_row(story, "user_0")["session_moments"] == [START, ahead]
    assert not story.refresh().days


def test_a_state_of_an_earlier_version_is_rebuilt(story: Story) -> None:
    story.take(Step(timedelta(0), [Arrival(0, user, 0, user, 0, False, False) for user in range(4)], [], False))
    state = UserState(story.world.lake)
    users = state.snapshot()
    assert users is not None
    rows = pa.concat_tables(pq.ParquetFile(path).read() for path in users.paths)
    write_deltalake(
        state.location, rows.drop_columns(["sessions_d7"]), mode="overwrite", schema_mode="overwrite",
        commit_properties=CommitProperties(
            app_transactions=[Transaction("events", 0), Transaction("as_of", 0), Transaction("whole_rows", 4)]
        ),
    )  # fmt: skip
    assert state.snapshot() is None
    assert story.refresh().why_rebuilt == "there is none"
    story.assert_exact()


def test_what_is_marked_while_a_rollup_reads_stays_stale(story: Story) -> None:
    story.refresh()
    day = story.as_of.date()

    def mark(done: int, _: int) -> None:
        if done == 1:  # the first job has read the lake, the second has yet to begin
            with connect(story.world.database_url) as connection:
                stale_days.mark_all(connection, [day], story.as_of)

    story.world.roll_up(Window(day, day), story.as_of, step_done=mark)
    assert story.refresh().days == dict.fromkeys(JOBS, (day,))


def test_a_daily_rollup_that_read_earlier_never_replaces_new_users_that_were_published_since(story: Story) -> None:
    first, later = moment(0, "app_opened", START - 3 * DAY, 0, START), moment(0, "app_opened", START, 1, START)
    story.events += [first, later]
    story.world.add_events(later)
    story.refresh()
    staged = stage(story.world.settings, story.world.database_url, "daily", Window(START.date(), START.date()), START)
    story.world.add_events(first)
    result = story.refresh()
    assert result.days["daily"] == (first.occurred_at.date(),)
    assert result.days["daily_cohorts"] == (START.date(),)
    runs = [result.published[job].run_id for job in ("daily", "daily_cohorts")]
    written = (
        "SELECT count(DISTINCT run_id), count(DISTINCT xmin::text) FROM daily_metric_rollups WHERE run_id = ANY(%s)"
    )
    assert story.world.connection.execute(written, [runs]).fetchone() == (2, 1), "one transaction: readers see no mix"
    with pytest.raises(OutdatedRollupError, match="superseded"):
        publish(story.world.database_url, staged)
    story.assert_exact()
    story.assert_equal()


def latest_row(story: Story, user: str) -> dict[str, Any]:
    """What the state holds of a user of the first tenant."""
    users = UserState(story.world.lake).snapshot()
    assert users is not None
    rows = [row for path in users.paths for row in pq.ParquetFile(path).read().to_pylist()]
    return max(
        (row for row in rows if (row["tenant_id"], row["anonymous_user_id"]) == ("default", user)),
        key=lambda row: (row["added"], row["events_version"], row["as_of"]),
    )
