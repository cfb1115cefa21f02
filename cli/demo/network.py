"""The way from the phone to the server: batches, phones without a network, answers that get lost.

Decides when each event arrives and how often its batch is sent; what is in the events is not its business.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cli.demo import truth
from cli.demo.people import Person

LARGEST_BATCH = 100


@dataclass(frozen=True)
class SimulatedEvent:
    """One event as the phone records it; `occurred_at` is by the phone's clock, in milliseconds."""

    event_id: str
    event_name: str
    occurred_at: datetime
    properties: Mapping[str, Any]
    context: Mapping[str, Any]


@dataclass(frozen=True)
class Session:
    """One use of the app; `start` and `end` are true times."""

    session_id: str
    app_version: str
    start: datetime
    end: datetime
    in_gym: bool
    events: tuple[SimulatedEvent, ...]


@dataclass(frozen=True)
class Batch:
    """One request body of POST /v1/events and the true moments at which it reaches the server, first one first."""

    person: Person
    session_id: str
    app_version: str
    sent_at: datetime
    arrivals: tuple[datetime, ...]
    events: tuple[SimulatedEvent, ...]

    @property
    def sends_ids(self) -> bool:
        """Whether this version of the app gives its events an id of their own."""
        return self.app_version >= truth.FIRST_VERSION_WITH_IDS


def deliver(chance: random.Random, person: Person, sessions: Sequence[Session]) -> Iterator[Batch]:
    """Yield the batches of a person's sessions (in time order), not sorted by arrival.

    The first session is online: the app has just been downloaded. A phone that was offline delivers when it is back,
    or when the next session is online, whichever comes first.
    """
    online = [number == 0 or not _is_offline(chance, session) for number, session in enumerate(sessions)]
    for number, session in enumerate(sessions):
        if online[number]:
            for flushed_at, events in _flushes(session, person):
                yield _send(chance, person, session, flushed_at, events)
            continue
        back = session.end + _offline_for(chance)
        later = zip(sessions[number + 1 :], online[number + 1 :], strict=True)
        next_online = next((other.start for other, is_online in later if is_online), back)
        for first in range(0, len(session.events), LARGEST_BATCH):
            events = session.events[first : first + LARGEST_BATCH]
            yield _send(chance, person, session, min(back, next_online), events)


def _is_offline(chance: random.Random, session: Session) -> bool:
    return chance.random() < truth.OFFLINE * (3 if session.in_gym else 1)


def _offline_for(chance: random.Random) -> timedelta:
    if chance.random() < truth.OFFLINE_DAYS:
        return timedelta(days=chance.uniform(1, 6))
    return timedelta(hours=min(truth.OFFLINE_MEDIAN_HOURS * chance.lognormvariate(0, 1.1), 24))


def _flushes(session: Session, person: Person) -> Iterator[tuple[datetime, tuple[SimulatedEvent, ...]]]:
    held: list[SimulatedEvent] = []
    patience = timedelta(seconds=truth.FLUSH_SECONDS)
    ahead = timedelta(seconds=person.clock_ahead)
    for event in session.events:
        recorded = event.occurred_at - ahead
        if held and recorded > held[0].occurred_at - ahead + patience:
            yield held[0].occurred_at - ahead + patience, tuple(held)
            held = []
        held.append(event)
        if len(held) == truth.FLUSH_EVENTS:
            yield recorded, tuple(held)
            held = []
    if held:
        yield session.end, tuple(held)


def _send(
    chance: random.Random, person: Person, session: Session, at: datetime, events: tuple[SimulatedEvent, ...]
) -> Batch:
    arrivals = [at + _latency(chance)]
    while chance.random() < (truth.ANSWER_LOST if len(arrivals) == 1 else truth.ANSWER_LOST_AGAIN):
        arrivals.append(arrivals[-1] + timedelta(milliseconds=chance.randint(2_000, 45_000)))
    sent_at = at + timedelta(seconds=person.clock_ahead)
    return Batch(person, session.session_id, session.app_version, whole_millis(sent_at), tuple(arrivals), events)


def _latency(chance: random.Random) -> timedelta:
    seconds = min(chance.lognormvariate(math.log(truth.LATENCY_MEDIAN), 0.8), 20.0)
    return timedelta(milliseconds=int(seconds * 1_000))


def whole_millis(moment: datetime) -> datetime:
    """Cut a moment to milliseconds, as phones and the contract do."""
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)
