"""Imports a file of events or assignments: every row stored once, or kept aside with its line and the reason.

Streams in batches; each batch and the position after it are one transaction. Interrupted at any moment, the same
command continues where the last committed batch ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg

from pipeline.clock import Clock, utc_now
from pipeline.database import connect
from pipeline.imports.formats import ImportFileError, Reader, Record, format_of, open_reader
from pipeline.imports.progress import ImportRecord, Position, file_sha256
from pipeline.imports.rejects import Reject, RejectsFile
from pipeline.imports.rows import RowError
from pipeline.imports.targets import TARGETS, Target, rejected_tenant
from pipeline.ingestion.event_store import StoreResult
from pipeline.statements import statement

ATTEMPTS = 5
BATCH_ROWS = 5_000

Watcher = Callable[[int, int, int], None]


@dataclass(frozen=True)
class ImportResult:
    """What became of a file: rows = stored + duplicate + rejected; conflict is the part of duplicate that differs.

    Totals cover the whole file, the part imported by an interrupted run included. `already_imported`: it had been
    finished before, and nothing was done now.
    """

    file: str
    rows: int
    stored: int
    duplicate: int
    conflict: int
    rejected: int
    rejects_file: str | None
    ignored_columns: tuple[str, ...]
    already_imported: bool
    resumed_at: int
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every row was storable."""
        return self.rejected == 0


def import_file(
    database_url: str,
    kind: str,
    path: Path,
    *,
    file_format: str | None = None,
    rejects: Path | None = None,
    restart: bool = False,
    clock: Clock = utc_now,
    watch: Watcher | None = None,
) -> ImportResult:
    """Import a Parquet, CSV or NDJSON file into `kind` ("events" or "assignments").

    Rejected rows go to `rejects` (default: the file's name + `.rejects.ndjson`). `restart` begins anew, which stores
    nothing twice. `watch` is told rows done, and how much of the file that is (done, total).
    Raises ImportFileError when the file as a whole is unusable, ImportRunningError when another process imports it,
    OSError and psycopg.Error; what was committed until then stays, and the next run continues there.
    """
    started = monotonic()
    target = TARGETS[kind]
    file_format = format_of(path, file_format)
    rejects_path = rejects or path.with_name(f"{path.name}.rejects.ndjson")
    if not path.is_file():
        raise ImportFileError(f"{path}: there is no such file")
    if rejects_path.exists() and rejects_path.samefile(path):
        raise ImportFileError(f"{path}: rejected rows cannot be written to the imported file itself")
    with connect(database_url, application="tidemark-import", autocommit=True) as connection:
        record = ImportRecord(connection, kind, file_sha256(path))
        start = record.open(clock(), restart=restart)
        job = _Import(target, record, _tenants(connection), rejects_path, start)
        if not start.finished:
            with open_reader(path, file_format, target.json_columns, target.required) as reader:
                job.run(reader, watch)
            record.finish(clock())
    end = job.position
    return ImportResult(
        file=str(path),
        rows=end.position,
        stored=end.stored,
        duplicate=end.duplicate,
        conflict=end.conflict,
        rejected=end.rejected,
        rejects_file=str(rejects_path) if end.rejected else None,
        ignored_columns=tuple(sorted(job.ignored)),
        already_imported=start.finished,
        resumed_at=start.position,
        seconds=monotonic() - started,
    )


class _Import:
    """One run over one file, from a position to the end."""

    def __init__(
        self, target: Target[Any], record: ImportRecord, tenants: frozenset[str], rejects: Path, start: Position
    ) -> None:
        self._target = target
        self._record = record
        self._tenants = tenants
        self._rejects = rejects
        self.position = start
        self.ignored: set[str] = set()

    def run(self, reader: Reader, watch: Watcher | None) -> None:
        """Store what lies beyond the position, batch by batch."""
        records = reader.records()
        skipped = sum(1 for _ in islice(records, self.position.position))
        if skipped < self.position.position:
            raise ImportFileError("the file ends before the row where its import stopped; use --restart")
        with RejectsFile(self._rejects, self.position.rejects_bytes) as rejects:
            while batch := list(islice(records, BATCH_ROWS)):
                self._store(batch, rejects)
                if watch is not None:
                    watch(self.position.position, *reader.progress())

    def _store(self, batch: Sequence[Record], rejects: RejectsFile) -> None:
        """Store a batch; beside a live API, which locks the same counts in another order, it may take another try."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._store_once(batch, rejects)
                return
            except psycopg.errors.DeadlockDetected:
                if attempt == ATTEMPTS:
                    raise

    def _store_once(self, batch: Sequence[Record], rejects: RejectsFile) -> None:
        rows: list[tuple[Record, Any]] = []
        refused: list[tuple[Record, str]] = []
        for record in batch:
            try:
                if record.problem is not None:
                    raise RowError(record.problem)
                rows.append((record, self._convert(record.values)))
            except RowError as error:
                refused.append((record, str(error)))
        connection = self._record.connection
        with connection.transaction():
            result = self._store_rows(connection, rows, refused)
            tenants = Counter(rejected_tenant(record.values, self._tenants) for record, _ in refused)
            self._target.store(connection, [], tenants, self.position.started_at)
            size = rejects.append(Reject(item.line, reason, item.values) for item, reason in sorted(refused, key=_line))
            after = self.position.after(result, len(refused), size)
            self._record.advance(self.position, after)
        self.position = after

    def _convert(self, values: Mapping[str, Any]) -> object:
        self.ignored.update(values.keys() - self._target.columns)
        return self._target.convert(values, self._tenants, self.position.started_at)

    def _store_rows(
        self,
        connection: psycopg.Connection,
        rows: Sequence[tuple[Record, Any]],
        refused: list[tuple[Record, str]],
    ) -> StoreResult:
        """Store rows; should Postgres refuse a value that the rules let pass, find that row and reject it alone."""
        if not rows:
            return StoreResult(0, 0, 0)
        try:
            with connection.transaction():
                return self._target.store(connection, [row for _, row in rows], Counter(), self.position.started_at)
        except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, psycopg.errors.StatementTooComplex) as error:
            if len(rows) == 1:
                refused.append((rows[0][0], f"Postgres cannot store it: {str(error).splitlines()[0]}"))
                return StoreResult(0, 0, 0)
        half = len(rows) // 2
        first = self._store_rows(connection, rows[:half], refused)
        second = self._store_rows(connection, rows[half:], refused)
        return StoreResult(
            first.stored + second.stored, first.duplicate + second.duplicate, first.conflict + second.conflict
        )


def _tenants(connection: psycopg.Connection) -> frozenset[str]:
    return frozenset(tenant_id for (tenant_id,) in connection.execute(statement("import/read_tenants")).fetchall())


def _line(refused: tuple[Record, str]) -> int:
    return refused[0].line
