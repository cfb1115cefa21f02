"""The lake: a Delta table of events, read as the file list of one version.

Owns where the table lies and what a version consists of; `pipeline.export.run` writes it. A version never changes, and
its files are never rewritten in place: hand a snapshot's paths to DuckDB, Polars or pyarrow and the answer is exact,
whatever is written meanwhile. Globbing the folder is not: it also finds files of old and of unfinished versions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

EXPORT_WATERMARK = "export"
STRETCH_EVENTS = 1_000_000


class LakeError(Exception):
    """The lake cannot be read or written as asked."""


@dataclass(frozen=True)
class LakeFile:
    """One Parquet file of a version: absolute path or URL, UTC day of its events, rows, bytes."""

    path: str
    day: date
    rows: int
    size: int


@dataclass(frozen=True)
class LakeSnapshot:
    """One version of the table: its files in order of day and path.

    `exported_xid` is the export's watermark: the rows of `event_logs` with ingest_xid below it are in this version.
    """

    version: int
    files: tuple[LakeFile, ...]
    exported_xid: int | None

    def paths(self, first: date | None = None, last: date | None = None) -> list[str]:
        """Return the files that hold the UTC days from `first` to `last`, both included; None leaves a side open."""
        return [file.path for file in self._between(first, last)]

    def days(self) -> list[date]:
        """Return the UTC days that have events, ascending."""
        return sorted({file.day for file in self.files})

    def paths_of(self, days: Iterable[date]) -> list[str]:
        """Return the files that hold these UTC days."""
        wanted = set(days)
        return [file.path for file in self.files if file.day in wanted]

    def rows_of(self, days: Iterable[date]) -> int:
        """Return the number of events in these UTC days."""
        wanted = set(days)
        return sum(file.rows for file in self.files if file.day in wanted)

    def rows(self, first: date | None = None, last: date | None = None) -> int:
        """Return the number of events in the UTC days from `first` to `last`, both included."""
        return sum(file.rows for file in self._between(first, last))

    def _between(self, first: date | None, last: date | None) -> Iterator[LakeFile]:
        for file in self.files:
            if (first is None or file.day >= first) and (last is None or file.day <= last):
                yield file


def stretches(snapshot: LakeSnapshot | None, days: Iterable[date]) -> Iterator[list[date]]:
    """Cut some days into lists of days with a bounded number of events; a bigger day stands alone.

    One statement over a stretch reads its files side by side; over all days at once its state would not be bounded.
    """
    rows_of_day: Counter[date] = Counter()
    for file in snapshot.files if snapshot else ():
        rows_of_day[file.day] += file.rows
    stretch: list[date] = []
    events = 0
    for day in days:
        if stretch and events + rows_of_day[day] > STRETCH_EVENTS:
            yield stretch
            stretch, events = [], 0
        stretch.append(day)
        events += rows_of_day[day]
    if stretch:
        yield stretch


class Lake:
    """The lake under a folder or URL; its table is `events` below that root."""

    def __init__(self, root: Path | str) -> None:
        text = str(root).rstrip("/")
        self.root = text if "://" in text else str(Path(text).absolute())
        self.location = f"{self.root}/events"

    @property
    def folder(self) -> Path | None:
        """The table's folder when the lake is on this machine's disk, else None."""
        return None if "://" in self.location else Path(self.location)

    def table(self, version: int | None = None) -> DeltaTable | None:
        """Open the table at a version, by default the newest; None when there is no table yet.

        Raises LakeError when that version does not exist or is no longer kept.
        """
        if not DeltaTable.is_deltatable(self.location):
            return None
        try:
            return DeltaTable(self.location, version=version)
        except DeltaError as error:
            wanted = "the lake" if version is None else f"version {version} of the lake"
            raise LakeError(f"cannot open {wanted} at {self.location}: {error}") from error

    def snapshot(self, version: int | None = None) -> LakeSnapshot | None:
        """Return the file list of a version, by default the newest; None when nothing was ever exported.

        Raises LakeError when that version does not exist or is no longer kept.
        """
        table = self.table(version)
        if table is None:
            return None
        snapshot = self.read(table)
        if version is not None and self.folder is not None:
            gone = next((file.path for file in snapshot.files if not Path(file.path).is_file()), None)
            if gone is not None:
                raise LakeError(
                    f"version {version} of the lake at {self.location} is no longer kept: {gone} was removed"
                )
        return snapshot

    def read(self, table: DeltaTable) -> LakeSnapshot:
        """Return the file list of the version at which `table` is open."""
        actions = pa.table(table.get_add_actions(flatten=True))
        columns = ("path", "partition.day", "num_records", "size_bytes")
        files = [
            LakeFile(self._path(path), day, rows, size)
            for path, day, rows, size in zip(*(actions[name].to_pylist() for name in columns), strict=True)
        ]
        return LakeSnapshot(
            table.version(),
            tuple(sorted(files, key=lambda file: (file.day, file.path))),
            table.transaction_version(EXPORT_WATERMARK),
        )

    def _path(self, relative: str) -> str:
        # Paths in the log are percent-encoded. DeltaTable.file_uris() encodes the root folder too, which no reader
        # can open when it has a space: hence the root as given.
        folder = self.folder
        return f"{self.location}/{relative}" if folder is None else str(folder / unquote(relative))
