"""Today's phones: they ask the API for assignments and send it their events over HTTP, as any client would.

A body whose answer got lost is sent again unchanged. While the database is away (503) or the API restarts, phones
wait and try again.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cli.demo.network import Batch
from cli.demo.simulation import Life, Visit
from pipeline.clock import iso_millis

THREADS = 4
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.5
REQUEST_TIMEOUT_SECONDS = 30.0


class DeliveryError(Exception):
    """The API refused what it should take, or stayed away for longer than a minute."""


@dataclass(frozen=True)
class Delivered:
    """What the phones sent. `sent_again` counts events in bodies that were sent more than once, beyond the first time.

    `differing` counts answers with another variant than the simulation expected (an experiment edited meanwhile).
    """

    assignment_requests: int = 0
    event_requests: int = 0
    events: int = 0
    sent_again: int = 0
    rejected: int = 0
    differing: int = 0

    def __add__(self, other: Delivered) -> Delivered:
        return Delivered(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def send(base_url: str, lives: Sequence[Life], told: Callable[[int], None]) -> Delivered:
    """Send the visits and batches of `lives` to the API at `base_url`, each person's in order of time.

    `told` hears the number of people finished. Idempotent: event ids repeat, assignments stick. Raises DeliveryError.
    """
    switched_off = threading.Event()
    senders = [_Sender(base_url, lives[number::THREADS], switched_off) for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="phones") as pool:
        waiting = {pool.submit(sender.run) for sender in senders}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                told(sum(sender.finished for sender in senders))
        finally:
            switched_off.set()
    return sum((sender.total for sender in senders), Delivered())


def event_body(batch: Batch) -> dict[str, Any]:
    """Return the request body of a batch, the same each time it is sent."""
    return {
        "anonymous_user_id": batch.person.anonymous_user_id,
        "session_id": batch.session_id,
        "install_id": batch.person.install_id,
        "app_version": batch.app_version,
        "platform": batch.person.platform,
        "sent_at": iso_millis(batch.sent_at),
        "events": [
            {
                **({"event_id": event.event_id} if batch.sends_ids else {}),
                "event_name": event.event_name,
                "occurred_at": iso_millis(event.occurred_at),
                "properties": event.properties,
                "context": event.context,
            }
            for event in batch.events
        ],
    }


class _Sender:
    """Sends the lives of some people, one after the other, over one kept connection."""

    def __init__(self, base_url: str, lives: Sequence[Life], switched_off: threading.Event) -> None:
        address = urlsplit(base_url)
        self._connection = http.client.HTTPConnection(
            address.hostname or "127.0.0.1", address.port, timeout=REQUEST_TIMEOUT_SECONDS
        )
        self._lives = lives
        self._switched_off = switched_off
        self.finished = 0
        self.total = Delivered()

    def run(self) -> None:
        with closing(self._connection):
            for life in self._lives:
                for step in _in_order(life):
                    self.total += self._visit(step, life) if isinstance(step, Visit) else self._batch(step)
                self.finished += 1

    def _visit(self, visit: Visit, life: Life) -> Delivered:
        body = {
            "anonymous_user_id": life.person.anonymous_user_id,
            "platform": life.person.platform,
            "app_version": visit.app_version,
            "session_id": visit.session_id,
            "install_id": life.person.install_id,
        }
        answer = self._post("/v1/assignment", body)
        served = {row["experiment_id"]: row["variant_id"] for row in answer["assignments"]}
        return Delivered(assignment_requests=1, differing=int(served != dict(life.variants)))

    def _batch(self, batch: Batch) -> Delivered:
        body = event_body(batch)
        answers = [self._post("/v1/events", body) for _ in batch.arrivals]
        return Delivered(
            event_requests=len(answers),
            events=len(batch.events),
            sent_again=len(batch.events) * (len(answers) - 1),
            rejected=int(answers[0]["rejected"]),
        )

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        payload = msgspec.json.encode(body)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._switched_off.is_set():
            pause = PAUSE_SECONDS
            try:
                self._connection.request("POST", path, payload, {"Content-Type": "application/json"})
                answer = self._connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                problem = f"{type(error).__name__}: {error}"
            else:
                if answer.status == http.HTTPStatus.OK:
                    decoded: dict[str, Any] = msgspec.json.decode(content)
                    return decoded
                problem = f"{answer.status} {content[:200].decode(errors='replace')}"
                if answer.status != http.HTTPStatus.SERVICE_UNAVAILABLE:
                    raise DeliveryError(f"POST {path} answered {problem}")
                pause = float(answer.headers.get("Retry-After") or pause)
            if time.monotonic() + pause > deadline:
                raise DeliveryError(f"POST {path} failed for {PATIENCE_SECONDS:.0f} s; the last answer: {problem}")
            self._switched_off.wait(pause)
        raise DeliveryError(f"POST {path} was called off")


def _in_order(life: Life) -> Iterator[Visit | Batch]:
    steps = [(visit.asked_at, 0, number) for number, visit in enumerate(life.visits)]
    steps += [(batch.arrivals[0], 1, number) for number, batch in enumerate(life.batches)]
    for _, is_batch, number in sorted(steps):
        yield life.batches[number] if is_batch else life.visits[number]
