"""Replays dead letters: reads each refused event again by today's rules, and stores it if they accept it.

A group of letters is one transaction, which stores the events, books them and removes the letters: a replay can be
killed, repeated, or run twice at once, and stores nothing twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

from api.campaign.event_reader import read_campaign_events
from api.errors import InvalidRequestError
from api.ingestion.batch import UNSTORABLE
from api.ingestion.delivery import Delivery
from api.ingestion.refused import WHOLE_REQUEST, single_event_body
from api.ingestion.validation import validate_batch
from api.retail.visits import VisitError, read_visit, visit_row
from pipeline.clock import Clock, utc_now
from pipeline.ingestion.dead_letters import DeadLetter, KeptLetter, Selection, newest_id, settle, storable_reason, take
from pipeline.ingestion.event_store import EventRow, Lot, StoreResult, find_unstorable, refuses_events, write

GROUP_LETTERS = 500
GROUP_BYTES = 8 * 2**20
_Accepted = tuple[KeptLetter, list[EventRow]]


@dataclass(frozen=True)
class Refusal:
    """A letter that stays, and why its event is still refused."""

    id: int
    tenant_id: str
    event_index: int
    reason: str


@dataclass
class ReplayResult:
    """What became of the letters: replayed ones are gone, their events stored or duplicates; refused ones stay."""

    replayed: int = 0
    stored: int = 0
    duplicate: int = 0
    refused: list[Refusal] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def add(
        self,
        taken: Sequence[KeptLetter],
        replayed: Sequence[KeptLetter],
        refused: Sequence[tuple[KeptLetter, str]],
        stored: StoreResult,
    ) -> None:
        """Count one group."""
        self.replayed += len(replayed)
        self.stored += stored.stored
        self.duplicate += stored.duplicate
        self.seen.update(kept.id for kept in taken)
        self.refused += [
            Refusal(kept.id, kept.letter.tenant_id, kept.letter.event_index, storable_reason(reason))
            for kept, reason in sorted(refused)
        ]


def replay(
    connection: psycopg.Connection,
    selection: Selection,
    *,
    clock: Clock = utc_now,
    dry_run: bool = False,
    letters_done: Callable[[int], None] = lambda _: None,
) -> ReplayResult:
    """Store the events of the selected letters that are acceptable now, as received now, and remove those letters.

    `connection` must be in autocommit mode. Letters that come meanwhile, and those that another replay is at work on,
    are left alone. A dry run does the same and takes all of it back. Raises psycopg.OperationalError when the database
    fails; what was replayed until then stays so.
    """
    replaying = _Replay(connection, clock, dry_run)
    upto = newest_id(connection)
    after = 0
    while taken := replaying.next_group(selection, after, upto):
        after = taken[-1].id
        letters_done(len(replaying.result.seen))
    return replaying.result


class _Replay:
    """One replay: its connection and what it has found so far."""

    def __init__(self, connection: psycopg.Connection, clock: Clock, dry_run: bool) -> None:
        self._connection = connection
        self._clock = clock
        self._dry_run = dry_run
        self.result = ReplayResult()

    def next_group(self, selection: Selection, after: int, upto: int) -> list[KeptLetter]:
        """Replay the next letters in one transaction and return them; none when none is left."""
        now = self._clock()
        accepted: list[_Accepted] = []
        refused: list[tuple[KeptLetter, str]] = []
        with self._connection.transaction():
            taken = take(self._connection, selection, after, upto, letters=GROUP_LETTERS, size=GROUP_BYTES)
            for kept in taken:
                events = read_again(kept.letter, now)
                if isinstance(events, str):
                    refused.append((kept, events))
                else:
                    accepted.append((kept, events))
            stored, unstorable = self._store(accepted)
            replayed = [kept for kept, _ in accepted if kept not in unstorable]
            refused += [(kept, UNSTORABLE) for kept in unstorable]
            settle(self._connection, replayed, refused)
            if self._dry_run:
                raise psycopg.Rollback
        self.result.add(taken, replayed, refused, stored)
        return taken

    def _store(self, accepted: Sequence[_Accepted]) -> tuple[StoreResult, list[KeptLetter]]:
        """Store events; return what became of them, and the letters with events that the database refused."""
        try:
            return self._write(accepted), []
        except (psycopg.Error, UnicodeError) as error:
            if not refuses_events(error):
                raise
        owners = [kept for kept, events in accepted for _ in events]
        rows = [row for _, events in accepted for row in events]
        ids = {owners[position].id for position in find_unstorable(self._connection, rows)}
        left = [(kept, events) for kept, events in accepted if kept.id not in ids]
        return self._write(left), [kept for kept, _ in accepted if kept.id in ids]

    def _write(self, accepted: Sequence[_Accepted]) -> StoreResult:
        with self._connection.transaction():
            return write(self._connection, [Lot([row for _, events in accepted for row in events])])


def read_again(letter: DeadLetter, now: datetime) -> list[EventRow] | str:
    """Return the events of a letter as its protocol reads them now, received now; or the reason why it stays.

    It is one event, unless the letter is a request as a whole.
    """
    try:
        match letter.protocol:
            case "mobile":
                return _read_mobile(letter, now)
            case "campaign":
                return _read_campaign(letter, now)
            case "retail":
                return [_read_visit(letter, now)]
    except (InvalidRequestError, VisitError) as error:
        return str(error)
    return f"this version does not know protocol {letter.protocol}"


def _read_mobile(letter: DeadLetter, now: datetime) -> list[EventRow] | str:
    """An id that is made is the one the event would have had in its own request: a client's retry is a duplicate."""
    if letter.event_index == WHOLE_REQUEST:
        batch = validate_batch(letter.event, letter.tenant_id, now)
    else:
        body = single_event_body(letter.envelope, letter.event)
        batch = validate_batch(body, letter.tenant_id, now, letter.event_index)
    for reason in batch.errors.values():
        return reason
    return batch.rows


def _read_campaign(letter: DeadLetter, now: datetime) -> list[EventRow] | str:
    """An event without a time happened when it was first received; one without an id is an event of its own."""
    whole = letter.event_index == WHOLE_REQUEST
    body = letter.event if whole else single_event_body(letter.envelope, letter.event)
    delivery = Delivery("campaign", letter.tenant_id, now, body, nonce=uuid.uuid4().bytes)
    batch = read_campaign_events(delivery, happened=letter.received_at)
    for reason in batch.errors.values():
        return reason
    return batch.rows


def _read_visit(letter: DeadLetter, now: datetime) -> EventRow:
    """A visit without a time happened when it was first received."""
    visit = read_visit(letter.event)
    happened = visit._replace(occurred_at=visit.occurred_at or letter.received_at)
    return visit_row(happened, letter.tenant_id, now, str(uuid.uuid4()))
