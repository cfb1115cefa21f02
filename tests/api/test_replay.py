"""From a refused event to a stored one: kept through the real API, replayed by today's rules, accounted for."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from api.ingestion.batch import UNSTORABLE
from api.ingestion.refused import WHOLE_REQUEST, dead_letters
from api.ingestion.replay import ReplayResult, read_again, replay
from pipeline.ingestion.conservation import conservation
from pipeline.ingestion.dead_letters import DeadLetter, Selection, find, keep, read_accounts
from pipeline.ingestion.event_store import LedgerKey, Lot, write
from pipeline.settings import Settings
from tests.api.conftest import SettableClock
from tests.makers import NOW, event_row

LATER = NOW + timedelta(days=3)
GOOD = {"event_name": "app_opened", "occurred_at": "2026-02-18T10:00:00Z"}
EARLY = {"event_name": "app_opened", "occurred_at": "2026-02-20T10:00:00Z", "properties": {"n": 1.50}}
WRONG = {"event_name": "no such name", "occurred_at": "2026-02-18T10:00:00Z"}
REJECTED = "SELECT day, sum(received), sum(stored), sum(duplicate), sum(rejected) FROM ingestion_ledger"


def body(*events: Any, **envelope: Any) -> bytes:
    return json.dumps({"anonymous_user_id": "u", "session_id": "s", **envelope, "events": list(events)}).encode()


def refused(content: bytes, errors: dict[int, str], tenant_id: str = "default") -> list[DeadLetter]:
    return dead_letters("mobile", tenant_id, NOW, content, errors)


def keep_refused(connection: psycopg.Connection, letters: list[DeadLetter]) -> None:
    with connection.transaction():
        write(connection, [], letters)


def replay_all(connection: psycopg.Connection, **options: Any) -> ReplayResult:
    return replay(connection, Selection(), clock=lambda: LATER, **options)


def problems(settings: Settings, database_url: str) -> list[str]:
    return conservation(settings, database_url, None).problems


def ledger(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(f"{REJECTED} GROUP BY day ORDER BY day".encode()).fetchall()


def test_what_the_api_refuses_within_a_batch_is_kept_and_what_it_refuses_as_a_whole_is_not(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    content = b'{"anonymous_user_id":"u", "events":[' + json.dumps(GOOD).encode() + b', {"event_name" : "a b"} ]}'
    answer = client.post("/v1/events", content=content).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert client.post("/v1/events", content=b'{"events":[1]}').status_code == 400
    assert client.post("/v1/events", content=b"[").status_code == 400
    total, (kept,) = find(connection)
    assert total == 1
    assert kept.letter == DeadLetter(
        "default", NOW, "mobile", 1, answer["results"][1]["error"], b'{"anonymous_user_id":"u"}',
        b'{"event_name" : "a b"}',
    )  # fmt: skip


def test_an_event_that_is_acceptable_by_now_is_stored_as_its_request_would_have(
    client: httpx.Client, clock: SettableClock, connection: psycopg.Connection, settings: Settings, database_url: str
) -> None:
    content = body(WRONG, GOOD, EARLY, sent_at="2026-02-19T00:00:00Z", platform="ios")
    results = client.post("/v1/events", content=content).json()["results"]
    assert [result["status"] for result in results] == ["rejected", "accepted", "rejected"]
    done = replay_all(connection)
    assert (done.replayed, done.stored, done.duplicate) == (1, 1, 0)
    assert [(left.event_index, left.reason) for left in done.refused] == [(0, results[0]["error"])]
    clock.now = LATER
    retried = client.post("/v1/events", content=content).json()["results"]
    row = connection.execute(
        "SELECT event_id::text, session_id, platform, received_at, properties::text FROM event_logs"
        " WHERE occurred_at > '2026-02-20'"
    ).fetchall()
    assert row == [(retried[2]["event_id"], "s", "ios", LATER, '{"n": 1.5}')], "the retry was a duplicate"
    assert ledger(connection) == [(NOW.date(), 3, 1, 0, 2), (LATER.date(), 4, 1, 2, 1)]
    assert [account[3:] for account in read_accounts(connection)] == [(1, 0, 0)]
    assert problems(settings, database_url) == []


def test_a_second_replay_finds_nothing_to_do(connection: psycopg.Connection) -> None:
    keep_refused(connection, refused(body(EARLY), {0: "early"}))
    assert replay_all(connection).stored == 1
    assert replay_all(connection) == ReplayResult()


def test_two_letters_of_one_event_are_one_event(connection: psycopg.Connection) -> None:
    for _ in range(2):
        keep_refused(connection, refused(body(EARLY), {0: "early"}))
    done = replay_all(connection)
    assert (done.replayed, done.stored, done.duplicate) == (2, 1, 1)


def test_a_dry_run_says_the_same_and_changes_nothing(
    connection: psycopg.Connection, settings: Settings, database_url: str
) -> None:
    keep_refused(connection, refused(body(EARLY, WRONG, EARLY), {0: "early", 1: "old reason", 2: "early"}))
    before = (find(connection), ledger(connection))
    tried = replay_all(connection, dry_run=True)
    assert (find(connection), ledger(connection)) == before
    assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (0,)
    assert tried == replay_all(connection)
    assert problems(settings, database_url) == []


def test_the_reason_is_brought_up_to_date(connection: psycopg.Connection) -> None:
    keep_refused(connection, refused(body(WRONG), {0: "old reason"}))
    replay_all(connection)
    assert [kept.letter.reason for kept in find(connection)[1]] == ["event_name has invalid characters"]


def test_letters_keep_their_tenant(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    keep_refused(connection, [*refused(body(EARLY), {0: "a"}), *refused(body(EARLY), {0: "a"}, "other")])
    done = replay(connection, Selection(tenant_id="other"), clock=lambda: LATER)
    assert done.stored == 1
    assert connection.execute("SELECT tenant_id FROM event_logs").fetchall() == [("other",)]
    assert [kept.letter.tenant_id for kept in find(connection)[1]] == ["default"]


def test_one_that_the_database_refuses_stays_and_its_neighbours_do_not(
    connection: psycopg.Connection, settings: Settings, database_url: str
) -> None:
    keep_refused(
        connection, refused(body(EARLY, {**EARLY, "event_name": "poison"}, EARLY), dict.fromkeys(range(3), ""))
    )
    connection.execute("ALTER TABLE event_logs ADD CHECK (event_name <> 'poison')")
    done = replay_all(connection)
    assert (done.replayed, done.stored) == (2, 2)
    assert [(left.event_index, left.reason) for left in done.refused] == [(1, UNSTORABLE)]
    assert [kept.letter.reason for kept in find(connection)[1]] == [UNSTORABLE]
    assert problems(settings, database_url) == []


def test_a_request_kept_as_a_whole_is_replayed_as_a_whole(connection: psycopg.Connection) -> None:
    errors = {WHOLE_REQUEST: "unreadable"}
    keep_refused(connection, [*refused(body(GOOD, EARLY), errors), *refused(body(GOOD, WRONG, user=1), errors)])
    done = replay_all(connection)
    assert (done.replayed, done.stored, len(done.refused)) == (1, 2, 1)


def test_a_visit_without_a_time_happened_when_it_was_received() -> None:
    visit = b'{"site_id":"s","event_type":"page_view","path":"/"}'
    events = read_again(DeadLetter("default", NOW, "retail", 0, "", b"{}", visit), LATER)
    assert [(row.occurred_at, row.received_at) for row in events if not isinstance(row, str)] == [(NOW, LATER)]
    assert isinstance(read_again(DeadLetter("default", NOW, "retail", 0, "", b"{}", b"{}"), LATER), str)
    unknown = read_again(DeadLetter("default", NOW, "carrier pigeon", 0, "", b"{}", b"{}"), LATER)
    assert unknown == "this version does not know protocol carrier pigeon"


@pytest.mark.parametrize("event", [b"5", b"null", b"[" * 50_000 + b"]" * 50_000, b'{"a":', b"\xff", b"}],"])
def test_a_letter_that_makes_no_event_stays(connection: psycopg.Connection, event: bytes) -> None:
    with connection.transaction():
        keep(connection, [DeadLetter("default", NOW, "mobile", 0, "", b'{"anonymous_user_id":"u"}', event)])
    assert len(replay_all(connection).refused) == 1
    assert find(connection)[0] == 1


def test_two_replays_at_once_share_the_work_beside_a_writer(
    connection: psycopg.Connection, settings: Settings, database_url: str
) -> None:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    for start in range(0, 3_000, 100):
        events = [{**EARLY, "event_id": str(uuid.UUID(int=start + number))} for number in range(100)]
        tenant_id = "other" if start % 200 else "default"
        keep_refused(connection, refused(body(*events), dict.fromkeys(range(100), "early"), tenant_id))

    def run(worker: int) -> ReplayResult | None:
        with psycopg.connect(database_url, autocommit=True) as own:
            if worker < 2:
                return replay_all(own)
            for number in range(60):
                at = LATER if number % 2 else NOW
                rows = [event_row(10_000 + number, received_at=at), event_row(number, received_at=at)]
                with own.transaction():
                    write(own, [Lot(rows)], refused(body(WRONG), {0: "wrong"}))
            return None

    with ThreadPoolExecutor(4) as pool:
        first, second, *_ = [done.result() for done in [pool.submit(run, worker) for worker in range(4)]]
    assert first is not None
    assert second is not None
    rest = replay_all(connection)
    assert rest.stored == 0, "between them they saw every letter"
    assert first.replayed + second.replayed == 3_000
    assert find(connection)[0] == 120
    assert [(account.letters, account.replayed) for account in read_accounts(connection)] == [(120, 1_500), (0, 1_500)]
    assert problems(settings, database_url) == []


def test_conservation_holds_when_the_import_rejected_some_too(
    connection: psycopg.Connection, settings: Settings, database_url: str
) -> None:
    with connection.transaction():
        write(
            connection,
            [Lot([event_row()])],
            refused(body(WRONG), {0: "a"}),
            rejected={LedgerKey("default", NOW.date()): 2},
        )
    assert problems(settings, database_url) == []
