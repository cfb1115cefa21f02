"""One spool file: deliveries that are durable on this machine and not yet in Postgres.

A SQLite database in WAL mode with synchronous=FULL: what `append` returned for survives the end of the process and of
the power. One process appends to a file; when it ends with something left, another adopts the file, empties it, and
never appends to it: no seq is given out twice, which is what receipts in Postgres rely on.

Damage never stops the rest: what can be read is delivered in order, and the file is set aside in the end, as it is.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from api.ingestion.delivery import Delivery
from api.ingestion.spool_claim import Claim, spool_ids
from api.ingestion.spool_errors import SpoolFullError, SpoolSealedError, SpoolUnavailableError
from api.ingestion.spool_reader import (
    READ_ERRORS,
    SpooledGroup,
    SpoolReader,
    checksum_of,
    complete_length,
    is_damage,
    moment_of,
    pack,
)
from pipeline.statements import statement

__all__ = ["SpoolFile", "SpoolFullError", "SpoolSealedError", "SpoolUnavailableError", "SpooledGroup"]

SHRINK_BYTES = 64 * 2**20
BUSY_SECONDS = 5.0
READ_BYTES = 4 * 2**20
READ_DELIVERIES = 5_000
_PASSING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM}
_FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class SpoolFile:
    """A claimed spool file. One thread may append while another reads and forgets.

    `entries` and `bytes` count the deliveries that are not forgotten, and their size. All groups up to seq
    `forgotten` are stored. A `sealed` file takes no more.
    """

    def __init__(self, claim: Claim, *, adopted: bool) -> None:
        self._claim = claim
        self._lock = threading.Lock()  # between our own threads, since SQLite waits for a writer by sleeping
        self._last_seq = 0
        self._oldest = 0
        self._unwritable = False
        self._exhausted = False
        self.forgotten = 0
        self.entries = 0
        self.bytes = 0
        self.sealed = adopted
        self._connections: list[sqlite3.Connection] = []
        try:
            self._draining = self._connect()
            self._reader = SpoolReader(self._draining, claim.path.stat().st_size)
            if adopted:
                self._take_stock()
            else:
                _configure(self._draining, durable=False)
                if self._draining.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):  # fails silently
                    raise sqlite3.OperationalError("no write-ahead log here")
                self._draining.execute(statement("spool/create_groups"))
                self._appending = self._connect()
                _configure(self._appending, durable=True)
        except BaseException:
            self._disconnect()
            raise

    @classmethod
    def create(cls, folder: Path) -> SpoolFile:
        """Make and claim a new file. Raises SpoolUnavailableError when the folder cannot be written."""
        try:
            claim = Claim.fresh(folder)
        except OSError as error:
            raise SpoolUnavailableError from error
        try:
            return cls(claim, adopted=False)
        except (OSError, sqlite3.Error) as error:
            claim.discard()
            raise SpoolUnavailableError from error

    @classmethod
    def adopt(cls, folder: Path) -> SpoolFile | None:
        """Claim a file whose process has ended; None when there is none. Files with nothing in them are removed.

        Raises SpoolUnavailableError when the only ones there cannot be opened now: they are left as they are.
        """
        trouble: Exception | None = None
        for spool_id in spool_ids(folder):
            claim = None
            try:
                claim = Claim.of(folder, spool_id)
                if claim is None:
                    continue
                if not claim.path.exists():
                    claim.discard()
                    continue
                file = cls(claim, adopted=True)
            except (OSError, sqlite3.Error) as error:
                trouble = error
                if claim is not None:
                    claim.release()
                continue
            if file.damaged or file.entries:
                return file
            file.close()
        if trouble is not None:
            raise SpoolUnavailableError from trouble
        return None

    @property
    def spool_id(self) -> UUID:
        """What receipts call this file; no other file, on whichever machine, has the same."""
        return self._claim.spool_id

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._claim.path

    @property
    def oldest_received_at(self) -> datetime | None:
        """Receipt of the oldest delivery that is not forgotten."""
        return _FIRST_MOMENT + self._oldest * _MICROSECOND if self.entries else None

    @property
    def damaged(self) -> int:
        """How many groups could not be read; at least 1 when the file as such is broken."""
        return len(self._reader.unreadable) or int(self._reader.broken)

    @property
    def worn(self) -> bool:
        """Whether it should be replaced: damaged, sealed, or not able to let go of what is stored."""
        return self.sealed or self._unwritable or self.damaged > 0

    @property
    def drained(self) -> bool:
        """Whether all that can be read was forgotten."""
        return self._exhausted if self.damaged else not self.entries

    def append(self, deliveries: Sequence[Delivery], room: int | None = None) -> int:
        """Write deliveries as one group, durable on return, and return its seq.

        Raises SpoolSealedError when the file takes no more, SpoolFullError when the group takes more than `room` bytes,
        SpoolUnavailableError when it could not be written; then nothing of it will ever be read. An error that leaves
        the file in doubt seals it.
        """
        payload = pack(deliveries)
        if room is not None and len(payload) > room:
            raise SpoolFullError
        oldest = (min(delivery.received_at for delivery in deliveries) - _FIRST_MOMENT) // _MICROSECOND
        with self._lock:
            if self.sealed:
                raise SpoolSealedError
            seq = self._last_seq + 1
            row = (seq, len(deliveries), len(payload), oldest, checksum_of(seq, payload), payload)
            try:
                self._appending.execute(statement("spool/append_group"), row)
            except sqlite3.Error as error:
                self._undo_append(error)
                raise SpoolUnavailableError from error
            self._last_seq = seq
            self._oldest = self._oldest if self.entries else oldest
            self.entries += len(deliveries)
            self.bytes += len(payload)
        return seq

    def read(
        self, after_seq: int = 0, max_bytes: int = READ_BYTES, max_deliveries: int = READ_DELIVERIES
    ) -> list[SpooledGroup]:
        """Return the next groups in order: at least one if there is one, and else no more than the limits.

        Groups that are forgotten never come again. What cannot be read is passed over and counted in `damaged`, and
        seals the file. Raises SpoolUnavailableError when reading failed for a reason that may pass.
        """
        sealed, start = self.sealed, max(after_seq, self.forgotten)
        try:
            groups = self._reader.read(start, self._last_seq, max_bytes, max_deliveries)
        except READ_ERRORS as error:
            raise SpoolUnavailableError from error
        if self.damaged:
            self.seal()
            self._exhausted = sealed and not groups and start == self.forgotten
        return groups

    def forget(self, up_to_seq: int) -> int:
        """Let go of the groups up to this one, which are stored in Postgres; return how many deliveries that were.

        Idempotent. Where the file cannot be written (a full disk) they stay in it, unseen, until a later call or the
        end of the file. Of a damaged file nothing is removed: it is evidence.
        """
        with self._lock:
            up_to_seq = min(up_to_seq, self._last_seq)
            if up_to_seq <= self.forgotten:
                return 0
            deliveries = size = 0
            try:
                deliveries, size = self._count(self.forgotten, up_to_seq)
                if not self.damaged:
                    self._draining.execute(statement("spool/forget_groups"), (up_to_seq,))
                following = self._draining.execute(statement("spool/next_group"), (up_to_seq,)).fetchone()
                self._oldest = moment_of(following[1]) if following else 0
                self._unwritable = False
            except READ_ERRORS as error:
                self._unwritable = True
                self._reader.broken |= is_damage(error)
            self.forgotten = up_to_seq
            self.entries = max(self.entries - deliveries, 0)
            self.bytes = max(self.bytes - size, 0)
            if not self.entries and not self.worn and self.path.stat().st_size > SHRINK_BYTES:
                self._shrink()
        return deliveries

    def seal(self) -> None:
        """Take no more groups. Idempotent."""
        if not self.sealed:
            with self._lock:
                self.sealed = True

    def close(self) -> Path | None:
        """Give the file up: removed when nothing is left in it, set aside when damaged and drained, else left as it is.

        Returns where a file was set aside. What is left as it is will be adopted.
        """
        with self._lock:
            self.sealed = True
            self._disconnect()
            if not self.drained:
                self._claim.release()
            elif self.damaged:
                with suppress(OSError):
                    return self._claim.set_aside()
                self._claim.release()
            else:
                self._claim.discard()
        return None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        self._connections.append(connection)
        return connection

    def _disconnect(self) -> None:
        for connection in self._connections:
            with suppress(sqlite3.Error):
                connection.close()
        self._connections.clear()

    def _take_stock(self) -> None:
        try:
            _configure(self._draining, durable=False)
            self._draining.execute(statement("spool/create_groups"))  # its process may have ended before that
            first, self._last_seq, self._oldest = self._reader.bounds()
            self.forgotten = max(first - 1, 0)
            self.entries, self.bytes = self._count(0, self._last_seq)
            if self.entries or self._reader.is_sound():
                return
        except READ_ERRORS as error:
            self._reader.accept_damage(error)
        complete_length(self.path)  # SQLite reads nothing of a file that is too short
        with suppress(*READ_ERRORS):
            first, self._last_seq, self._oldest = self._reader.bounds()
            self.forgotten = max(first - 1, 0)

    def _count(self, after_seq: int, up_to_seq: int) -> tuple[int, int]:
        """Return how many deliveries there are between two groups, and their size in bytes."""
        row = self._draining.execute(statement("spool/count_groups"), (after_seq, up_to_seq)).fetchone()
        return int(row[0]), int(row[1])

    def _undo_append(self, error: sqlite3.Error) -> None:
        """Make sure that what failed is not found after a crash. Only a full disk or a lock leaves the file usable.

        When the sync failed, the whole group stands in the journal, where recovery would find it; another commit takes
        its place. That one is not synced: a sync after a failed one proves nothing.
        """
        with suppress(sqlite3.Error):
            if self._appending.in_transaction:
                self._appending.execute("ROLLBACK")
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
            return
        self.sealed = True
        self._reader.broken |= is_damage(error)
        with suppress(sqlite3.Error):
            self._appending.execute("PRAGMA synchronous = OFF")
            self._appending.execute("PRAGMA user_version = 1")

    def _shrink(self) -> None:
        """Give the disk its space back; quick, since nothing is left in the file."""
        with suppress(sqlite3.Error):
            self._draining.execute("VACUUM")
            self._draining.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _configure(connection: sqlite3.Connection, *, durable: bool) -> None:
    """Set up a connection. For letting go, NORMAL is enough: what a power failure brings back, its receipt tells."""
    connection.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA journal_size_limit = 4194304")
    connection.execute("PRAGMA secure_delete = OFF")
