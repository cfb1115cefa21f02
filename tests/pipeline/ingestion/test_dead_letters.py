"""Dead letters: kept with the ledger or not at all, capped per tenant, and every one accounted for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import psycopg
import pytest

from pipeline.ingestion.dead_letters import (
    MAX_REASON_CHARACTERS,
    Cap,
    DeadLetter,
    Selection,
    TenantAccount,
    find,
    keep,
    newest_id,
    read_accounts,
    settle,
    take,
)
from pipeline.ingestion.event_store import LedgerKey, Lot, store, write
from tests.makers import NOW, event_row

DAY = NOW.date()
LEDGER = "SELECT sum(received), sum(stored), sum(duplicate), sum(rejected) FROM ingestion_ledger"
TOTALS = "SELECT sum(letters), sum(bytes) FROM dead_letter_totals WHERE tenant_id = 'default'"


def letter(number: int = 0, *, tenant_id: str = "default", event: bytes = b'{"a":1}', reason: str = "no") -> DeadLetter:
    return DeadLetter(tenant_id, NOW + timedelta(seconds=number), "mobile", number, reason, b"{}", event)


def keep_all(connection: psycopg.Connection, letters: Sequence[DeadLetter], cap: Cap) -> int:
    with connection.transaction():
        return keep(connection, letters, cap)


def kept_indexes(connection: psycopg.Connection, tenant_id: str = "default") -> list[int]:
    rows = connection.execute("SELECT event_index FROM dead_letters WHERE tenant_id = %s ORDER BY id", [tenant_id])
    return [row[0] for row in rows]


@pytest.fixture
def other_tenant(connection: psycopg.Connection) -> str:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    return "other"


def test_a_letter_is_kept_byte_by_byte_with_the_ledger_s_rejection(connection: psycopg.Connection) -> None:
    odd = letter(event=b'{"a":"\\u0000\xff"}\x00', reason="why")
    with connection.transaction():
        write(connection, [Lot([event_row(), event_row(1)])], [odd])
    total, found = find(connection)
    assert (total, [kept.letter for kept in found]) == (1, [odd])
    assert connection.execute(LEDGER).fetchone() == (3, 2, 0, 1)


def test_a_transaction_that_fails_keeps_no_letter(connection: psycopg.Connection) -> None:
    poison = event_row(properties='{"a":"\\u0000"}')
    with pytest.raises(psycopg.DataError), connection.transaction():
        write(connection, [Lot([poison])], [letter()])
    with pytest.raises(RuntimeError, match="stop"), connection.transaction():
        write(connection, [Lot([event_row()])], [letter()])
        raise RuntimeError("stop")
    assert find(connection) == (0, [])
    assert connection.execute(LEDGER).fetchone() == (None, None, None, None)
    assert read_accounts(connection) == []


def test_a_reason_that_text_cannot_hold_does_not_fail_the_group(connection: psycopg.Connection) -> None:
    keep_all(connection, [letter(reason="a\0b\ud800" + "c" * 1000)], Cap())
    reason = find(connection)[1][0].letter.reason
    assert reason[:4] == "a\ufffdb\ufffd"
    assert len(reason) == MAX_REASON_CHARACTERS


def test_the_oldest_beyond_the_number_are_dropped_and_counted(
    connection: psycopg.Connection, other_tenant: str
) -> None:
    cap = Cap(letters=5)
    assert keep_all(connection, [letter(number) for number in range(4)], cap) == 0
    assert keep_all(connection, [letter(9, tenant_id=other_tenant)], cap) == 0
    assert keep_all(connection, [letter(number) for number in range(4, 8)], cap) == 3
    assert kept_indexes(connection) == [3, 4, 5, 6, 7]
    assert kept_indexes(connection, other_tenant) == [9]
    assert read_accounts(connection) == [
        TenantAccount("default", 5, 45, replayed=0, dropped=3, not_kept=0),
        TenantAccount("other", 1, 9, replayed=0, dropped=0, not_kept=0),
    ]
    assert connection.execute(TOTALS).fetchone() == (5, 45)


def test_the_oldest_beyond_the_bytes_are_dropped(connection: psycopg.Connection) -> None:
    cap = Cap(bytes=1_000)
    keep_all(connection, [letter(number, event=b"x" * 298) for number in range(3)], cap)
    assert kept_indexes(connection) == [0, 1, 2]
    assert keep_all(connection, [letter(3, event=b"x" * 98)], cap) == 0, "just full"
    assert keep_all(connection, [letter(4, event=b"x" * 8)], cap) == 1
    assert kept_indexes(connection) == [1, 2, 3, 4]
    assert keep_all(connection, [letter(5, event=b"x" * 2_000)], cap) == 5, "one that never fits is dropped itself"
    assert connection.execute(TOTALS).fetchone() == (0, 0)


def test_one_group_larger_than_the_cap_leaves_its_end(connection: psycopg.Connection) -> None:
    assert keep_all(connection, [letter(number) for number in range(3_500)], Cap(letters=10)) == 3_490
    assert kept_indexes(connection) == list(range(3_490, 3_500))


def test_a_cap_of_nothing_keeps_nothing_and_counts_all(connection: psycopg.Connection) -> None:
    assert keep_all(connection, [letter(1), letter(2)], Cap(letters=0)) == 2
    assert read_accounts(connection) == [TenantAccount("default", 0, 0, 0, 2, 0)]


def test_dropped_letters_are_booked_on_the_day_they_were_received(connection: psycopg.Connection) -> None:
    yesterday = letter()._replace(received_at=NOW - timedelta(seconds=1))
    keep_all(connection, [yesterday, yesterday, letter(1), letter(2)], Cap(letters=1))
    rows = connection.execute("SELECT day, sum(dropped) FROM dead_letter_ledger GROUP BY day ORDER BY day").fetchall()
    assert rows == [(DAY - timedelta(days=1), 2), (DAY, 1)]


def test_two_writers_that_drop_at_once_do_not_wait_and_do_not_drop_twice_as_many(
    database_url: str, connection: psycopg.Connection
) -> None:
    cap = Cap(letters=10)
    keep_all(connection, [letter(number) for number in range(10)], cap)
    with psycopg.connect(database_url) as first, another_slot(database_url, first) as second:
        assert keep(first, [letter(10)], cap) == 1  # holds the lock of letter 0
        assert keep_all(second, [letter(11)], cap) == 0, "the one to drop is being dropped"
    assert kept_indexes(connection) == list(range(1, 12))
    assert keep_all(connection, [letter(12)], cap) == 2
    assert kept_indexes(connection) == list(range(3, 13))


@contextmanager
def another_slot(database_url: str, first: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A connection that waits for nobody, and whose totals are in another row than those of the first."""
    with ExitStack() as stack:
        while True:
            other = stack.enter_context(psycopg.connect(database_url, autocommit=True, options="-c lock_timeout=1ms"))
            if (other.info.backend_pid - first.info.backend_pid) % 16:
                break
        yield other


def test_many_writers_at_the_cap_neither_deadlock_nor_lose_count(
    database_url: str, connection: psycopg.Connection, other_tenant: str
) -> None:
    cap = Cap(letters=50)
    barrier = threading.Barrier(6)

    def work(worker: int) -> None:
        tenants = ["default", other_tenant] if worker % 2 else [other_tenant, "default"]
        with psycopg.connect(database_url, autocommit=True) as own:
            barrier.wait()
            for round_ in range(20):
                at = NOW - timedelta(days=(worker + round_) % 3)
                letters = [letter(tenant_id=tenant)._replace(received_at=at) for tenant in tenants for _ in range(5)]
                rows = [event_row(round_ * 10 + number, received_at=at) for number in range(5)]
                with own.transaction():
                    write(own, [Lot(rows)], letters, cap=cap)

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work, worker) for worker in range(6)]:
            done.result()
    keep_all(connection, [letter(), letter(tenant_id=other_tenant)], cap)
    accounts = read_accounts(connection)
    assert [(account.letters, account.dropped) for account in accounts] == [(50, 551), (50, 551)]
    assert connection.execute(TOTALS).fetchone() == (50, accounts[0].bytes)
    assert connection.execute("SELECT sum(rejected) FROM ingestion_ledger").fetchone() == (1_200,)


def test_rejections_that_an_import_keeps_in_its_file_are_booked_as_not_kept(connection: psycopg.Connection) -> None:
    store(connection, [event_row()], {LedgerKey("default", DAY): 3})
    assert read_accounts(connection) == [TenantAccount("default", 0, 0, replayed=0, dropped=0, not_kept=3)]


def test_letters_are_found_by_tenant_and_by_a_part_of_the_reason(
    connection: psycopg.Connection, other_tenant: str
) -> None:
    letters = [letter(1, reason="Required"), letter(2, reason="odd % name"), letter(3, tenant_id=other_tenant)]
    keep_all(connection, letters, Cap())
    assert [kept.letter.event_index for kept in find(connection)[1]] == [3, 2, 1]
    assert [kept.letter.event_index for kept in find(connection, tenant_id="default")[1]] == [2, 1]
    assert [kept.letter.event_index for kept in find(connection, reason="require")[1]] == [1]
    assert [kept.letter.event_index for kept in find(connection, reason="%")[1]] == [2]
    total, found = find(connection, letters=1)
    assert (total, len(found)) == (3, 1)


def test_letters_are_taken_in_order_and_by_size_and_past_those_of_others(
    database_url: str, connection: psycopg.Connection
) -> None:
    keep_all(connection, [letter(number, event=b"x" * 98) for number in range(6)], Cap())
    upto = newest_id(connection)
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        ours = take(first, Selection(), 0, upto, letters=2, size=10_000)
        theirs = take(second, Selection(), 0, upto, letters=10, size=250)
        assert [kept.letter.event_index for kept in ours] == [0, 1]
        assert [kept.letter.event_index for kept in theirs] == [2, 3], "two fit into 250 bytes"
        large = take(second, Selection(ids=(upto,)), 0, upto, letters=10, size=1)
        assert [kept.letter.event_index for kept in large] == [5], "one at least"
        assert take(second, Selection(), 0, 0, letters=10, size=10_000) == []
        assert take(second, Selection(tenant_id="other"), 0, upto, letters=10, size=10_000) == []


def test_settled_letters_are_gone_and_counted_and_the_others_have_a_new_reason(connection: psycopg.Connection) -> None:
    keep_all(connection, [letter(0), letter(1), letter(2)], Cap())
    with connection.transaction():
        kept = take(connection, Selection(), 0, newest_id(connection), letters=3, size=10_000)
        settle(connection, kept[:2], [(kept[2], "still\0wrong")])
    assert [left.letter.reason for left in find(connection)[1]] == ["still\ufffdwrong"]
    assert read_accounts(connection) == [TenantAccount("default", 1, 9, replayed=2, dropped=0, not_kept=0)]
    assert connection.execute(TOTALS).fetchone() == (1, 9)
