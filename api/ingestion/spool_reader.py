"""Reads the groups of a spool file in order, and finds a way past what is damaged."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from api.ingestion.delivery import Delivery
from pipeline.statements import statement

SMALLEST_ROW_BYTES = 100
UNREADABLE_RUN = 100_000
MOST_BYTES = 2**36
# What can go wrong in reading; sqlite3 raises the latter for content, and for messages quoting it, that is no text.
READ_ERRORS = (sqlite3.Error, UnicodeError, OverflowError)
# The first two are about our own statements, which are right: then it is the file's schema that is not.
_DAMAGE = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
}
_LAST_MOMENT = 253_402_300_799_999_999  # microseconds: the end of year 9999

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Delivery]).decode


@dataclass(frozen=True, slots=True)
class SpooledGroup:
    """Deliveries that were written together, in the order in which they came. `seq` counts the groups of one file."""

    seq: int
    deliveries: list[Delivery]


class SpoolReader:
    """Reads over its own connection. `unreadable` are the groups found damaged, `broken` says the file as such is."""

    def __init__(self, connection: sqlite3.Connection, size: int) -> None:
        self._connection = connection
        self._size = size
        self.broken = False
        self.unreadable: set[int] = set()

    def read(self, after_seq: int, last_seq: int, max_bytes: int, max_deliveries: int) -> list[SpooledGroup]:
        """Return the next groups, at least one if one can be read, and else no more than the limits.

        `last_seq` is the last group there is, as far as known. Raises sqlite3.Error for what is no damage.
        """
        found: list[SpooledGroup] = []
        size = count = 0
        with closing(self._groups(after_seq, last_seq)) as groups:
            for group, group_bytes in groups:
                size += group_bytes
                count += len(group.deliveries)
                if found and (size > max_bytes or count > max_deliveries):
                    break
                found.append(group)
        return found

    def bounds(self) -> tuple[int, int, int]:
        """Return the seq of the first and of the last group, and the first's oldest receipt; zeros for no groups.

        Of a damaged file these are the widest bounds that groups can have. Raises sqlite3.Error for what is no damage.
        """
        first = last = None
        try:
            first = self._connection.execute(statement("spool/next_group"), (0,)).fetchone()
            last = self._connection.execute(statement("spool/last_group")).fetchone()
        except READ_ERRORS as error:
            self.accept_damage(error)
            with suppress(*READ_ERRORS):
                last = self._connection.execute(statement("spool/last_group")).fetchone()
        if not self.broken and first is None:
            return 0, 0, 0
        if not all(isinstance(row[0], int) for row in (first, last) if row):  # a damaged tree gives keys that are none
            self.broken, first, last = True, None, None
        seq, oldest = first or (1, 0)
        if last and last[0] >= seq:  # else the page is torn: what is missing of it reads as zeros
            return seq, last[0], moment_of(oldest)
        return seq, seq + self._size // SMALLEST_ROW_BYTES, moment_of(oldest)

    def is_sound(self) -> bool:
        """Whether the file is in order as a whole; if not, it is noted as broken.

        To be asked before a file counts as empty: of a torn page SQLite reads the missing part as zeros, without an
        error, and may find nothing at all. Raises sqlite3.Error.
        """
        self.broken |= self._connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",)
        return not self.broken

    def accept_damage(self, error: Exception) -> None:
        """Note that the file is broken if that is what the error says; raise any other error again."""
        if not is_damage(error):
            raise error
        self.broken = True

    def _groups(self, after_seq: int, last_seq: int) -> Generator[tuple[SpooledGroup, int], None, None]:
        """Yield the groups that can be read, each with its size in bytes; note those that cannot."""
        position = after_seq
        if not self.broken:
            try:
                with closing(self._connection.execute(statement("spool/read_groups"), (after_seq,))) as rows:
                    for seq, checksum, payload in rows:
                        if seq <= position:  # the tree itself is damaged, and would lead around in circles
                            self.broken = True
                            break
                        group = unpack(seq, checksum, payload)
                        if group is None:
                            self.unreadable.add(seq)
                        else:
                            position = seq
                            yield group, len(payload)
                    else:
                        return
            except READ_ERRORS as error:
                self.accept_damage(error)
        yield from self._groups_one_by_one(position, last_seq)

    def _groups_one_by_one(self, after_seq: int, last_seq: int) -> Generator[tuple[SpooledGroup, int], None, None]:
        """Look each group up: those on pages that can be read are found past those that cannot."""
        run = 0
        for seq in range(after_seq + 1, last_seq + 1):
            group = None
            try:
                row = self._connection.execute(statement("spool/read_group"), (seq,)).fetchone()
                if row is None:
                    continue
                group = unpack(*row)
            except READ_ERRORS as error:
                self.accept_damage(error)
            if group is not None:
                run = 0
                yield group, len(row[2])
                continue
            if not run:
                self.unreadable.add(seq)
            run += 1
            if run > UNREADABLE_RUN:
                return


def pack(deliveries: Sequence[Delivery]) -> bytes:
    """Return a group's deliveries as the payload of its row."""
    return _encode(deliveries)


def unpack(seq: int, checksum: object, payload: bytes) -> SpooledGroup | None:
    """Return a group as it was packed; None when it is not what was written."""
    try:
        if checksum_of(seq, payload) != checksum:
            return None
        return SpooledGroup(seq, _decode(payload))
    except (TypeError, msgspec.MsgspecError):
        return None


def checksum_of(seq: int, payload: bytes) -> int:
    """Return the checksum of a payload in its place."""
    return zlib.crc32(payload, seq & 0xFFFFFFFF)


def moment_of(microseconds: object) -> int:
    """Return a time as stored if it is one, else 0."""
    return microseconds if isinstance(microseconds, int) and 0 < microseconds <= _LAST_MOMENT else 0


def is_damage(error: Exception) -> bool:
    """Whether an error says that the file's content is wrong, rather than that the machine is in trouble."""
    if not isinstance(error, sqlite3.Error):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # not SQLite's: a value whose type was flipped to text, and is none
        return isinstance(error, sqlite3.OperationalError)
    return code in _DAMAGE or code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def complete_length(path: Path) -> bool:
    """Give a file that was cut off its length back, filled with zeros, and return whether it was.

    SQLite refuses a file shorter than its header says as a whole, though most of it can be read.
    """
    with path.open("r+b") as file:
        header = file.read(32)
        page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
        length = file.seek(0, 2)
        if not header.startswith(b"SQLite format 3") or not length < page * pages <= MOST_BYTES:
            return False
        file.truncate(page * pages)
        return True
