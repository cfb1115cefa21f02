"""An erased person leaves the campaign counts exactly: what others counted stays, wherever the events were by then."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.erasure.database import settle
from pipeline.erasure.person import Person
from pipeline.erasure.run import find
from pipeline.export.run import export
from pipeline.ingestion.event_store import store
from pipeline.retention.prune import prune
from pipeline.settings import Settings
from pipeline.statements import statement
from tests.databases import migrated_database
from tests.makers import NOW
from tests.pipeline.erasure.erasure_world import World
from tests.pipeline.ingestion.campaign_world import (
    assert_exact,
    campaign_event,
    empty,
    random_event,
    read_counts,
    read_facts,
)

ANN = Person("default", "ann-with-a-distinct-id")


def settle_now(connection: psycopg.Connection, person: Person) -> None:
    """Take a person out of Postgres, whose lake is empty."""
    erasure_id = uuid.uuid4()
    asked = {"erasure_id": erasure_id, "tenant_id": person.tenant_id, "requested_at": NOW}
    connection.execute(statement("erasure/open_erasure"), asked)
    settle(connection, person, erasure_id, [])


@pytest.fixture(scope="module")
def module_connection(postgres_server: str) -> Iterator[psycopg.Connection]:
    """One database for many examples."""
    with migrated_database(postgres_server) as url, psycopg.connect(url, autocommit=True) as own:
        own.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
        yield own


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), days=st.sampled_from([3, 12, 900]), erased=st.integers(1, 3))
def test_counts_equal_those_of_the_events_that_are_left(
    module_connection: psycopg.Connection, seed: int, days: int, erased: int
) -> None:
    connection, chance = module_connection, random.Random(seed)
    empty(connection, "event_logs", "removed_event_ids", "removed_events", "ingestion_ledger")
    for number in range(erased):
        store(connection, [random_event(chance, tenants=2, users=4, days=days) for _ in range(30)])
        settle_now(connection, Person("default", f"user_{number}"))
        assert_exact(connection, chance, ranges=20)
    store(connection, [random_event(chance, tenants=2, users=4, days=days) for _ in range(20)])
    assert_exact(connection, chance)


@pytest.mark.parametrize("distance", [398, 399, 400, 401, 900])
def test_days_far_apart_leave_the_counts_of_the_longest_ranges(connection: psycopg.Connection, distance: int) -> None:
    for number, user in enumerate((ANN.user_id, "bob")):
        days = (NOW, NOW - timedelta(days=distance), NOW - timedelta(days=distance + 1))
        store(connection, [campaign_event(9 * number + n, user_id=user, occurred_at=at) for n, at in enumerate(days)])
    settle_now(connection, ANN)
    for length in range(390, 401):
        assert read_counts(connection, NOW.date() - timedelta(days=length - 1), NOW.date())[""][2:] == (1, 0), length
    assert_exact(connection, random.Random(distance))


def test_nothing_is_left_of_a_scope_that_was_the_persons_alone(connection: psycopg.Connection) -> None:
    store(connection, [campaign_event(n, user_id="ann", experiment_id="of ann", variant="hers") for n in range(3)])
    store(connection, [campaign_event(9, user_id="bob")])
    settle_now(connection, Person("default", "ann"))
    assert read_counts(connection) == {"": (1, 0, 1, 0), "A": (1, 0, 1, 0)}
    names = "SELECT DISTINCT experiment_id, variant FROM {} ORDER BY 1, 2"
    for table in ("campaign_counts", "campaign_user_days"):
        assert connection.execute(names.format(table).encode()).fetchall() == [
            ("", ""),
            ("", "A"),
            ("e", ""),
            ("e", "A"),
        ]


def test_events_that_were_pruned_leave_the_counts_too(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    world = World(Settings(home=tmp_path), database_url, connection)
    chance = random.Random(1)
    rows = [
        random_event(chance, days=5, users=3)._replace(
            occurred_at=NOW - timedelta(days=days_ago, hours=n), received_at=NOW - timedelta(days=days_ago)
        )
        for days_ago in (50, 45)
        for n in range(20)
    ]
    rows += [random_event(chance, days=3, users=3) for _ in range(20)]
    rows = [
        row._replace(anonymous_user_id=ANN.user_id if row.anonymous_user_id == "user_1" else row.anonymous_user_id)
        for row in rows
    ]
    store(connection, rows)
    facts = read_facts(connection)
    export(database_url, world.lake)
    assert prune(world.settings, database_url, world.lake, NOW).removed == 40
    assert_exact(connection, chance, facts=facts)
    assert find(world.settings, database_url, ANN)["campaign_user_days"] > 1

    assert world.erase_only(ANN).certificate["removed"]["campaign_user_days"] > 1

    assert_exact(connection, chance, facts=[fact for fact in facts if fact[4] != ANN.user_id])
    assert find(world.settings, database_url, ANN) == {}


def test_a_name_that_has_the_persons_id_in_it_moves_to_one_without(connection: psycopg.Connection) -> None:
    chance = random.Random(2)
    mine, theirs = f"for {ANN.user_id}", "for erased"
    for number in range(60):
        row = random_event(chance, users=5, days=20)
        names = (mine, theirs, row.properties)[number % 3]
        properties = (
            names if names == row.properties else f'{{"experimentId": "{names}", "variant": "{names} {number % 2}"}}'
        )
        store(connection, [row._replace(properties=properties)])
    settle_now(connection, ANN)
    assert ANN.user_id not in str(connection.execute("SELECT experiment_id, variant FROM campaign_counts").fetchall())
    assert ANN.user_id not in str(
        connection.execute("SELECT experiment_id, variant FROM campaign_user_days").fetchall()
    )
    assert read_counts(connection, experiment_id=theirs)[""][0] == 40
    assert_exact(connection, chance, ranges=80)


def test_erasures_beside_writers_of_the_same_person_leave_the_counts_exact(
    database_url: str, connection: psycopg.Connection
) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(3)

    def write(seed: int) -> None:
        chance = random.Random(seed)
        try:
            with psycopg.connect(database_url, autocommit=True) as own:
                start.wait(30)
                for _ in range(30):
                    store(own, [random_event(chance, users=3, days=9) for _ in range(chance.choice((1, 8)))])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    start.wait(30)
    erasures = 0
    while any(thread.is_alive() for thread in threads):
        settle_now(connection, Person("default", f"user_{erasures % 3}"))
        erasures += 1
    for thread in threads:
        thread.join()
    assert failures == []
    assert erasures > 2
    assert_exact(connection, random.Random(3), ranges=100)
