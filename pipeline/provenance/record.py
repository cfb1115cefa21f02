"""Provenance: what each run was computed from, recorded when it is computed.

Owns the tables `run_provenance`, `statement_texts`, `lake_files` and `lake_file_rewrites`.
`pipeline.provenance.run_verification` repeats a run from its record, `pipeline.provenance.explanation` traces one
number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from pipeline.provenance.input_files import InputFile, kept_path, newest_received, read_files, record_files
from pipeline.provenance.recording import Recording, Step
from pipeline.provenance.result_digest import digest, rows_of
from pipeline.rollups.jobs import Job
from pipeline.rollups.recorded_values import encode, is_paths, table_to_text
from pipeline.statements import statement
from pipeline.versions import code_commit, engine_versions

Json = Any


class NotRecordedError(Exception):
    """There is no such run, or nothing is recorded of what it was computed from."""


@dataclass(frozen=True)
class RecordedInput:
    """A table that the run was given: rows and digest; `contents` when small and free of users (see table_to_text).

    `source` is the name of the statement that read it from Postgres, `newest` the latest assigned_at in it.
    """

    name: str
    rows: int
    digest: str
    source: str | None
    newest: datetime | None
    contents: str | None


@dataclass(frozen=True)
class RecordedStep:
    """A statement of the run: its name then, the SHA-256 of its text, its parameters as JSON."""

    name: str
    sha256: str
    parameters: Mapping[str, Json]


@dataclass(frozen=True)
class RunRecord:
    """Everything recorded of one run; files in the order that steps refer to, texts by SHA-256."""

    run_id: UUID
    files: Sequence[InputFile]
    steps: Sequence[RecordedStep]
    inputs: Sequence[RecordedInput]
    texts: Mapping[str, str]
    parameters: Mapping[str, Json]
    engines: Mapping[str, str]
    code_version: str
    code_commit: str | None
    newest_received_at: datetime | None
    result_rows: int
    result_sha256: str


@dataclass(frozen=True)
class Rewrite:
    """A file whose rows were changed on purpose."""

    path: str
    reason: str
    at: datetime


def record_run(
    connection: psycopg.Connection,
    run_id: UUID,
    job: Job,
    recording: Recording,
    result: pa.Table,
    *,
    parameters: Mapping[str, Any],
) -> None:
    """Record what a run was computed from, in one transaction; files that are new are hashed now.

    `parameters` describe the run as a whole; times aware. Raises psycopg.Error, OSError when a file cannot be read.
    """
    paths = dict.fromkeys(path for step in recording.steps for path in _lake_paths(step))
    files = record_files(connection, sorted(paths, key=kept_path))
    positions = {path: number for number, path in enumerate(sorted(paths, key=kept_path))}
    texts = {_sha256(step.text): step.text for step in recording.steps}
    rows = rows_of(job.columns, result)
    with connection.transaction():
        with connection.cursor() as cursor:
            cursor.executemany(
                statement("provenance/add_text"), [{"sha256": key, "text": texts[key]} for key in sorted(texts)]
            )
        connection.execute(
            statement("provenance/add_run"),
            {
                "run_id": run_id,
                "file_ids": [file.file_id for file in files],
                "steps": Jsonb([_step(step, positions) for step in recording.steps]),
                "inputs": Jsonb(
                    [
                        {
                            "name": given.name,
                            "rows": given.digest.rows,
                            "digest": given.digest.text,
                            "source": given.source,
                            "newest": encode(given.digest.newest, positions),
                            "contents": None if given.table is None else table_to_text(given.table),
                        }
                        for given in recording.inputs
                    ]
                ),
                "parameters": Jsonb({name: encode(value, positions) for name, value in parameters.items()}),
                "engines": Jsonb(engine_versions()),
                "code_commit": code_commit(),
                "newest_received_at": newest_received(files),
                "result_rows": len(rows),
                "result_sha256": digest(rows),
            },
        )


def read_record(connection: psycopg.Connection, run_id: UUID) -> RunRecord:
    """Return what is recorded of a run. Raises NotRecordedError."""
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        row = cursor.execute(statement("provenance/read_run"), {"run_id": run_id}).fetchone()
    if row is None:
        raise NotRecordedError(
            f"nothing is recorded of what run {run_id} was computed from: there is no such run, it failed before it had"
            " a result, or it is older than these records"
        )
    steps = [RecordedStep(step["name"], step["sha256"], step["parameters"]) for step in row["steps"]]
    inputs = [_input(given) for given in row["inputs"]]
    wanted = {step.sha256 for step in steps}
    texts = connection.execute(statement("provenance/read_texts"), {"sha256s": sorted(wanted)}).fetchall()
    return RunRecord(
        run_id=row["run_id"],
        files=read_files(connection, row["file_ids"]),
        steps=steps,
        inputs=inputs,
        texts=dict(texts),
        **{
            name: row[name]
            for name in (
                "parameters", "engines", "code_version", "code_commit", "newest_received_at", "result_rows",
                "result_sha256",
            )
        },
    )  # fmt: skip


def note_rewritten(connection: psycopg.Connection, paths: Iterable[str], reason: str) -> None:
    """Note that these files' rows were changed on purpose; idempotent.

    Runs that read them say so when they are verified. Rewriting a file with the same rows (a compaction) is no case of
    it. `paths` may be absolute or relative to the lake's root.
    """
    with connection.cursor() as cursor:
        cursor.executemany(
            statement("provenance/note_rewritten"), [{"path": kept_path(path), "reason": reason} for path in paths]
        )


def find_rewrites(connection: psycopg.Connection, paths: Iterable[str]) -> list[Rewrite]:
    """Return which of these files were rewritten on purpose, and why."""
    with connection.cursor(row_factory=class_row(Rewrite)) as cursor:
        return cursor.execute(
            statement("provenance/find_rewrites"), {"paths": [kept_path(path) for path in paths]}
        ).fetchall()


def _lake_paths(step: Step) -> list[str]:
    lists = [value for value in step.parameters.values() if is_paths(value)]
    return [path for paths in lists for path in paths if kept_path(path) != path]


def _step(step: Step, positions: Mapping[str, int]) -> Json:
    return {
        "name": step.name,
        "sha256": _sha256(step.text),
        "parameters": {name: encode(value, positions) for name, value in step.parameters.items()},
    }


def _input(given: Json) -> RecordedInput:
    newest = None if given["newest"] is None else datetime.fromisoformat(given["newest"]["at"])
    return RecordedInput(given["name"], given["rows"], given["digest"], given["source"], newest, given["contents"])


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
