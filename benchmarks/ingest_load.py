"""Requests as clients send them, and wrk to send them: what `benchmarks.ingest` puts on the API."""

from __future__ import annotations

import json
import random
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

SCRIPT = Path(__file__).with_name("ingest_load.lua")
# The script puts a fresh UUID here; as many as there are in a body.
FRESH_ID = "@id@"
SEED = 20_260_219
EVENT_NAMES = (
    "app_opened", "tab_opened", "workout_started", "exercise_logged", "workout_completed", "log_entry_started",
    "log_entry_committed", "session_submitted", "skilltree_opened", "node_completed", "achievement_unlocked",
)  # fmt: skip
SCREENS = ("workouts", "creatures", "achievements", "skill_tree", "profile")
# Requests in flight when sending ends are answered within this time.
GRACE_SECONDS = 2
ANSWER_SECONDS = 30


@dataclass(frozen=True)
class Request:
    """One kind of request: where it goes, and bodies to send in turn."""

    path: str
    bodies: Sequence[str]


@dataclass(frozen=True)
class Answers:
    """What wrk saw. `seconds` from the first request to the last answer; latencies in milliseconds.

    `refused` answers are those that are neither 2xx nor 3xx, `failed` counts broken and slow connections.
    """

    sent: int
    answered: int
    refused: int
    failed: int
    seconds: float
    p50: float
    p95: float
    p99: float
    max: float
    cpu_seconds: float

    @property
    def acknowledged(self) -> int:
        """Requests that were answered with success."""
        return self.answered - self.refused

    @property
    def unsettled(self) -> int:
        """Requests whose events may or may not be stored: no answer, or none of success."""
        return self.sent - self.acknowledged


def make_user_ids(number: int) -> list[str]:
    """Return the ids of the users who send events."""
    source = random.Random(SEED)
    return [f"{source.getrandbits(32):08x}-cafe-4bee-8fed-{source.getrandbits(48):012x}" for _ in range(number)]


def event_batches(users: Sequence[str], batch: int) -> Request:
    """Return batches of the mobile protocol: a user's events of the last minutes, five properties each."""
    source = random.Random(SEED + batch)
    number = {1: 2_000, 10: 400}.get(batch, 64)
    return Request("/v1/events", [_batch(source, user, batch) for user in source.choices(users, k=number)])


def visits(users: Sequence[str]) -> Request:
    """Return single events of the retail protocol, of one shop."""
    source = random.Random(SEED)
    now = datetime.now(UTC)
    bodies = [
        _text(
            {
                "site_id": "shop-1",
                "event_type": "page_view",
                "path": f"/products/{int(source.paretovariate(1.2)) % 500}",
                "user_id": user,
                "timestamp": _iso(now - timedelta(seconds=source.random() * 60)),
            }
        )
        for user in source.choices(users, k=2_000)
    ]
    return Request("/event", bodies)


def assignment_of_new_users() -> Request:
    """Return the first question of users never seen before."""
    return Request("/v1/assignment", [_subject(FRESH_ID)])


def assignment_of_returning_users(users: Sequence[str]) -> Request:
    """Return the question of users who have their answer already."""
    return Request("/v1/assignment", [_subject(user) for user in users])


def wrk_version() -> str:
    """Return the version of wrk. Exits when there is none."""
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")
    shown = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    return " ".join((shown.stdout or shown.stderr).split()[:2])


def send(base_url: str, request: Request, connections: int, seconds: float) -> Answers:
    """Send one kind of request over some connections for a while; returns when all are answered."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as bodies:
        bodies.write("\n".join(request.bodies))
        bodies.flush()
        before = _cpu_of_children()
        done = subprocess.run(
            [
                *("wrk", "-t", "1", "-c", str(connections), "-d", str(int(seconds + 0.999) + GRACE_SECONDS)),
                *("--timeout", f"{ANSWER_SECONDS}s", "-s", str(SCRIPT), base_url + request.path),
                *("--", bodies.name, secrets.token_hex(4)[:7], str(seconds)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        cpu_seconds = _cpu_of_children() - before
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines or not lines[-1].startswith("{"):
        sys.exit(f"wrk failed: {done.stdout}{done.stderr}")
    return Answers(**json.loads(lines[-1]), cpu_seconds=cpu_seconds)


def _batch(source: random.Random, user: str, batch: int) -> str:
    sent_at = datetime.now(UTC)
    moment = sent_at - timedelta(seconds=10 * batch)
    events = []
    for _ in range(batch):
        moment += timedelta(milliseconds=source.randrange(100, 9_000))
        properties = {
            "screen": source.choice(SCREENS),
            "item_id": f"item_{source.randrange(10_000)}",
            "duration_ms": source.randrange(100, 60_000),
            "completed": source.random() < 0.5,
            "score": round(source.uniform(0, 100), 2),
        }
        events.append(
            {
                "event_id": FRESH_ID,
                "event_name": source.choice(EVENT_NAMES),
                "occurred_at": _iso(moment),
                "properties": properties,
            }
        )
    return _text(
        {
            "anonymous_user_id": user,
            "session_id": f"session-{source.getrandbits(40):010x}",
            "install_id": f"install-{source.getrandbits(40):010x}",
            "platform": source.choice(("ios", "android")),
            "app_version": f"2.{source.randrange(10)}.0",
            "sent_at": _iso(sent_at),
            "events": events,
        }
    )


def _subject(user: str) -> str:
    return _text({"anonymous_user_id": user, "platform": "ios", "app_version": "2.4.0"})


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
