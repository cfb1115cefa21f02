"""`dead-letters list` and `replay` as a person runs them: what they show, hide, change and survive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.ingestion.refused import dead_letters
from pipeline.ingestion.conservation import conservation
from pipeline.ingestion.dead_letters import Cap, DeadLetter, read_accounts
from pipeline.ingestion.event_store import write
from pipeline.settings import REPOSITORY, Settings
from tests.makers import NOW
from tests.waiting import wait_until

USER = "0123456789abcdef-user"
# Both are in the past by now, so that today's rules accept what was once refused for being early.
EARLY = {"event_name": "app_opened", "occurred_at": "2026-02-19T10:00:00Z"}
WRONG = {"event_name": "no\u001b[31m name", "occurred_at": "2026-02-18T10:00:00Z", "context": {"device_id": USER}}


class Tidemark:
    """The command line, with a database and a home."""

    def __init__(self, database_url: str, home: Path) -> None:
        self.environment = {**os.environ, "DATABASE_URL": database_url, "TIDEMARK_HOME": str(home)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments],
            cwd=REPOSITORY, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def answer(self, *arguments: str, code: int = 0) -> Any:
        returned, out, err = self.run(*arguments)
        assert returned == code, err
        return json.loads(out)


@pytest.fixture
def tidemark(database_url: str, tmp_path: Path) -> Tidemark:
    return Tidemark(database_url, tmp_path / "home")


def keep_refused(connection: psycopg.Connection, *events: Any, cap: Cap | None = None, tenant: str = "default") -> None:
    content = json.dumps({"anonymous_user_id": USER, "events": events}).encode()
    letters = dead_letters("mobile", tenant, NOW, content, {index: f"reason {index}" for index in range(len(events))})
    with connection.transaction():
        write(connection, [], letters, cap=cap or Cap())


def test_letters_are_listed_newest_first_with_ids_masked(tidemark: Tidemark, connection: psycopg.Connection) -> None:
    keep_refused(connection, EARLY, WRONG, EARLY, cap=Cap(letters=2))
    listed = tidemark.answer("dead-letters", "list")
    assert listed["tenants"] == [
        {"tenant_id": "default", "letters": 2, "bytes": listed["tenants"][0]["bytes"], "replayed": 0, "dropped": 1,
         "not_kept": 0}
    ]  # fmt: skip
    assert (listed["ok"], listed["total"]) == (True, 2)
    newest, oldest = listed["letters"]
    assert oldest == {
        "id": newest["id"] - 1,
        "tenant": "default",
        "received_at": "2026-02-19T00:00:00.000Z",
        "protocol": "mobile",
        "event_index": 1,
        "reason": "reason 1",
        "bytes": oldest["bytes"],
        "envelope": '{"anonymous_user_id":"01234567...user"}',
        "event": json.dumps(WRONG).replace(USER, "01234567...user"),
    }
    full = tidemark.answer("dead-letters", "list", "--full", "--limit", "1", "--reason", "REASON 1")
    assert full["letters"][0]["event"] == json.dumps(WRONG)
    assert USER in full["letters"][0]["envelope"]


def test_what_a_terminal_would_obey_is_escaped_and_long_events_are_cut(
    tidemark: Tidemark, connection: psycopg.Connection
) -> None:
    with connection.transaction():
        odd = DeadLetter("default", NOW, "retail", 0, "\u001b[2J", b"{}", b"\x1b[31m\x00\xff" + b"x" * 1_000)
        write(connection, [], [odd])
    _, out, _ = tidemark.run("dead-letters", "list")
    assert "\x1b" not in out
    (letter,) = json.loads(out)["letters"]
    assert letter["event"].startswith("\x1b[31m\0\\xffx")
    assert letter["event"].endswith("xxx...")
    assert len(letter["event"]) == 303
    assert len(tidemark.answer("dead-letters", "list", "--full")["letters"][0]["event"]) == 1_010


def test_a_replay_stores_what_is_right_by_now_and_reports_what_stays(
    tidemark: Tidemark, connection: psycopg.Connection
) -> None:
    keep_refused(connection, EARLY, WRONG)
    tried = tidemark.answer("dead-letters", "replay", "--all", "--dry-run", code=1)
    assert (tried["dry_run"], tried["replayed"], len(tried["refused"])) == (True, 1, 1)
    code, out, err = tidemark.run("dead-letters", "replay", "--all")
    stays = tidemark.answer("dead-letters", "list")["letters"][0]
    assert code == 1
    assert json.loads(out) == {
        "ok": False,
        "dry_run": False,
        "replayed": 1,
        "stored": 1,
        "duplicate": 0,
        "refused": [
            {"id": stays["id"], "tenant_id": "default", "event_index": 1,
             "reason": "event_name has invalid characters"}
        ],
        "absent": [],
    }  # fmt: skip
    assert f"letter {stays['id']} of tenant default stays: event_name has invalid characters" in err
    assert stays["reason"] == "event_name has invalid characters"
    assert tidemark.answer("check", "conservation")["ok"] is True


def test_letters_are_replayed_by_id_and_by_tenant(tidemark: Tidemark, connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    keep_refused(connection, EARLY, EARLY)
    keep_refused(connection, EARLY, tenant="other")
    first = tidemark.answer("dead-letters", "list")["letters"][-1]["id"]
    done = tidemark.answer("dead-letters", "replay", "--id", str(first), "--id", "999999")
    assert (done["ok"], done["replayed"], done["absent"]) == (True, 1, [999_999])
    assert tidemark.answer("dead-letters", "replay", "--id", str(first))["absent"] == [first], "done is done"
    assert tidemark.answer("dead-letters", "replay", "--tenant", "other")["stored"] == 1
    assert tidemark.answer("dead-letters", "list")["total"] == 1
    assert tidemark.answer("dead-letters", "list", "--tenant", "other")["letters"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["replay"], "say which letters"),
        (["replay", "--all", "--tenant", "default"], "say which letters"),
        (["replay", "--id", "one"], "--id"),
        (["list", "--limit", "-1"], "--limit"),
    ],
)
def test_wrong_usage_is_refused(tidemark: Tidemark, arguments: list[str], message: str) -> None:
    code, out, err = tidemark.run("dead-letters", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_a_replay_that_is_killed_again_and_again_stores_every_event_once(
    tidemark: Tidemark, connection: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    total = 6_000
    for start in range(0, total, 100):
        numbers = range(start, start + 100)
        keep_refused(connection, *({**EARLY, "event_id": str(uuid.UUID(int=number))} for number in numbers))

    def stored() -> int:
        row = connection.execute("SELECT count(*) FROM event_logs").fetchone()
        return int(row[0]) if row else 0

    def killed_at_work(before: int) -> bool:
        replaying = tidemark.start("dead-letters", "replay", "--all")
        wait_until(lambda: stored() > before or replaying.poll() is not None, "a group is stored")
        at_work = replaying.poll() is None
        replaying.kill()
        replaying.communicate()
        return at_work

    assert sum(killed_at_work(stored()) for _ in range(4)), "none was killed at work"
    # What the last one held stays locked until Postgres notices that it is gone.
    wait_until(lambda: tidemark.run("dead-letters", "replay", "--all") and stored() == total, "all are replayed")
    ledger = connection.execute("SELECT sum(received), sum(stored), sum(duplicate) FROM ingestion_ledger").fetchone()
    assert ledger == (2 * total, total, 0), "each was received twice: refused first, then stored"
    assert [(account.letters, account.replayed) for account in read_accounts(connection)] == [(0, total)]
    assert conservation(Settings(home=tmp_path), database_url, None).problems == []
