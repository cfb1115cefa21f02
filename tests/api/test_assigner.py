"""Assignment in groups: one transaction for many users, and nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from api.assignment.assigner import Assigner
from api.assignment.bucketing import choose_variant
from api.assignment.decision import Answer, Subject
from api.assignment.experiment_cache import ExperimentCache
from api.assignment.experiments import Variant
from api.assignment.settlement import Question, settle
from api.database import Database
from api.errors import DatabaseUnavailableError, OverloadedError
from tests.makers import NOW, add_experiment, assign
from tests.waiting import wait_until

Outcome = Answer | BaseException


def subject(user: str, platform: str | None = None) -> Subject:
    return Subject(user, platform, None)


def variants_of(outcome: Outcome) -> dict[str, str]:
    assert isinstance(outcome, Answer), repr(outcome)
    return {given.experiment_id: given.variant.variant_id for given in outcome.assignments}


@asynccontextmanager
async def assigner_of(database_url: str | None, **options: Any) -> AsyncIterator[Assigner]:
    database = Database(database_url)
    await database.open()
    assigner = Assigner(database, ExperimentCache(database), **options)
    try:
        yield assigner
    finally:
        await assigner.close()
        await database.close()


@asynccontextmanager
async def raw_connection(database_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        yield connection


async def ask_all(assigner: Assigner, *subjects: Subject) -> list[Outcome]:
    return await asyncio.gather(*(assigner.assign("default", each, NOW) for each in subjects), return_exceptions=True)


def ask_together(database_url: str | None, *subjects: Subject, **options: Any) -> list[Outcome]:
    """Ask for all subjects at once, from one process; exceptions are returned in their places."""

    async def run() -> list[Outcome]:
        async with assigner_of(database_url, **options) as assigner:
            return await ask_all(assigner, *subjects)

    return asyncio.run(run())


def test_users_who_ask_together_are_stored_together_each_by_the_rule(
    database_url: str, connection: psycopg.Connection
) -> None:
    add_experiment(connection, "exp_1", {"A": 0.5, "B": 0.5})
    add_experiment(connection, "exp_2", {"A": 1, "B": 2, "C": 3})
    users = [f'user_{number} \\ " é \x01 {{}}' for number in range(200)]
    outcomes = ask_together(database_url, *map(subject, users))
    weights = {"exp_1": {"A": 0.5, "B": 0.5}, "exp_2": {"A": 1.0, "B": 2.0, "C": 3.0}}
    for user, outcome in zip(users, outcomes, strict=True):
        assert variants_of(outcome) == {
            experiment_id: choose_variant(
                user, experiment_id, [Variant(name, "", weight, None) for name, weight in given.items()]
            ).variant_id
            for experiment_id, given in weights.items()
        }
    stored = connection.execute(
        "SELECT count(*), count(DISTINCT anonymous_user_id), count(DISTINCT assignments.xmin::text) FROM assignments"
    ).fetchone()
    assert stored == (400, 200, 1)
    again = ask_together(database_url, *map(subject, users))
    assert [variants_of(outcome) for outcome in again] == [variants_of(outcome) for outcome in outcomes]
    assert connection.execute("SELECT count(DISTINCT assignments.xmin::text) FROM assignments").fetchone() == (1,)


def test_a_user_who_asks_twice_at_once_gets_each_time_what_matches(
    database_url: str, connection: psycopg.Connection
) -> None:
    add_experiment(connection, "everybody", {"A": 0.5, "B": 0.5})
    add_experiment(connection, "ios", {"A": 0.5, "B": 0.5}, targeting={"platform": "ios"})
    first, second, third = map(
        variants_of,
        ask_together(database_url, subject("user", "ios"), subject("user", "android"), subject("user", "ios")),
    )
    assert first == third
    assert set(first) == {"everybody", "ios"}
    assert second == {"everybody": first["everybody"]}
    assert connection.execute("SELECT count(*) FROM assignments").fetchone() == (2,)


def test_users_of_a_deleted_variant_are_moved_together(database_url: str, connection: psycopg.Connection) -> None:
    add_experiment(connection, "exp", {"B": 1, "C": 0})
    users = [f"user_{number}" for number in range(50)]
    assign(connection, users, "exp", "A")
    assign(connection, ["stays"], "exp", "C")
    outcomes = ask_together(database_url, *map(subject, [*users, "stays"]))
    assert [variants_of(outcome)["exp"] for outcome in outcomes] == ["B"] * 50 + ["C"]
    stored = connection.execute("SELECT variant_id, count(*) FROM assignments GROUP BY 1 ORDER BY 1").fetchall()
    assert stored == [("B", 50), ("C", 1)]


def test_one_user_who_cannot_be_stored_fails_alone(database_url: str, connection: psycopg.Connection) -> None:
    add_experiment(connection, "exp", {"A": 1})
    outcomes = ask_together(
        database_url, subject("one"), subject("nul\0"), subject("surrogate\ud800"), *map(subject, "abcdef")
    )
    assert isinstance(outcomes[1], psycopg.DataError)
    assert isinstance(outcomes[2], UnicodeEncodeError)
    assert [variants_of(outcome) for outcome in (outcomes[0], *outcomes[3:])] == [{"exp": "A"}] * 7


def test_a_user_locked_by_another_transaction_does_not_hold_up_the_others(
    database_url: str, connection: psycopg.Connection
) -> None:
    """The locked user waits, and gets what the other transaction commits; it gives up in time if that does not end."""
    add_experiment(connection, "exp", {"A": 1, "B": 0})

    async def run(release: Callable[[], Awaitable[None]]) -> tuple[list[Outcome], Outcome]:
        async with assigner_of(database_url) as assigner:
            asked = [asyncio.create_task(ask_all(assigner, subject(user))) for user in ("x", "locked", "y", "z")]
            locked = asked.pop(1)
            others = [outcome for outcomes in await asyncio.gather(*asked) for outcome in outcomes]
            assert not locked.done()
            await release()
            return others, (await locked)[0]

    with psycopg.connect(database_url) as importing:
        assign(importing, ["locked"], "exp", "B")

        async def commit() -> None:
            importing.commit()

        others, locked = asyncio.run(run(commit))
        assert [variants_of(outcome) for outcome in others] == [{"exp": "A"}] * 3
        assert variants_of(locked) == {"exp": "B"}

        connection.execute("DELETE FROM assignments")
        assign(importing, ["locked"], "exp", "B")
        others, locked = asyncio.run(run(lambda: asyncio.sleep(0)))
        assert [variants_of(outcome) for outcome in others] == [{"exp": "A"}] * 3
        assert isinstance(locked, DatabaseUnavailableError)


def test_processes_that_store_and_move_the_same_users_do_not_deadlock(
    database_url: str, connection: psycopg.Connection
) -> None:
    """Deadlocks would be repaired by trying again: here nothing tries again."""
    experiments = [f"exp_{number}" for number in range(4)]
    for experiment_id in experiments:
        add_experiment(connection, experiment_id, {"A": 0.5, "B": 0.5})
    users = [f"user_{number}" for number in range(1_000)]
    connection.execute(
        "INSERT INTO assignments (anonymous_user_id, experiment_id, variant_id)"
        " SELECT moved, experiment_id, 'gone' FROM unnest(%s::text[]) AS moved CROSS JOIN experiments",
        [users[500:]],
    )
    chance = random.Random(1)

    async def run() -> list[Outcome | None]:
        cache = ExperimentCache(Database(None))
        outcomes: list[Outcome | None] = []
        async with raw_connection(database_url) as one, raw_connection(database_url) as two:
            for start in range(0, 1_000, 100):
                questions = [Question(subject(user), NOW) for user in users[start : start + 100]]
                orders = [chance.sample(questions, len(questions)) for _ in range(2)]
                for answers in await asyncio.gather(
                    *(settle(each, cache, "default", order) for each, order in zip((one, two), orders, strict=True))
                ):
                    outcomes += answers
        return outcomes

    given = {tuple(variants_of(outcome)) for outcome in asyncio.run(run()) if outcome is not None}
    assert given == {tuple(experiments)}
    stored = connection.execute("SELECT count(*), count(*) FILTER (WHERE variant_id = 'gone') FROM assignments")
    assert stored.fetchone() == (4_000, 0)


def test_more_than_may_wait_is_refused_and_the_rest_served(database_url: str, connection: psycopg.Connection) -> None:
    add_experiment(connection, "exp", {"A": 1})
    outcomes = ask_together(database_url, *map(subject, "abc"), max_waiting=2)
    assert [variants_of(outcome) for outcome in outcomes[:2]] == [{"exp": "A"}] * 2
    assert isinstance(outcomes[2], OverloadedError)


def test_without_a_database_everybody_learns_it() -> None:
    outcomes = ask_together(None, *map(subject, "abc"))
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailableError] * 3


def test_the_running_experiments_are_known_without_asking_and_soon_after_a_change(
    database_url: str, connection: psycopg.Connection
) -> None:
    add_experiment(connection, "b", {"A": 1})
    add_experiment(connection, "a_without_variants", {})
    add_experiment(connection, "paused", {"A": 1}, status="PAUSED")

    async def run() -> list[tuple[str, ...] | None]:
        database = Database(database_url)
        cache = ExperimentCache(database)
        seen = [cache.running_ids("default")]
        await database.open()
        await cache.start()
        await asyncio.to_thread(wait_until, lambda: cache.running_ids("default") is not None)
        seen.append(cache.running_ids("default"))
        connection.execute("UPDATE experiments SET status = 'RUNNING' WHERE experiment_id = 'paused'")
        await asyncio.to_thread(wait_until, lambda: cache.running_ids("default") != seen[1])
        seen.append(cache.running_ids("default"))
        await cache.close()
        await database.close()
        with pytest.raises(DatabaseUnavailableError):
            while True:  # it asks as soon as what it knows is old enough
                await cache.refresh()
                await asyncio.sleep(0)
        return [*seen, cache.running_ids("default")]

    running = ("a_without_variants", "b")
    assert asyncio.run(run()) == [None, running, (*running, "paused"), (*running, "paused")]


def test_users_are_found_by_index_however_small_the_table_was_at_first(
    database_url: str, connection: psycopg.Connection
) -> None:
    """A plan made for an empty table, and kept, would read the whole of it for every group."""
    add_experiment(connection, "exp", {"A": 1})

    async def run() -> None:
        async with assigner_of(database_url) as assigner:
            for number in range(30):
                await assigner.assign("default", subject(f"early_{number}"), NOW)
            with connection.cursor().copy(
                "COPY assignments (anonymous_user_id, experiment_id, variant_id) FROM STDIN"
            ) as copy:
                for number in range(10_000):
                    copy.write_row((f"user_{number}", "exp", "A"))
            for number in range(10):
                await assigner.assign("default", subject(f"user_{number}"), NOW)

    asyncio.run(run())

    backends = "SELECT FROM pg_stat_activity WHERE application_name = 'tidemark-api' AND datname = current_database()"
    wait_until(lambda: connection.execute(backends).fetchone() is None, "the statistics of connections that ended")
    read = connection.execute(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'assignments'"
    ).fetchone()
    assert read is not None
    assert 10 <= read[0] < 1_000
