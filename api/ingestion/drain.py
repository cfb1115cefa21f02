"""The drain: one thread that moves deliveries from the spool into Postgres, in order and each exactly once.

It is the worker behind what protocols only queue, and brings in what came while Postgres was away; it is also the one
who notices that Postgres is back. Each transaction signs a receipt for what it took out of a spool, so that a process
killed at any moment stores and books nothing twice.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from api import telemetry
from api.ingestion.availability import Availability
from api.ingestion.batch import EventBatch
from api.ingestion.committer import RETRYABLE
from api.ingestion.delivery import Delivery
from api.ingestion.protocols import UnreadableDeliveryError, read_delivery
from api.ingestion.refused import WHOLE_REQUEST, dead_letters
from api.ingestion.spool import Spool
from api.ingestion.spool_errors import SpoolUnavailableError
from api.ingestion.spool_file import READ_DELIVERIES, SpooledGroup, SpoolFile
from api.request_log import describe
from pipeline.database import APP_ROLE, Connection, connect
from pipeline.ingestion.dead_letters import Cap, DeadLetter
from pipeline.ingestion.event_store import (
    Lot,
    Receipt,
    ReceiptError,
    StoreResult,
    Witness,
    find_unstorable,
    refuses_events,
    transaction_status,
    write,
)
from pipeline.statements import statement

# What arrives is given this long to become a larger group: one transaction costs as much as storing many events.
LINGER_SECONDS = 0.2
LOOK_SECONDS = 0.5
# A transaction should take no longer than this: a slow server gets smaller ones. One that never ended in time would be
# tried for ever, and take from the server what the requests need.
GROUP_SECONDS = 2.0
# Long enough for a slow server; a frozen one would otherwise be waited for even after it was replaced.
ANSWER_SECONDS = 60.0
CONNECT_SECONDS = 2
LARGE_GROUP = 1_000
TURN_GROUPS = 20
ADOPT_SECONDS = 2.0


@dataclass(frozen=True)
class _Read:
    """A delivery and its events."""

    delivery: Delivery
    batch: EventBatch

    @property
    def lot(self) -> Lot:
        return Lot(self.batch.rows, as_received=True, running=self.delivery.running)

    @property
    def letters(self) -> list[DeadLetter]:
        delivery = self.delivery
        return dead_letters(
            delivery.protocol, delivery.tenant_id, delivery.received_at, delivery.body, self.batch.errors
        )


class Drain:
    """Empties the spool files that this process holds, its own and those it adopted."""

    def __init__(self, database_url: str, spool: Spool, availability: Availability, log: Any, cap: Cap) -> None:  # noqa: ANN401
        self._database_url = database_url
        self._spool = spool
        self._availability = availability
        self._log = log
        self._cap = cap
        self._connection: Connection | None = None
        self._known_receipts: set[UUID] = set()
        self._most_deliveries = READ_DELIVERIES
        self._adopt_at = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start the thread; it connects when there is something to move."""
        self._thread.start()

    def close(self, timeout: float = 5.0) -> bool:
        """Stop after the transaction at hand; what is left in the spool is drained after the next start.

        Returns false when that transaction did not end in time: then nobody else may have the spool's files yet.
        """
        self._closing.set()
        self._spool.arrived.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._spool.arrived.wait(LOOK_SECONDS)
            self._spool.arrived.clear()
            try:
                self._look()
            except (psycopg.Error, SpoolUnavailableError) as error:
                if isinstance(error, psycopg.OperationalError) and not isinstance(error, RETRYABLE):
                    self._availability.lost()
                self._log.warning("spool not drained", **describe(error))
                self._disconnect()
                self._closing.wait(LOOK_SECONDS)
            except Exception as error:
                self._log.error("spool not drained", **describe(error))
                self._disconnect()
                self._closing.wait(LOOK_SECONDS)
        self._disconnect()

    def _look(self) -> None:
        """Find out whether Postgres is back, and empty what can be emptied."""
        if time.monotonic() >= self._adopt_at:
            self._spool.adopt()
            self._adopt_at = time.monotonic() + ADOPT_SECONDS
        if not self._availability.available:
            self._connected().execute("SELECT")
            self._availability.found()
        for file in self._spool.files():
            if not file.drained:
                self._empty(file)
            self._spool.release(file)

    def _empty(self, file: SpoolFile) -> None:
        """Move what is in a file; should more come than goes, the other files get their turn in between."""
        if file.spool_id not in self._known_receipts:
            self._spool.forget(file, self._receipt(file.spool_id))
            self._known_receipts.add(file.spool_id)
        self._closing.wait(LINGER_SECONDS)
        for _ in range(TURN_GROUPS):
            if self._closing.is_set() or not self._move(file):
                return
        self._spool.arrived.set()

    def _receipt(self, spool_id: UUID) -> int:
        """Return up to which group a spool is stored already: its last process may have died before it forgot it."""
        row = self._connected().execute(statement("ingest/read_receipt"), {"spool_id": spool_id}).fetchone()
        return 0 if row is None else int(row[0])

    def _move(self, file: SpoolFile) -> bool:
        """Store the next groups of a file in one transaction, let go of them, and return whether to go on at once."""
        groups = file.read(file.forgotten, max_deliveries=self._most_deliveries)
        if not groups:
            return False
        last = groups[-1].seq
        reads = [read for group in groups for read in self._read(file.spool_id, group)]
        started = time.monotonic()
        self._connected().scope(read.delivery.tenant_id for read in reads)
        try:
            known, new = self._part_known(reads)
            if known:
                self._store(known, None, booked=True)
            self._store(new, Receipt(file.spool_id, file.forgotten, last))
        except ReceiptError:
            self._known_receipts.discard(file.spool_id)
            return False
        except psycopg.OperationalError:
            self._most_deliveries = max(len(reads) // 4, 1)
            raise
        self._availability.found()
        self._spool.forget(file, last)
        telemetry.spool_drained(len(reads))
        limited = self._most_deliveries < READ_DELIVERIES
        self._pace(len(reads), time.monotonic() - started)
        return limited or len(reads) >= LARGE_GROUP

    def _pace(self, deliveries: int, seconds: float) -> None:
        if seconds > GROUP_SECONDS:
            self._most_deliveries = max(int(deliveries * GROUP_SECONDS / seconds), 1)
        else:
            self._most_deliveries = min(self._most_deliveries * 2, READ_DELIVERIES)

    def _read(self, spool_id: UUID, group: SpooledGroup) -> list[_Read]:
        found = []
        for position, delivery in enumerate(group.deliveries):
            try:
                batch = read_delivery(delivery, spool_id, group.seq, position)
            except UnreadableDeliveryError as error:
                batch = EventBatch(delivery.tenant_id, delivery.received_at, errors={WHOLE_REQUEST: str(error)})
            found.append(_Read(delivery, batch))
        return found

    def _part_known(self, reads: Sequence[_Read]) -> tuple[list[_Read], list[_Read]]:
        """Part what an earlier transaction, whose connection broke at its end, has booked from what is new."""
        asked = {(read.delivery.transaction, read.delivery.witness) for read in reads}
        committed = {(xid, witness) for xid, witness in asked if xid is not None and self._is_committed(xid, witness)}
        known: list[_Read] = []
        new: list[_Read] = []
        for read in reads:
            delivery = read.delivery
            (known if (delivery.transaction, delivery.witness) in committed else new).append(read)
        return known, new

    def _is_committed(self, transaction: int, witness: Witness | None) -> bool:
        status = transaction_status(self._connected(), transaction, witness)
        if status == "in progress":
            raise psycopg.OperationalError("the transaction of a broken connection has not ended yet")
        return status == "committed"

    def _store(self, reads: Sequence[_Read], receipt: Receipt | None, *, booked: bool = False) -> None:
        try:
            result = self._write(reads, receipt, booked)
        except (psycopg.Error, UnicodeError) as error:
            if not refuses_events(error):
                raise
            telemetry.commit_failed("poison")
            connection = self._connected()
            reads = [
                _Read(read.delivery, read.batch.refuse_rows(find_unstorable(connection, read.batch.rows)))
                for read in reads
            ]
            result = self._write(reads, receipt, booked)
        if not booked:
            _count(reads, result)

    def _write(self, reads: Sequence[_Read], receipt: Receipt | None, booked: bool) -> StoreResult:
        letters = [] if booked else [letter for read in reads for letter in read.letters]
        connection = self._connected()
        with connection.transaction():
            return write(
                connection, [read.lot for read in reads], letters, receipt=receipt, booked=booked, cap=self._cap
            )

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(
                self._database_url,
                application="tidemark-drain",
                autocommit=True,
                connect_seconds=CONNECT_SECONDS,
                role=APP_ROLE,
            )
        self._connection.deadline = time.monotonic() + ANSWER_SECONDS
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _count(reads: Sequence[_Read], result: StoreResult) -> None:
    """Report what became of the events; duplicates can only be those whose ids clients gave: the mobile protocol's."""
    rows: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for read in reads:
        rows[read.delivery.protocol] += len(read.batch.rows)
        refused[read.delivery.protocol] += len(read.batch.errors)
    for protocol, count in rows.items():
        duplicate, conflict = (result.duplicate, result.conflict) if protocol == "mobile" else (0, 0)
        telemetry.events_answered(protocol, count - duplicate, duplicate, conflict, refused[protocol])
    telemetry.dead_letters(refused.total(), result.dropped)
