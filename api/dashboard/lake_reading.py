"""What the pages say of the lake: its newest version by day, and what its last versions changed.

Reads the table's log and no event. The answer is kept for a few seconds: a log of many versions takes a moment to read,
and people load pages again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

KEPT_SECONDS = 5.0
SHOWN_VERSIONS = 20


@dataclass(frozen=True)
class LakeDay:
    """A UTC day of the lake: its events, files and bytes."""

    day: date
    rows: int
    files: int
    size: int


@dataclass(frozen=True)
class VersionRow:
    """A version: when it was committed, by which operation, and what it changed; rows None where it is not known."""

    version: int
    committed_at: datetime
    operation: str
    files_added: int
    files_removed: int
    rows: int | None


@dataclass(frozen=True)
class LakeState:
    """The lake at a moment; `version` None: nothing was exported yet. Versions are the newest first."""

    version: int | None
    days: Sequence[LakeDay]
    versions: Sequence[VersionRow]
    problem: str = ""

    @property
    def rows(self) -> int:
        """Events of all tenants."""
        return sum(day.rows for day in self.days)

    @property
    def files(self) -> int:
        """Files of the newest version."""
        return sum(day.files for day in self.days)

    @property
    def size(self) -> int:
        """Bytes of these files."""
        return sum(day.size for day in self.days)


class LakeReader:
    """Reads one lake, at most once every few seconds, on a thread of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # One: many at once would read the same log as often.
        self.threads = ThreadPoolExecutor(1, thread_name_prefix="lake-page")
        self._lock = threading.Lock()
        self._kept: tuple[float, LakeState] | None = None

    def state(self) -> LakeState:
        """Return the lake as of at most five seconds ago."""
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > KEPT_SECONDS:
                self._kept = (time.monotonic(), read_lake(self.root))
            return self._kept[1]


def read_lake(root: Path) -> LakeState:
    """Read the lake's newest version and what the last ones changed; what cannot be read is told as `problem`."""
    # Loads the lake's readers, which a process that nobody asks need not have in memory.
    from pipeline.lake.history import VersionLog  # noqa: PLC0415
    from pipeline.lake.table import Lake, LakeError  # noqa: PLC0415

    lake = Lake(root)
    try:
        snapshot = lake.snapshot()
    except LakeError as error:
        return LakeState(None, (), (), str(error))
    if snapshot is None:
        return LakeState(None, (), ())
    by_day: dict[date, list[int]] = {}
    for file in snapshot.files:
        found = by_day.setdefault(file.day, [0, 0, 0])
        for place, more in enumerate((file.rows, 1, file.size)):
            found[place] += more
    days = [LakeDay(day, *found) for day, found in sorted(by_day.items(), reverse=True)]
    try:
        log = VersionLog(lake).versions(SHOWN_VERSIONS)
    except LakeError as error:
        return LakeState(snapshot.version, days, (), str(error))
    versions = [
        VersionRow(one.version, one.committed_at, one.operation, one.files_added, one.files_removed, one.rows)
        for one in reversed(log)
    ]
    return LakeState(snapshot.version, days, versions)
