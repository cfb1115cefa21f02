"""Load: clients that send batches and visits, one request at a time each, and note in a ledger what became of them."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.api.faults.ledger import ClientLedger, Request
from tests.waiting import wait_until

USERS = 40
BATCH_PATH = "/v1/events"
VISIT_PATH = "/event"
CLIENT_SECONDS = 30
AGAIN_SECONDS = 0.05
EVENT_NAMES = ("app_opened", "tab_opened", "workout_started", "exercise_logged")


class Mix(NamedTuple):
    """What to send: the share of requests that are visits, and the events of a batch (99 at most)."""

    visits: float = 0.5
    batch: int = 10


class Requests:
    """Makes requests. Half of the batches leave the ids of their events to the server; some have a wrong event."""

    def __init__(self, mix: Mix, seed: int, next_number: Callable[[], int]) -> None:
        self._mix = mix
        self._chance = random.Random(seed)
        self._next_number = next_number

    def next(self) -> Request:
        number = self._next_number()
        return self._visit(number) if self._chance.random() < self._mix.visits else self._batch(number)

    def _visit(self, number: int) -> Request:
        path = f"/visit-{number}"
        visit = {
            "site_id": f"shop-{self._chance.randrange(3)}",
            "event_type": self._chance.choice(("page_view", "page_view", "click")),
            "path": path,
        }
        if self._chance.random() < 0.7:
            visit["user_id"] = f"visitor-{self._chance.randrange(USERS)}"
        return Request(number, VISIT_PATH, json.dumps(visit).encode(), (path,), 1)

    def _batch(self, number: int) -> Request:
        moment = datetime.now(UTC) - timedelta(seconds=self._chance.randrange(1, 3_600))
        keys = tuple(f"batch-{number}-{position}" for position in range(self._mix.batch))
        events: list[dict[str, object]] = [
            {
                "event_name": self._chance.choice(EVENT_NAMES),
                "occurred_at": moment.isoformat(),
                "properties": {"key": key, "set": position, "weight": 42.5, "unit": "kg", "coach": None},
            }
            for position, key in enumerate(keys)
        ]
        if self._chance.random() < 0.5:
            for event in events:
                event["event_id"] = str(uuid.UUID(int=self._chance.getrandbits(128)))
        if self._chance.random() < 0.1:
            events.append({"event_name": "no name!", "occurred_at": moment.isoformat()})
        body = {
            "anonymous_user_id": f"user_{self._chance.randrange(USERS)}",
            "session_id": f"session-{number}",
            "platform": "ios",
            "events": events,
        }
        return Request(number, BATCH_PATH, json.dumps(body).encode(), keys, len(events))


class Answer(NamedTuple):
    """One answer; those of one sender came one after the other."""

    status: int
    started: float
    seconds: float
    sender: int
    request: Request
    retry_after: str | None
    body: bytes


class Load:
    """Senders on threads. A batch is sent until it is acknowledged; a visit once, since repeated it would be another.

    `rate` is in events per second for all together; None: each sends as soon as it was answered. `events` limits how
    many are sent, None: until `finish`.
    """

    def __init__(
        self,
        url: str,
        ledger: ClientLedger,
        *,
        seed: int,
        mix: Mix | None = None,
        senders: int = 8,
        rate: float | None = None,
        events: int | None = None,
    ) -> None:
        self._address = urlsplit(url).netloc
        self._ledger = ledger
        self._requests = Requests(mix or Mix(), seed, ledger.next_number)
        self._rate = rate
        self._events = events
        self._taken = 0
        self._lock = threading.Lock()
        self._finishing = threading.Event()
        self._giving_up = threading.Event()
        self._failures: list[BaseException] = []
        self.started = 0.0
        self._threads = [threading.Thread(target=self._send_all, args=(sender,)) for sender in range(senders)]
        self.answers: list[Answer] = []
        self.unanswered = 0
        self.acknowledged = 0

    def __enter__(self) -> Load:
        self.started = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._giving_up.set()
        self._finishing.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, acknowledged: int, seconds: float = 600) -> None:
        """Return once that many events were acknowledged."""
        self._wait(lambda: self.acknowledged >= acknowledged, f"{acknowledged} acknowledged events", seconds)

    def wait_for_more(self, events: int) -> None:
        """Return once that many further events were acknowledged."""
        self.wait_for(self.acknowledged + events)

    def finish(self, seconds: float = 600) -> None:
        """Begin no further requests (unless a number of events was asked for), and return when all are answered."""
        if self._events is None:
            self._finishing.set()
        self._wait(lambda: not any(thread.is_alive() for thread in self._threads), "the last answer", seconds)
        assert not self._failures, self._failures

    @property
    def seconds(self) -> list[float]:
        """The times of all answers, ascending."""
        return sorted(answer.seconds for answer in self.answers)

    @property
    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(answer.status for answer in self.answers)

    def _wait(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        wait_until(lambda: condition() or self._failures, what, seconds)
        assert not self._failures, self._failures

    def _send_all(self, sender: int) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=CLIENT_SECONDS)
        try:
            while request := self._take():
                while not self._send(connection, request, sender) and not self._giving_up.is_set():
                    self._giving_up.wait(AGAIN_SECONDS)
        except BaseException as failure:
            self._failures.append(failure)
        finally:
            connection.close()

    def _take(self) -> Request | None:
        with self._lock:
            done = self._finishing.is_set() if self._events is None else self._taken >= self._events
            if done or self._giving_up.is_set():
                return None
            request = self._requests.next()
            due = self.started + self._taken / self._rate if self._rate else 0.0
            self._taken += len(request.keys)
        self._giving_up.wait(max(due - time.monotonic(), 0))
        return request

    def _send(self, connection: http.client.HTTPConnection, request: Request, sender: int) -> bool:
        """Send a request once, and return whether that was all."""
        if connection.sock is None:
            try:
                connection.connect()
            except OSError:  # nobody listens: the server was killed a moment ago
                return False
        started = time.monotonic()
        self._ledger.attempts(request)
        try:
            connection.request("POST", request.path, request.body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            with self._lock:
                self.unanswered += 1
            return request.path == VISIT_PATH
        seconds = time.monotonic() - started
        assert response.status in {200, 202, 503}, (response.status, body)
        if response.status != 503:
            self._ledger.acknowledged(request)
        with self._lock:
            retry_after = response.getheader("retry-after")
            self.answers.append(Answer(response.status, started, seconds, sender, request, retry_after, body))
            if response.status != 503:
                self.acknowledged += len(request.keys)
                return True
        return request.path == VISIT_PATH
