"""The person in other files below TIDEMARK_HOME: logs, rejected rows, damaged spools, explanations; and the last look.

The last look reads every file there is, byte by byte, for the id in each of its spellings, and Parquet files, which are
compressed, by their columns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.erasure.person import Person
from pipeline.settings import Settings

REJECTS = ".rejects.ndjson"
DAMAGED_SPOOLS = "damaged"
LOGS = re.compile(r"(\.log(\.\d+)?|/log(\.\d+)?|\.out|\.err)$")
MASK = b"*"
PIECE_BYTES = 4 * 2**20
# Before and after an id that is short, in a text: otherwise it is part of a longer word.
_EDGE = rb"[^A-Za-z0-9_.-]"


def clean_files(settings: Settings, person: Person) -> dict[str, int]:
    """Take the person out of logs and of files of rejected rows, and remove damaged spools that name it.

    Returns how many lines and files that were. Logs that are being written to stay in place: their ids are masked.
    """
    counts = {"lines in logs": 0, "lines of rejected rows": 0, "damaged spools": 0, "files of explanations": 0}
    for path in search_parquet(settings, person):
        if path.is_relative_to(settings.explanations):  # made anew by whoever asks again
            path.unlink(missing_ok=True)
            counts["files of explanations"] += 1
    for path in _files(settings.home):
        if path.parent.name == DAMAGED_SPOOLS and path.parent.parent == settings.spool:
            if _has(path, person):
                path.unlink(missing_ok=True)
                counts["damaged spools"] += 1
        elif path.name.endswith(REJECTS):
            counts["lines of rejected rows"] += _without_lines(path, person)
        elif LOGS.search(path.as_posix()):
            counts["lines in logs"] += _mask(path, person)
    return {place: count for place, count in counts.items() if count}


def search_bytes(settings: Settings, person: Person) -> list[Path]:
    """Return the files below TIDEMARK_HOME, Postgres' own included, in which the id stands in any of its spellings.

    For an id that is not distinct this would find what has nothing to do with the person: then nothing is searched.
    What DuckDB spills goes when the work ends that spilled it, and is not looked at.
    """
    if not person.distinct:
        return []
    return [path for path in _files(settings.home) if not path.is_relative_to(settings.spill) and _has(path, person)]


def search_parquet(settings: Settings, person: Person) -> list[Path]:
    """Return the Parquet files below TIDEMARK_HOME, but for the lake's tables, with the id in any column of texts."""
    return [
        path
        for path in _files(settings.home)
        if path.suffix == ".parquet" and not path.is_relative_to(settings.lake) and _in_columns(path, person)
    ]


def _in_columns(path: Path, person: Person) -> bool:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for column in batch.columns:
                    if not pa.types.is_string(column.type):
                        continue
                    found = (pc.match_substring if person.distinct else pc.equal)(column, person.user_id)
                    if pc.any(found).as_py():
                        return True
    except (pa.ArrowInvalid, FileNotFoundError):  # being written, or gone
        return False
    return False


def _files(home: Path) -> Iterator[Path]:
    """Yield every file below a folder, once; the embedded Postgres may lie behind a link."""
    roots = [home]
    if (home / "postgres").is_symlink():
        roots.append((home / "postgres").resolve())
    for root in roots:
        for folder, _, names in os.walk(root):
            for name in sorted(names):
                path = Path(folder) / name
                if path.is_file() and not path.is_symlink():
                    yield path


def _has(path: Path, person: Person) -> bool:
    """Whether a file holds the id. Read piece by piece: a mapped file that others cut off would end this process."""
    kept = max(map(len, person.spellings)) - 1
    try:
        with path.open("rb") as file:
            tail = b""
            while piece := file.read(PIECE_BYTES):
                content = tail + piece
                if any(spelling in content for spelling in person.spellings):
                    return True
                tail = content[-kept:] if kept else b""
    except (FileNotFoundError, PermissionError):  # gone meanwhile, or no file of ours
        return False
    return False


def _pattern(person: Person) -> re.Pattern[bytes]:
    ids = b"|".join(re.escape(spelling) for spelling in sorted(person.spellings, key=len, reverse=True))
    return re.compile(ids if person.distinct else rb"(?<=" + _EDGE + rb")(?:" + ids + rb")(?=" + _EDGE + rb")")


def _mask(path: Path, person: Person) -> int:
    """Write over the ids in a log, in place: a process that appends to it is not disturbed. Returns how many."""
    if not _has(path, person):
        return 0
    with path.open("r+b") as file:
        places = [(found.start(), len(found[0])) for found in _pattern(person).finditer(file.read())]
        for start, length in places:
            file.seek(start)
            file.write(MASK * length)
        file.flush()
        os.fsync(file.fileno())
    return len(places)


def _without_lines(path: Path, person: Person) -> int:
    """Take the lines that name the person out of a file of JSON lines; returns how many."""
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not person.named_in(line)]
    if len(kept) < len(lines):
        unfinished = path.with_suffix(".tmp")
        with unfinished.open("wb") as file:
            file.writelines(kept)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    return len(lines) - len(kept)
