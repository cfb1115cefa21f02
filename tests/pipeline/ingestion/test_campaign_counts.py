"""The campaign counts equal the stored events over any range, whatever is sent and however many write at once."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from pipeline.database import APP_ROLE, connect
from pipeline.imports.run import import_file
from pipeline.ingestion.campaign_counts import count_campaign_events, may_hold_campaign_events
from pipeline.ingestion.dead_letters import Cap, DeadLetter
from pipeline.ingestion.event_store import EventRow, Lot, store, write
from tests.databases import migrated_database
from tests.makers import NOW, event_row
from tests.pipeline.ingestion.campaign_world import (
    TABLES,
    TODAY,
    assert_exact,
    campaign_event,
    empty,
    random_event,
    read_counts,
    read_facts,
)

DAY = timedelta(days=1)
HUGE = "x" * 256


def on(number: int, days_ago: int, **fields: object) -> EventRow:
    """One event of a day before today."""
    return campaign_event(number, occurred_at=NOW - days_ago * DAY, **fields)


def test_counts_events_users_and_conversions_by_experiment_and_variant(connection: psycopg.Connection) -> None:
    store(
        connection,
        [
            campaign_event(1, user_id="ann"),
            campaign_event(2, user_id="ann", event_name="CONVERSION"),
            campaign_event(3, user_id="ann", event_name="CONVERSION"),
            campaign_event(4, user_id="bob", variant="B"),
            campaign_event(5, user_id="ann", experiment_id="f", variant="B"),
            campaign_event(6, user_id="cem", experiment_id="", variant=""),
        ],
    )
    assert read_counts(connection) == {"": (6, 2, 3, 1), "A": (3, 2, 1, 1), "B": (2, 0, 2, 0)}
    assert read_counts(connection, TODAY, TODAY, "e") == {"": (4, 2, 2, 1), "A": (3, 2, 1, 1), "B": (1, 0, 1, 0)}
    assert read_counts(connection, experiment_id="f") == {"": (1, 0, 1, 0), "B": (1, 0, 1, 0)}
    assert read_counts(connection, TODAY + DAY, TODAY + DAY) == {}
    assert read_counts(connection, tenant_id="other") == {}


def test_a_user_of_several_days_is_one_user_of_their_range(connection: psycopg.Connection) -> None:
    store(connection, [on(1, 9), on(2, 5), on(3, 0)])
    assert [read_counts(connection, TODAY - days * DAY, TODAY)[""][2] for days in range(12)] == [1] * 12
    assert read_counts(connection, TODAY - 4 * DAY, TODAY - DAY) == {}


@pytest.mark.parametrize("late", [12, 9, 7, 5, 4, 1, 0])
def test_a_late_day_between_others_moves_its_neighbours(connection: psycopg.Connection, late: int) -> None:
    store(connection, [on(1, 9), on(2, 5), on(3, 0), on(4, 6, user_id="bob", event_name="CONVERSION")])
    store(connection, [on(9, late, event_name="CONVERSION")])
    for first in range(14):
        for last in range(first + 1):
            days = {day for day in (9, 5, 0, late) if last <= day <= first}
            bob = last <= 6 <= first
            converted = (late in days) + bob
            expected = (len({9, 5, 0} & days) + (late in days) + bob, converted, bool(days) + bob, converted)
            found = read_counts(connection, TODAY - first * DAY, TODAY - last * DAY).get("", (0, 0, 0, 0))
            assert found == expected, (first, last)


@pytest.mark.parametrize("distance", [398, 399, 400, 401, 20_000])
def test_distances_beyond_the_longest_range_are_told_from_never(connection: psycopg.Connection, distance: int) -> None:
    store(connection, [on(1, 0)])
    store(connection, [on(2, distance), on(3, distance - 300)])
    store(connection, [on(4, 0, user_id="bob")])
    assert_exact(connection, random.Random(distance), ranges=60)
    assert read_counts(connection)[""][2] == 2
    assert read_counts(connection, None, TODAY - DAY)[""][2] == 1
    assert read_counts(connection, TODAY - min(distance, 399) * DAY, TODAY)[""][2] == 2


def test_a_duplicate_does_not_count_again(connection: psycopg.Connection) -> None:
    rows = [campaign_event(number, user_id=f"user_{number}") for number in range(5)]
    store(connection, [*rows, *rows[:2]])
    store(connection, [*rows[3:], campaign_event(3, user_id="other payload"), campaign_event(9, user_id="new")])
    assert read_counts(connection)[""] == (6, 0, 6, 0)


def test_the_session_time_zone_does_not_move_days(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True, options="-c timezone=Pacific/Auckland") as far:
        store(far, [campaign_event(1, occurred_at=datetime(2026, 2, 19, 23, 59, 59, tzinfo=UTC))])
        day = date(2026, 2, 19)
        assert read_counts(far, day, day)[""] == (1, 0, 1, 0)


def test_other_protocols_events_are_not_counted(connection: psycopg.Connection) -> None:
    store(connection, [event_row(1), event_row(2, context='{"source": "campaigns"}', event_name="CONVERSION")])
    assert read_counts(connection) == {}


@pytest.mark.parametrize(
    ("properties", "variants"),
    [
        ({}, set()),
        ({"experimentId": "e"}, set()),
        ({"experimentId": 5, "variant": "A"}, {"A"}),
        ({"experimentId": "", "variant": ""}, set()),
        ({"experimentId": None, "variant": ["A"]}, set()),
        ({"experimentId": HUGE, "variant": HUGE}, set()),
        ({"experimentId": HUGE[1:], "variant": "\U0001f600" * 255}, {"\U0001f600" * 255}),
        ({"experimentId": "'); --", "variant": "\x01\n\\ü"}, {"\x01\n\\ü"}),
    ],
    ids=lambda given: json.dumps(given)[:40] if isinstance(given, dict) else "",
)
def test_events_that_name_no_experiment_or_variant_count_in_the_totals(
    connection: psycopg.Connection, properties: dict[str, object], variants: set[str]
) -> None:
    store(connection, [campaign_event(1, properties=json.dumps(properties)), campaign_event(2, user_id="")])
    found = read_counts(connection)
    assert found[""] == (2, 0, 1, 0)
    assert found.keys() == {"", "A"} | variants
    assert_exact(connection, random.Random(1))


def test_counting_twice_in_one_transaction_counts_once(connection: psycopg.Connection) -> None:
    with connection.transaction():
        store(connection, [campaign_event(1), on(2, 3)])
        store(connection, [campaign_event(1), on(3, 2), campaign_event(4, user_id="bob")])
        assert count_campaign_events(connection) == 0
    assert read_counts(connection)[""] == (4, 0, 2, 0)
    assert_exact(connection, random.Random(2))


def test_what_is_rolled_back_is_not_counted(connection: psycopg.Connection) -> None:
    with connection.transaction():
        store(connection, [on(1, 4)])
        with pytest.raises(ZeroDivisionError), connection.transaction():
            store(connection, [on(2, 2)])
            raise ZeroDivisionError
        store(connection, [on(3, 0), on(2, 2, user_id="bob")])
    assert read_counts(connection)[""] == (3, 0, 2, 0)
    assert_exact(connection, random.Random(3))


def test_an_imported_history_counts(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> None:
    chance = random.Random(4)
    rows = [random_event(chance, days=200, users=30, ids=400) for _ in range(600)]
    file = tmp_path / "history.ndjson"
    file.write_text(
        "\n".join(
            json.dumps(
                {
                    "event_id": row.event_id, "anonymous_user_id": row.anonymous_user_id, "event_name": row.event_name,
                    "occurred_at": row.occurred_at.isoformat(), "properties": json.loads(row.properties),
                    "context": {"source": "campaign"},
                }
            )
            for row in rows
        )
    )  # fmt: skip
    result = import_file(database_url, "events", file)
    assert read_counts(connection)[""][0] == result.stored > 200
    assert_exact(connection, chance)


def test_escapes_do_not_hide_an_event(connection: psycopg.Connection) -> None:
    assert not may_hold_campaign_events([event_row(), event_row(context='{"source": "cam\\npaign"}')])
    hidden = campaign_event(1, context='{"so\\u0075rce": "c\\u0061mpaign"}')
    assert may_hold_campaign_events([event_row(), hidden])
    store(connection, [event_row(5), hidden])
    assert read_counts(connection)[""] == (1, 0, 1, 0)


def test_the_application_counts_for_the_tenants_in_its_scope_and_sees_no_others(
    database_url: str, connection: psycopg.Connection
) -> None:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    store(connection, [campaign_event(1, tenant_id="other"), campaign_event(2)])
    with connect(database_url, autocommit=True, role=APP_ROLE) as app:
        app.scope(["default"])
        store(app, [campaign_event(3, user_id="bob"), on(4, 3)])
        assert read_counts(app)[""] == (3, 0, 2, 0)
        assert read_counts(app, tenant_id="other") == {}
        for table in TABLES:
            found = app.execute(sql.SQL("SELECT DISTINCT tenant_id FROM {}").format(sql.Identifier(table))).fetchall()
            assert found == [("default",)], table
    assert_exact(connection, random.Random(5))


@pytest.fixture(scope="module")
def module_connection(postgres_server: str) -> Iterator[psycopg.Connection]:
    """One database for many examples."""
    with migrated_database(postgres_server) as url, psycopg.connect(url, autocommit=True) as own:
        own.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other'), ('third', 'Third')")
        yield own


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chance=st.integers(0, 2**32).map(random.Random),
    groups=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    users=st.integers(1, 6),
    days=st.sampled_from([2, 5, 12, 30, 900]),
)
def test_counts_equal_those_of_the_events_over_any_range(
    module_connection: psycopg.Connection, chance: random.Random, groups: list[int], users: int, days: int
) -> None:
    connection, ids = module_connection, chance.choice((0, 60))
    empty(connection, "event_logs", "ingestion_ledger")
    for size in groups:
        store(connection, [random_event(chance, tenants=2, users=users, days=days, ids=ids) for _ in range(size)])
    assert_exact(connection, chance)


def at_once(work: Callable[[psycopg.Connection, int], None], database_url: str, writers: int = 4) -> None:
    """Do some work on as many connections at the same time; fails where any of it does."""
    failures: list[BaseException] = []
    start = threading.Barrier(writers)

    def run(seed: int) -> None:
        try:
            with psycopg.connect(database_url, autocommit=True) as own:
                start.wait(30)
                work(own, seed)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_writers_at_once_do_not_deadlock_and_count_exactly(database_url: str, connection: psycopg.Connection) -> None:
    """The same few users and ids for all, groups of several tenants, refused events that push each other out."""
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other'), ('third', 'Third')")

    def work(own: psycopg.Connection, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(25):
            rows = [random_event(chance, tenants=3, days=40, ids=3_000) for _ in range(chance.choice((1, 10, 60)))]
            letters = [
                DeadLetter(tenant, NOW, "campaign", 0, "no", b"{}", b"{}")
                for tenant in chance.sample(("default", "other", "third"), 2)
            ]
            with own.transaction():
                write(own, [Lot(rows)], letters, cap=Cap(letters=3))

    at_once(work, database_url)
    facts = read_facts(connection)
    assert {tenant for tenant, *_ in facts} == {"default", "other", "third"}
    assert len(facts) > 800
    assert_exact(connection, random.Random(6), facts=facts)


def test_writers_of_one_user_see_each_others_days(database_url: str, connection: psycopg.Connection) -> None:
    def work(own: psycopg.Connection, seed: int) -> None:
        days = random.Random(seed).sample(range(40), 40)
        for number, days_ago in enumerate(days):
            store(own, [on(seed * 100 + number, days_ago)])

    at_once(work, database_url)
    assert read_counts(connection)[""] == (160, 0, 1, 0)
    assert_exact(connection, random.Random(7), ranges=200)
