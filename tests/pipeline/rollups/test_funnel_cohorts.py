"""Ordered funnels against exhaustive search: all short sequences, and random ones over several funnels and windows."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.rollups.funnel_cohorts import HASH_SHIFT, FunnelCohorts
from pipeline.rollups.funnels import MAXIMUM_STEPS, Funnels, parse_funnels
from pipeline.rollups.jobs import Window
from pipeline.settings import Settings
from pipeline.statements import statement
from tests.pipeline.rollups.cohort_oracle import OrderedFunnel, Rows, funnel_cohort_rows
from tests.pipeline.rollups.oracle import Event, History, expected
from tests.pipeline.rollups.rollup_world import World, same
from tests.sizes import sized

START = datetime(2026, 2, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
STEPS = ("one", "two", "three")
STAMPS = ({"exp": "A"}, {"exp": "B", "other": "C"}, {})
SCHEMA = pa.schema(
    [
        pa.field("tenant_id", pa.string()),
        pa.field("anonymous_user_id", pa.string()),
        pa.field("event_name", pa.string()),
        pa.field("occurred_at", pa.timestamp("us", tz="UTC")),
        pa.field("experiment_map", pa.map_(pa.string(), pa.string())),
    ]
)


def configured(*funnels: tuple[str, str, Sequence[str]]) -> Funnels:
    """Ordered funnels of (name, window, steps), a step's event being called as the step."""
    return parse_funnels(
        {
            "version": 1,
            "funnels": [
                {"name": name, "window": window, "steps": [{"name": step, "events": [step]} for step in steps]}
                for name, window, steps in funnels
            ],
        }
    )


class Bench:
    """The statements over events that are written by day, as they are in a lake; a tenant for each user."""

    def __init__(self, engine: duckdb.DuckDBPyConnection, folder: Path, events: Iterable[Event]) -> None:
        self._engine = engine
        self._files: dict[date, tuple[str, int]] = {}
        self.salts: list[int] = []
        by_day: dict[date, list[dict[str, Any]]] = {START.date(): []}
        for event in events:
            row = {
                "tenant_id": event.tenant_id, "anonymous_user_id": event.user, "event_name": event.name,
                "occurred_at": event.occurred_at, "experiment_map": list(event.experiment_map.items()),
            }  # fmt: skip
            by_day.setdefault(event.occurred_at.date(), []).append(row)
        for day, rows in by_day.items():
            path = folder / f"{day}.parquet"
            pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
            self._files[day] = (str(path), len(rows))

    def compute(
        self, funnels: Funnels, days: Sequence[date], bucket_events: int = 10**9, hash_shift: int = HASH_SHIFT
    ) -> Rows:
        """{(tenant, day, funnel, dimension, step number): (users, median seconds)} of what somebody reached."""
        self._engine.register("funnel_steps", funnels.table())
        cohorts = FunnelCohorts(
            self._run, funnels, oldest=START - 100 * DAY, newest=START + 100 * DAY, paths_of=self._paths_of,
            rows_of=lambda chosen: sum(self._files[day][1] for day in chosen if day in self._files),
            bucket_events=bucket_events, hash_shift=hash_shift,
        )  # fmt: skip
        cohorts.add(days)
        rows = self._engine.sql(
            "SELECT tenant_id, day, funnel_name, dimension_key, step_number, users_count, median_seconds"
            " FROM funnel_cohorts"
        ).fetchall()
        self._engine.execute("DROP TABLE funnel_cohorts")
        return {row[:5]: row[5:] for row in rows}

    def _paths_of(self, days: Iterable[date]) -> list[str]:
        return [self._files[day][0] for day in days if day in self._files] or [self._files[START.date()][0]]

    def _run(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        if name == "rollups/funnel_people":
            self.salts.append(parameters["salt"])
        return self._engine.execute(statement(name), parameters).fetchall()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    home = Settings(home=tmp_path)
    with scratch_folder(home) as scratch, duckdb_engine(home, scratch) as connection:
        yield connection


def days_from_start(count: int) -> list[date]:
    return [(START + number * DAY).date() for number in range(count)]


def test_all_sequences_of_up_to_six_events_over_three_steps(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Neighbours are at the same time or twelve hours apart: two such gaps are exactly the window.

    The short sequences come once more with variants that change from event to event.
    """
    sequences = [
        (steps, (False, *ties))
        for length in range(1, 7)
        for steps in product(range(3), repeat=length)
        for ties in product((False, True), repeat=length - 1)
    ]
    assert len(sequences) == 27_993
    events: list[Event] = []
    wanted: Rows = {}
    short = [(steps, ties) for steps, ties in sequences if len(steps) <= 4]
    for number, (steps, ties) in enumerate([*sequences, *short]):
        at = START + 3 * HOUR
        own: list[Event] = []
        for position, (step, tie) in enumerate(zip(steps, ties, strict=True)):
            at += timedelta(0) if tie else 12 * HOUR
            stamp = STAMPS[0 if number < len(sequences) else (number + position) % 3]
            own.append(Event("", f"t{number}", f"u{number}", STEPS[step], at, at, stamp))
        wanted |= searched(f"t{number}", own, DAY)
        events += own
    assert Bench(engine, tmp_path, events).compute(configured(("f", "24h", STEPS)), days_from_start(4)) == wanted


def searched(tenant: str, own: Sequence[Event], window: timedelta) -> Rows:
    """One user's rows, found by trying every choice of one event for each step."""
    by_step = [[event for event in own if event.name == step] for step in STEPS]
    chains: dict[tuple[date, str], tuple[int, datetime, tuple[timedelta, ...]]] = {}
    for depth in (1, 2, 3):
        for chosen in product(*by_step[:depth]):
            times = [event.occurred_at for event in chosen]
            if times != sorted(times) or times[-1] - times[0] > window:
                continue
            gaps = tuple(later - earlier for earlier, later in pairwise(times))
            entry = chosen[0]
            for key in ("overall", *(f"{name}:{variant}" for name, variant in entry.experiment_map.items())):
                cell = (entry.occurred_at.date(), key)
                best = chains.get(cell)
                # Further, else begun later, else each step as early as it can be.
                if best is None or (depth, times[0]) > best[:2] or ((depth, times[0]) == best[:2] and gaps < best[2]):
                    chains[cell] = (depth, times[0], gaps)
    return {
        (tenant, day, "f", key, number): (1, None if number == 1 else gaps[number - 2] / timedelta(seconds=1))
        for (day, key), (depth, _, gaps) in chains.items()
        for number in range(1, depth + 1)
    }


FUNNELS = configured(
    ("short", "90m", ("one", "two")), ("day", "24h", STEPS), ("week", "7d", ("three", "one", "two", "four"))
)
ORDERED = [
    OrderedFunnel(
        funnel.name, timedelta(seconds=funnel.window_seconds or 0), {step.name: {*step.events} for step in funnel.steps}
    )
    for funnel in FUNNELS.ordered
]
OFFSETS = (timedelta(0), TICK, HOUR, 90 * 60 * timedelta(seconds=1), 12 * HOUR, DAY, DAY + TICK, 3 * DAY, 7 * DAY)
BASES = tuple(START + hours * HOUR for hours in (5, 29, 46.5))
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 1), st.integers(0, 2), st.sampled_from((*STEPS, "four")), st.sampled_from(BASES),
        st.sampled_from(OFFSETS), st.sampled_from((0, 0, 0, -1, 1)), st.integers(0, 2),
    ),
    min_size=20, max_size=70,
)  # fmt: skip


@settings(
    max_examples=sized(20, 200), phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(plans=EVENTS, buckets=st.sampled_from((1, 5)))
def test_random_journeys_equal_the_oracle(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, plans: list[tuple[Any, ...]], buckets: int
) -> None:
    events: list[Event] = []
    for tenant, user, name, base, offset, nudge, stamp in plans:
        at = base + offset + nudge * TICK
        events.append(Event("", f"t{tenant}", f"u{user}" if user else "", name, at, at, STAMPS[stamp]))
    days = days_from_start(3)
    wanted: Rows = {}
    for tenant in ("t0", "t1"):
        own = [event for event in events if event.tenant_id == tenant]
        for day in days:
            for key, row in funnel_cohort_rows(tenant, day, own, ORDERED).items():
                number, _, _, users, median, *_ = row
                if users:
                    wanted[tenant, day, key[2], key[4], number] = (users, median)
    found = Bench(engine, tmp_path, events).compute(FUNNELS, days, max(len(events) // buckets, 1))
    assert found.keys() == wanted.keys()
    for cell, row in wanted.items():
        assert same(found[cell], row), (cell, found[cell], row)


def at(day: int, hours: float, name: str, user: str = "ann", **stamp: str) -> Event:
    moment = START + day * DAY + hours * HOUR
    return Event(str(uuid.uuid4()), "default", user, name, moment, moment, stamp)


def users_and_medians(
    engine: duckdb.DuckDBPyConnection, folder: Path, *events: Event, window: str = "24h"
) -> dict[tuple[int, str], list[tuple[int, float | None]]]:
    """{(day, dimension): [(users, median seconds) of each step that was reached]}."""
    found = Bench(engine, folder, events).compute(configured(("f", window, STEPS)), days_from_start(4))
    shown: dict[tuple[int, str], list[tuple[int, float | None]]] = {}
    for (_, day, _, dimension, _), row in sorted(found.items()):
        shown.setdefault(((day - START.date()).days, dimension), []).append(row)
    return shown


def test_what_happens_at_one_moment_counts_in_the_order_of_the_steps(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    found = users_and_medians(engine, tmp_path, at(0, 1, "three"), at(0, 1, "two"), at(0, 1, "one"))
    assert found == {(0, "overall"): [(1, None), (1, 0.0), (1, 0.0)]}


def test_the_window_counts_from_the_entry_both_ends_included(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    events = [at(0, 1, "one"), at(0, 20, "two"), at(1, 1, "three")]
    assert users_and_medians(engine, tmp_path, *events) == {
        (0, "overall"): [(1, None), (1, 19 * 3600.0), (1, 5 * 3600.0)]
    }
    late = Event("", "default", "ann", "three", events[2].occurred_at + TICK, START, {})
    assert users_and_medians(engine, tmp_path, *events[:2], late) == {(0, "overall"): [(1, None), (1, 19 * 3600.0)]}


def test_who_enters_again_is_counted_once_a_day_by_the_entry_that_gets_furthest(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    events = [at(0, 1, "one"), at(0, 2, "two"), at(0, 3, "one"), at(0, 4, "two"), at(0, 5, "three"), at(0, 6, "one")]
    assert users_and_medians(engine, tmp_path, *events) == {(0, "overall"): [(1, None), (1, 3600.0), (1, 3600.0)]}
    again = [*events, at(1, 1, "one"), at(1, 2, "two")]
    found = users_and_medians(engine, tmp_path, *again)
    assert found[1, "overall"] == [(1, None), (1, 3600.0)]


def test_a_variant_counts_by_the_stamp_of_the_entry(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    events = [
        at(0, 1, "one", exp="A"), at(0, 2, "two", exp="B"), at(0, 3, "one", exp="B"),
        at(0, 1, "one", "bob"), at(0, 3, "two", "bob", exp="A"),
    ]  # fmt: skip
    assert users_and_medians(engine, tmp_path, *events) == {
        (0, "overall"): [(2, None), (2, 1.5 * 3600)],
        (0, "exp:A"): [(1, None), (1, 3600.0)],
        (0, "exp:B"): [(1, None)],
    }


@pytest.mark.parametrize("bucket_events", [1, 10**9])
def test_of_variants_with_one_key_the_one_whose_experiment_sorts_first_stays(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, bucket_events: int
) -> None:
    """Also when they are in different buckets of users, and when the other gets further."""
    early, late = {"a": "b:c"}, {"a:b": "c"}
    events = [
        at(0, 1, "one", "ann", **late), at(0, 2, "two", "ann"), at(0, 1, "one", "bob", **early),
        at(1, 1, "one", "eve", **late), at(1, 2, "two", "eve"),
    ]  # fmt: skip
    found = Bench(engine, tmp_path, events).compute(configured(("f", "24h", STEPS)), days_from_start(2), bucket_events)
    first, second = days_from_start(2)
    assert {key[1:2] + key[3:]: row for key, row in found.items()} == {
        (first, "overall", 1): (2, None), (first, "overall", 2): (1, 3600.0), (first, "a:b:c", 1): (1, None),
        (second, "overall", 1): (1, None), (second, "overall", 2): (1, 3600.0),
        (second, "a:b:c", 1): (1, None), (second, "a:b:c", 2): (1, 3600.0),
    }  # fmt: skip


def test_the_longest_funnel_is_followed_to_its_end(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """All steps at one moment, sent in the wrong order: the number of the step is part of a moment."""
    steps = [f"step {number}" for number in range(1, MAXIMUM_STEPS + 1)]
    events = [at(0, 1, name) for name in reversed(steps)]
    found = Bench(engine, tmp_path, events).compute(configured(("long", "1m", steps)), days_from_start(1))
    assert {key[4]: row for key, row in found.items()} == {
        number: (1, None if number == 1 else 0.0) for number in range(1, MAXIMUM_STEPS + 1)
    }


def test_users_whose_hashes_are_equal_are_counted_as_two(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Five bits of the hash give some of twelve one number until a salt tells them apart; the odd ones never go on."""
    events = [at(0, 1, "one", f"user {number}") for number in range(12)]
    events += [at(0, 2, "two", f"user {number}") for number in range(0, 12, 2)]
    bench = Bench(engine, tmp_path, events)
    found = bench.compute(configured(("f", "24h", STEPS)), days_from_start(1), hash_shift=59)
    assert bench.salts == list(range(len(bench.salts)))
    assert len(bench.salts) > 1
    assert {key[4]: row for key, row in found.items()} == {1: (12, None), 2: (6, 3600.0)}


def test_moments_in_another_order_than_that_of_their_sort_are_an_error(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    events = [at(0, hours, name, "ann") for hours, name in ((1, "one"), (2, "two"), (3, "one"), (4, "three"))]
    Bench(engine, tmp_path, events).compute(configured(("f", "24h", STEPS)), days_from_start(1))
    sql, sorted_by = statement("rollups/funnel_chains"), "person,\n            moment DESC"
    assert sql.count(sorted_by) == 1
    for wrong in ("person,\n            moment", "person DESC,\n            moment DESC"):
        events = [*events, at(0, 1, "one", "bob")]
        Bench(engine, tmp_path, events).compute(configured(("f", "24h", STEPS)), days_from_start(1))
        with pytest.raises(duckdb.Error, match="not in the order of their sort"):
            engine.execute(sql.replace(sorted_by, wrong), {"step_number": 1})


def test_configured_funnels_are_published_beside_the_core_journey(
    database_url: str, connection: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "funnels.json"
    path.write_text(
        '{"version": 1, "funnels": [{"name": "buy", "window": "7d", "steps": [{"name": "look", "events": ["one"]},'
        ' {"name": "pay", "events": ["two", "three"]}]}, {"name": "seen", "ordered": false, "steps":'
        ' [{"name": "any", "events": ["one", "four"]}]}]}'
    )
    monkeypatch.setenv("TIDEMARK_FUNNELS", str(path))
    events = [at(0, 1, "one", exp="A"), at(6, 23, "three"), at(0, 2, "one", "bob"), at(7, 3, "two", "bob")]
    world = World(database_url, connection, tmp_path)
    world.load(History(["default"], events, {}, []))
    world.export()
    window, as_of = Window(START.date(), (START + 2 * DAY).date()), START + 20 * DAY
    world.roll_up(window, as_of)
    ordered = world.published("funnel_cohort")
    assert len(ordered) == 3 * 2 + 2
    buy = OrderedFunnel("buy", 7 * DAY, {"look": {"one"}, "pay": {"two", "three"}})
    for key, row in funnel_cohort_rows("default", START.date(), events, [buy]).items():
        assert same(ordered[key], row), key
    steps = {
        (key[2], key[3], key[4]): row[2:] for key, row in world.published("funnel").items() if key[1] == START.date()
    }
    assert steps == {
        ("buy", "look", "overall"): (2, 2), ("buy", "look", "exp:A"): (1, 1), ("buy", "pay", "overall"): (0, 0),
        ("seen", "any", "overall"): (2, 2), ("seen", "any", "exp:A"): (1, 1),
    }  # fmt: skip


def test_retention_counts_calendar_days_and_says_when_it_is_complete(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    events = [at(0, 23.9, "one"), at(1, 0.1, "one"), at(7, 23, "one"), at(0, 5, "one", "bob"), at(4, 5, "one", "bob")]
    history = History(["default"], events, {}, [])
    world = World(database_url, connection, tmp_path)
    world.load(history)
    world.export()
    window, as_of = Window(START.date(), (START + DAY).date()), START + 7 * DAY + 12 * HOUR
    world.roll_up(window, as_of, ("retention",))
    wanted = expected(history, window.first, window.last, as_of).retention
    assert world.published("retention") == wanted
    rows = connection.execute(
        "SELECT days_after, cohort_size, retained_users, rate, complete_at <= %s FROM retention_rollups"
        " WHERE day = %s ORDER BY days_after",
        [as_of, START.date()],
    ).fetchall()
    # The event on day 7 has not happened yet as of its noon.
    assert rows == [
        (1, 2, 1, 0.5, True),
        (3, 2, 0, 0, True),
        (7, 2, 0, 0, False),
        (14, 2, 0, 0, False),
        (30, 2, 0, 0, False),
    ]
