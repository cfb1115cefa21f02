"""The lake's versions: when each was committed, and what it changed, from the entries of the table's log.

For lakes on this machine's disk. The time of a version is the one its writer noted in the entry: the file's own
changes when a lake is copied.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pipeline.lake.log import LOG, Action, read_entry
from pipeline.lake.schema import PARTITION_COLUMN
from pipeline.lake.table import Lake, LakeError

Json = dict[str, Any]


@dataclass(frozen=True)
class LakeVersion:
    """A version: time of its commit (UTC), operation as Delta names it, and how it differs from the one before.

    `rows_by_day` are the rows that each changed UTC day gained, negative for a loss; a compaction changes none. It is
    None for the oldest kept version, whose predecessor is gone.
    """

    version: int
    committed_at: datetime
    operation: str
    files_added: int
    files_removed: int
    rows_by_day: Mapping[date, int] | None

    @property
    def rows(self) -> int | None:
        """Rows gained over all days; None where that is not known."""
        return None if self.rows_by_day is None else sum(self.rows_by_day.values())


class VersionLog:
    """The log of a lake's table."""

    def __init__(self, lake: Lake) -> None:
        if lake.folder is None:
            raise LakeError(f"the lake at {lake.location} is not on this machine's disk")
        self._lake = lake
        self._folder = lake.folder

    def numbers(self) -> list[int]:
        """Return the versions that have an entry, ascending."""
        return sorted(int(path.stem) for path in (self._folder / LOG).glob("*.json") if path.stem.isdigit())

    def version_at(self, moment: datetime) -> int:
        """Return the newest version that was committed at `moment` (aware) or before.

        Raises LakeError when the lake is younger, or keeps no version that old.
        """
        numbers = self.numbers()
        position = bisect_right(numbers, moment, key=lambda number: _time(self._entry(number)))
        if position == 0:
            oldest = (
                f"version {numbers[0]} of {_time(self._entry(numbers[0])):%Y-%m-%d %H:%M:%S} UTC" if numbers else "none"
            )
            raise LakeError(f"the lake has no version of {moment:%Y-%m-%d %H:%M:%S} UTC; its oldest is {oldest}")
        return numbers[position - 1]

    def versions(self, newest: int | None = None) -> list[LakeVersion]:
        """Return the versions that can be opened, oldest first, or the `newest` of them."""
        wanted = self.numbers()
        if newest is not None:
            wanted = wanted[-newest:] if newest > 0 else []
        wanted = self._from_first_readable(wanted)
        found: list[LakeVersion] = []
        files: dict[str, tuple[date, int]] | None = {} if wanted[:1] == [0] else None
        if wanted and wanted[0] > 0 and self._opens(wanted[0] - 1):
            files = self._files(wanted[0] - 1)
        for number in wanted:
            entry = self._entry(number)
            found.append(_describe(number, entry, files))
            files = self._files(number) if files is None else _after(entry, files)
        return found

    def _from_first_readable(self, numbers: list[int]) -> list[int]:
        """Leave out old entries whose checkpoint is gone: their versions cannot be put together any more."""
        for position, number in enumerate(numbers):
            if self._opens(number):
                return numbers[position:]
        return []

    def _opens(self, number: int) -> bool:
        try:
            self._lake.table(number)
        except LakeError:
            return False
        return True

    def _files(self, number: int) -> dict[str, tuple[date, int]]:
        table = self._lake.table(number)
        assert table is not None
        snapshot, folder = self._lake.read(table), self._folder
        return {str(Path(file.path).relative_to(folder)): (file.day, file.rows) for file in snapshot.files}

    def _entry(self, number: int) -> list[Action]:
        try:
            return read_entry(self._folder, number)
        except (OSError, ValueError) as error:
            raise LakeError(f"entry {number} of the lake's log cannot be read: {error}") from error


def _describe(number: int, entry: list[Action], before: dict[str, tuple[date, int]] | None) -> LakeVersion:
    added, removed = _added(entry), _removed(entry)
    changes: Counter[date] | None = None
    if before is not None:
        changes = Counter()
        for day, rows in added.values():
            changes[day] += rows
        for path in removed & before.keys():
            day, rows = before[path]
            changes[day] -= rows
    return LakeVersion(
        version=number,
        committed_at=_time(entry),
        operation=str(_info(entry).get("operation", "")),
        files_added=len(added),
        files_removed=len(removed),
        rows_by_day=None if changes is None else {day: rows for day, rows in sorted(changes.items()) if rows},
    )


def _after(entry: list[Action], before: dict[str, tuple[date, int]]) -> dict[str, tuple[date, int]]:
    removed = _removed(entry)
    return {path: facts for path, facts in before.items() if path not in removed} | _added(entry)


def _added(entry: list[Action]) -> dict[str, tuple[date, int]]:
    found = {}
    for action in entry:
        if add := action.get("add"):
            rows = int(json.loads(add.get("stats") or "{}").get("numRecords", 0))
            found[unquote(add["path"])] = (date.fromisoformat(add["partitionValues"][PARTITION_COLUMN]), rows)
    return found


def _removed(entry: list[Action]) -> set[str]:
    return {unquote(action["remove"]["path"]) for action in entry if "remove" in action}


def _info(entry: list[Action]) -> Json:
    return next((action["commitInfo"] for action in entry if "commitInfo" in action), {})


def _time(entry: list[Action]) -> datetime:
    stamp = _info(entry).get("timestamp")
    if stamp is None:
        raise LakeError("an entry of the lake's log has no time")
    return datetime.fromtimestamp(stamp / 1000, UTC)
