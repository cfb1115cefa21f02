"""Repeats a recorded run: its statements as they were, with its parameters, over given files.

Tables that named users were not kept: they are read from Postgres again, and compared with their digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.export.arrow_transaction import arrow_transaction
from pipeline.provenance.record import RecordedInput, RecordedStep, RunRecord
from pipeline.provenance.recording import MADE_COLUMN, Digest, Digester, Step
from pipeline.provenance.result_digest import Row, rows_of
from pipeline.refresh.counted_assignments import read_wanted_assignments
from pipeline.rollups.jobs import Job
from pipeline.rollups.recorded_values import decode, table_from_text
from pipeline.settings import Settings

ALL_ASSIGNMENTS = "rollups/read_assignments"
WANTED_ASSIGNMENTS = "rollups/read_wanted_assignments"
WANTED_USERS = "rollups/select_new_users"
IGNORED_EVENTS = "rollups/count_ignored_events"


class NotRepeatableError(Exception):
    """The run cannot be repeated: something it was computed from is no longer there."""


@dataclass(frozen=True)
class Repetition:
    """What came out: rows, ignored events, and a sentence for each input from Postgres that changed since."""

    rows: list[Row]
    ignored_count: int | None
    changed_inputs: tuple[str, ...]


def repeat(
    settings: Settings, database_url: str, job: Job, record: RunRecord, files: Sequence[Sequence[str]]
) -> Repetition:
    """Run a record's steps again. `files` are the paths to read for each of its files.

    Raises NotRepeatableError, and duckdb.Error when a statement fails or a file cannot be read.
    """
    with scratch_folder(settings) as scratch, duckdb_engine(settings, scratch) as engine:
        return _Replay(database_url, record, files, engine, scratch).run(job)


@dataclass
class _Replay:
    database_url: str
    record: RunRecord
    files: Sequence[Sequence[str]]
    engine: duckdb.DuckDBPyConnection
    scratch: Path
    changed: list[str] = field(default_factory=list)
    ignored_count: int | None = None

    def run(self, job: Job) -> Repetition:
        waiting = {}
        for given in self.record.inputs:
            if given.contents is not None:
                self.engine.register(given.name, table_from_text(given.contents))
            else:
                waiting[given.name] = given
        steps = [Step(step.name, self._text(step), self._parameters(step)) for step in self.record.steps]
        for step in steps[:-1]:
            wanted = [waiting.pop(name) for name in sorted(waiting.keys() & step.words)]
            with self._again(wanted):
                rows = self.engine.execute(step.text, dict(step.parameters)).fetchall()
            if step.name == IGNORED_EVENTS:
                self.ignored_count = int(rows[0][0])
        result = pa.table(self.engine.sql(steps[-1].text).to_arrow_table())
        return Repetition(rows_of(job.columns, result), self.ignored_count, tuple(self.changed))

    @contextmanager
    def _again(self, inputs: Sequence[RecordedInput]) -> Iterator[None]:
        """Give the inputs that were not kept to one step, and compare them with what the run had."""
        if not inputs:
            yield
            return
        if len(inputs) > 1:
            raise NotRepeatableError("more than one input that was not kept in one statement")
        (given,) = inputs
        digest = Digest()
        if given.source == ALL_ASSIGNMENTS:
            with (
                arrow_transaction(self.database_url, application="tidemark-verify") as transaction,
                transaction.query(given.source) as reader,
            ):
                batches = Digester().passing(_made_until(reader, given), digest)
                self.engine.register(given.name, pa.RecordBatchReader.from_batches(reader.schema, batches))
                yield
                self.engine.unregister(given.name)
        elif given.source == WANTED_ASSIGNMENTS:
            users = self.engine.execute(self._text_named(WANTED_USERS)).fetchall()
            table = read_wanted_assignments(self.database_url, users)
            for batch in table.to_batches():
                Digester().add(batch, digest)
            self.engine.register(given.name, table)
            yield
        else:
            raise NotRepeatableError(f"its input {given.name} ({given.rows} rows) was too big to be kept")
        comparable = self.record.engines.get("duckdb") == duckdb.__version__
        if digest.rows != given.rows or (comparable and digest.text != given.digest):
            self.changed.append(
                f"the {given.name} changed since: the run read {given.rows} of them, now there are {digest.rows}"
                if digest.rows != given.rows
                else f"the {given.name} changed since: there are {given.rows} as then, but not the same ones"
            )

    def _text(self, step: RecordedStep) -> str:
        text = self.record.texts.get(step.sha256)
        if text is None or hashlib.sha256(text.encode()).hexdigest() != step.sha256:
            raise NotRepeatableError(f"the recorded text of {step.name} is not the one that was run")
        return text

    def _text_named(self, name: str) -> str:
        for step in self.record.steps:
            if step.name == name:
                return self._text(step)
        raise NotRepeatableError(f"the statement {name} is not in its record")

    def _parameters(self, step: RecordedStep) -> dict[str, Any]:
        return {name: decode(value, self.files, self.scratch) for name, value in step.parameters.items()}


def _made_until(batches: pa.RecordBatchReader, given: RecordedInput) -> Iterator[pa.RecordBatch]:
    """Leave out assignments that were made after the last one the run had."""
    for batch in batches:
        yield batch if given.newest is None else batch.filter(pc.less_equal(batch.column(MADE_COLUMN), given.newest))
