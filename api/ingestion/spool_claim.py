"""Who owns a spool file: the process that holds the kernel's lock on the `.lock` beside it.

The kernel frees the lock when the process ends, however it ends: what it leaves can then be claimed by another.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

SUFFIX = ".sqlite"
COMPANIONS = ("-wal", "-shm")  # SQLite's own
DAMAGED = "damaged"


class Claim:
    """The right to one spool file. Two claims on one file never exist at the same time, in whichever processes."""

    def __init__(self, folder: Path, spool_id: UUID, lock: int) -> None:
        self.folder = folder
        self.spool_id = spool_id
        self.path = folder / f"{spool_id}{SUFFIX}"
        self._lock = lock

    @classmethod
    def fresh(cls, folder: Path) -> Claim:
        """Claim a file that does not exist yet, under a new id, and make it, empty. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            claim = cls.of(folder, uuid4())
            if claim is None:  # another process took the lock for an orphan's and removed it
                continue
            try:
                os.close(os.open(claim.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                sync_folder(folder)
                sync_folder(folder.parent)
            except BaseException:
                claim.discard()
                raise
            return claim

    @classmethod
    def of(cls, folder: Path, spool_id: UUID) -> Claim | None:
        """Claim a file by its id; None when it is claimed already. Raises OSError."""
        path = folder / f"{spool_id}.lock"
        lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held, found = os.fstat(lock), path.stat()
            if (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino):
                return cls(folder, spool_id, lock)
        except (BlockingIOError, FileNotFoundError):  # its owner lives, or removed it a moment ago
            pass
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)
        return None

    def discard(self) -> None:
        """Remove the file and give up the claim. A crash in between leaves nothing that could be read as a spool."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)  # first: a journal without its file is nothing
            for companion in COMPANIONS:
                Path(f"{self.path}{companion}").unlink(missing_ok=True)
            (self.folder / f"{self.spool_id}.lock").unlink(missing_ok=True)
        self.release()

    def set_aside(self) -> Path:
        """Move the file to `damaged/` beside it, give up the claim, and return the new path. Raises OSError."""
        aside = self.folder / DAMAGED
        aside.mkdir(mode=0o700, exist_ok=True)
        journal = Path(f"{self.path}-wal")
        if journal.exists():  # first: left behind alone, it would be taken for rubbish
            journal.rename(aside / journal.name)
        self.path.rename(aside / self.path.name)
        sync_folder(aside)
        self.discard()
        return aside / self.path.name

    def release(self) -> None:
        """Give up the claim and leave the file to whoever claims it next. Idempotent."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def spool_ids(folder: Path) -> Iterator[UUID]:
    """Yield the ids of the spool files and of the locks in a folder, sorted; nothing when there is no such folder."""
    names = {path.stem for suffix in (SUFFIX, ".lock") for path in folder.glob(f"*{suffix}")}
    for name in sorted(names):
        with suppress(ValueError):
            if str(spool_id := UUID(name)) == name:
                yield spool_id


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
