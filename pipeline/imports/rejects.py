"""The file of rows an import could not store: one JSON object per row, with its line, the reason and its columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self


class Reject(NamedTuple):
    """A row that was not stored: its line (Parquet: row number), why, and its columns as read."""

    line: int
    reason: str
    row: Mapping[str, Any]


class RejectsFile:
    """The rejects of one import, made when the first one comes.

    `size` is what the last committed batch left: bytes beyond it are from a batch that was rolled back, and are cut
    off. A context manager.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        if self._path.exists():
            self._size = min(self._size, self._path.stat().st_size)
            with self._path.open("r+b") as file:
                file.truncate(self._size)
            if self._size == 0:
                self._path.unlink()
        else:
            self._size = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, rejects: Iterable[Reject]) -> int:
        """Write rejects to disk and return the file's size in bytes."""
        for reject in rejects:
            if self._file is None:
                self._file = self._path.open("ab")
            line = json.dumps(reject._asdict(), default=_readable).encode() + b"\n"
            self._file.write(line)
            self._size += len(line)
        if self._file is not None:
            self._file.flush()
        return self._size


def _readable(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
