"""The event store stores each id once, stamps assignments, and books every event in the ledger."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import psycopg

from pipeline.database import connect
from pipeline.ingestion.event_store import LedgerKey, Lot, StoreResult, Witness, store, transaction_status, write
from pipeline.statements import statement
from tests.makers import NOW, add_experiment, assign, event_row, event_rows


def stored_count(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM event_logs").fetchone()
    assert row is not None
    return int(row[0])


def ledger(connection: psycopg.Connection) -> tuple[int, ...]:
    row = connection.execute(
        "SELECT sum(received)::int, sum(stored)::int, sum(duplicate)::int, sum(conflict)::int, sum(rejected)::int"
        " FROM ingestion_ledger"
    ).fetchone()
    assert row is not None
    return row


def test_stores_every_column_as_given(connection: psycopg.Connection) -> None:
    row = event_row(
        session_id="s", install_id="i", sent_at=NOW + timedelta(microseconds=1), properties='{"a": [1, null]}',
        context='{"b": "x\\ty"}', assignment_version=1, assignments='[{"experiment_id": "e"}]',
        experiment_map='{"e": "A"}', schema_version=2,
    )  # fmt: skip
    store(connection, [row])
    columns = ", ".join(f"{name}::text" if name == "event_id" else name for name in row._fields)
    stored = connection.execute(f"SELECT {columns} FROM event_logs".encode()).fetchone()
    assert stored == row._replace(
        properties={"a": [1, None]}, context={"b": "x\ty"}, assignments=[{"experiment_id": "e"}],
        experiment_map={"e": "A"},
    )  # fmt: skip


def test_duplicates_in_a_batch_and_across_batches_are_stored_once(connection: psycopg.Connection) -> None:
    rows = event_rows(50)
    assert store(connection, [*rows, *rows[:10]]) == StoreResult(stored=50, duplicate=10, conflict=0)
    assert store(connection, rows) == StoreResult(stored=0, duplicate=50, conflict=0)
    assert stored_count(connection) == 50
    assert ledger(connection) == (110, 50, 60, 0, 0)


def test_same_id_with_another_payload_keeps_the_first_and_counts_a_conflict(connection: psycopg.Connection) -> None:
    first, second = event_row(properties='{"n": 1}'), event_row(properties='{"n": 2}')
    assert store(connection, [first, second]) == StoreResult(stored=1, duplicate=1, conflict=1)
    assert store(connection, [second, first]) == StoreResult(stored=0, duplicate=2, conflict=1)
    assert connection.execute("SELECT properties FROM event_logs").fetchall() == [({"n": 1},)]


def test_the_same_id_of_another_tenant_is_another_event(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    assert store(connection, [event_row(), event_row(tenant_id="other")]).stored == 2


def test_rejections_are_booked_with_the_group(connection: psycopg.Connection) -> None:
    store(connection, [event_row()], {LedgerKey("default", NOW.date()): 3})
    store(connection, [], {LedgerKey("default", NOW.date()): 2})
    assert ledger(connection) == (6, 1, 0, 0, 5)


def test_stamps_running_experiments_only_and_the_stored_variant(connection: psycopg.Connection) -> None:
    add_experiment(connection, "exp_a", {"A": 1, "B": 1})
    add_experiment(connection, "exp_b", {"A": 1})
    add_experiment(connection, "exp_paused", {"A": 1}, status="PAUSED")
    for experiment_id, variant_id in (("exp_a", "B"), ("exp_b", "gone"), ("exp_paused", "A")):
        assign(connection, ["user_0"], experiment_id, variant_id)
    store(connection, [event_row(0), event_row(1)])
    stamps = connection.execute(
        "SELECT assignment_version, assignments, experiment_map FROM event_logs ORDER BY event_id"
    ).fetchall()
    assert stamps == [
        (
            1,
            [
                {"experiment_id": "exp_a", "variant_id": "B", "variant_name": "name_B"},
                {"experiment_id": "exp_b", "variant_id": "gone", "variant_name": "gone"},
            ],
            {"exp_a": "B", "exp_b": "gone"},
        ),
        (None, [], {}),
    ]


def test_concurrent_writers_of_the_same_events_store_each_once_and_the_ledger_balances(
    database_url: str, connection: psycopg.Connection
) -> None:
    rows = event_rows(400)
    failures: list[BaseException] = []

    def write(offset: int) -> None:
        try:
            with psycopg.connect(database_url, autocommit=True) as own:
                for start in range(0, 400, 50):
                    at = (start + offset * 50) % 400
                    store(own, list(reversed(rows[at : at + 100])) if offset % 2 else rows[at : at + 100])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert stored_count(connection) == 400
    received, stored, duplicate, conflict, rejected = ledger(connection)
    assert (stored, conflict, rejected) == (400, 0, 0)
    assert received == stored + duplicate


def test_an_update_is_refused(connection: psycopg.Connection) -> None:
    store(connection, [event_row()])
    try:
        connection.execute("UPDATE event_logs SET event_name = 'other'")
    except psycopg.errors.RaiseException as error:
        assert "append-only" in str(error)
    else:
        raise AssertionError("the update went through")


def test_looking_up_assignments_does_not_read_those_of_others(connection: psycopg.Connection) -> None:
    """The whole key must be looked up: reading the index of all users instead costs more with every user."""
    connection.execute(
        "INSERT INTO assignments (anonymous_user_id, experiment_id, variant_id)"
        " SELECT 'other_' || number, 'e', 'A' FROM generate_series(1, 20000) AS number"
    )
    plans: list[str] = []
    with connection.transaction(force_rollback=True):
        write(connection, [Lot([row]) for row in event_rows(200, users=200)])
        plan = connection.execute(f"EXPLAIN (FORMAT JSON) {statement('ingest/store_events')}").fetchone()
        assert plan is not None
        find_conditions(plan[0][0]["Plan"], "assignments", plans)
    assert len(plans) == 1
    assert "tenant_id" in plans[0]
    assert "anonymous_user_id" in plans[0]


def find_conditions(node: dict[str, Any], table: str, found: list[str]) -> None:
    """Collect by what a plan looks rows of a table up in its indexes."""
    if node.get("Relation Name") == table:
        found.append(str(node.get("Index Cond") or [part["Index Cond"] for part in node.get("Plans", [])]))
    for part in node.get("Plans", []):
        find_conditions(part, table, found)


def test_what_became_of_a_transaction_is_told_also_when_its_id_was_given_to_another(
    connection: psycopg.Connection, database_url: str
) -> None:
    """A server that crashes forgets ids that it gave to transactions it lost, and gives them out again."""

    def status(xid: int, witness: Witness | None) -> str | None:
        with connect(database_url, autocommit=True) as asking:
            return transaction_status(asking, xid, witness)

    with connection.transaction():
        first = write(connection, [Lot([event_row(1)])])
        assert first.xid is not None
        assert first.witness == Witness("default", event_row(1).event_id)
        assert status(first.xid, first.witness) == "in progress"
    assert status(first.xid, first.witness) == "committed"
    lost = Witness("default", event_row(2).event_id)
    assert status(first.xid, lost) == "aborted", "another transaction has this id now"
    assert status(first.xid + 1_000, lost) == "aborted", "nobody has it"
    with connection.transaction(force_rollback=True):
        rolled_back = write(connection, [Lot([event_row(3)])])
    assert rolled_back.xid is not None
    assert status(rolled_back.xid, rolled_back.witness) == "aborted"
    with connection.transaction():
        again = write(connection, [Lot([event_row(1)])])
    assert again.xid is not None
    assert again.witness is None, "nothing was stored"
    assert status(again.xid, again.witness) == "committed"
    with connection.transaction():
        mixed = write(connection, [Lot([event_row(1), event_row(4)])])
    assert mixed.witness == Witness("default", event_row(4).event_id)
