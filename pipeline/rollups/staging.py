"""Staged rollups: results that are computed, and wait on disk to be checked and published.

One Parquet file per run under the staging folder, named by run_id; what the checks need to know about the input travels
in its metadata, so that a later process needs the run_id alone. The file goes when the run is over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.rollups.jobs import Job, Window, job_named
from pipeline.settings import Settings
from pipeline.statements import statement

METADATA_KEY = b"tidemark"


class NotStagedError(Exception):
    """The run has no result on this machine: it is over, or it was computed elsewhere."""


@dataclass(frozen=True)
class InputFacts:
    """What a rollup was computed from, as far as the checks of its result need it.

    `lake_rows` are the events in the window's days by the lake's own log. `variants` are (tenant_id, experiment_id,
    variant_id) of the RUNNING experiments, `funnel_steps` (funnel, step) of the funnels, where the job reads them.
    """

    lake_version: int | None
    lake_rows: int
    ignored_count: int
    tenants: tuple[str, ...]
    variants: tuple[tuple[str, str, str], ...] = ()
    funnel_steps: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class StagedRollup:
    """A computed, unpublished result: `rows` has the job's columns, JSON as text, sorted by key.

    Nothing that it was computed from was read before `read_at`, by the database's clock.
    """

    run_id: UUID
    job: Job
    window: Window
    as_of: datetime
    read_at: datetime
    seconds: float
    facts: InputFacts
    rows: pa.Table
    path: Path

    @property
    def lake_version(self) -> int | None:
        """The one lake version it was computed from; None when nothing was ever exported."""
        return self.facts.lake_version

    @property
    def ignored_count(self) -> int:
        """Events in the window that are not valid."""
        return self.facts.ignored_count

    def write(self) -> None:
        """Write the file, all of it or nothing."""
        note = {
            "job": self.job.name,
            "first": self.window.first.isoformat(),
            "last": self.window.last.isoformat(),
            "chosen": None if self.window.chosen is None else [day.isoformat() for day in self.window.chosen],
            "as_of": self.as_of.isoformat(),
            "read_at": self.read_at.isoformat(),
            "seconds": self.seconds,
            "facts": self.facts.__dict__,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".unfinished")
        pq.write_table(self.rows.replace_schema_metadata({METADATA_KEY: json.dumps(note)}), unfinished)
        unfinished.replace(self.path)

    def discard(self) -> None:
        """Remove the file; nothing happens when it is gone already."""
        self.path.unlink(missing_ok=True)


def staged_path(settings: Settings, run_id: UUID) -> Path:
    """Return where the result of a run waits."""
    return settings.staging / f"{run_id}.parquet"


def load_staged(settings: Settings, run_id: UUID | str) -> StagedRollup:
    """Return the staged result of a run. Raises NotStagedError."""
    path = staged_path(settings, UUID(str(run_id)))
    try:
        rows = pq.read_table(path)
    except FileNotFoundError:
        raise NotStagedError(
            f"run {run_id} has no computed result under {settings.staging}: it was published, superseded or failed;"
            " compute it again"
        ) from None
    note: dict[str, Any] = json.loads(rows.schema.metadata[METADATA_KEY])
    facts = note["facts"]
    return StagedRollup(
        run_id=UUID(str(run_id)),
        job=job_named(note["job"]),
        window=Window(
            date.fromisoformat(note["first"]),
            date.fromisoformat(note["last"]),
            None if note["chosen"] is None else tuple(date.fromisoformat(day) for day in note["chosen"]),
        ),
        as_of=datetime.fromisoformat(note["as_of"]),
        read_at=datetime.fromisoformat(note["read_at"]),
        seconds=note["seconds"],
        facts=InputFacts(
            lake_version=facts["lake_version"],
            lake_rows=facts["lake_rows"],
            ignored_count=facts["ignored_count"],
            tenants=tuple(facts["tenants"]),
            variants=tuple((tenant, experiment, variant) for tenant, experiment, variant in facts["variants"]),
            funnel_steps=tuple((funnel, step) for funnel, step in facts.get("funnel_steps", ())),
        ),
        rows=rows.replace_schema_metadata(None),
        path=path,
    )


def remove_leftovers(settings: Settings, connection: psycopg.Connection) -> None:
    """Remove the files of runs that are over: what superseded, abandoned and killed runs left behind."""
    files = {path: run_id for path in _files(settings.staging) if (run_id := _run_id(path)) is not None}
    if not files:
        return
    rows = connection.execute(statement("publish/find_ended_runs"), {"run_ids": list(files.values())}).fetchall()
    ended = {UUID(str(run_id)) for (run_id,) in rows}
    for path, run_id in files.items():
        if run_id in ended:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterable[Path]:
    return [Path(entry.path) for entry in os.scandir(folder)] if folder.is_dir() else []


def _run_id(path: Path) -> UUID | None:
    try:
        return UUID(path.stem)
    except ValueError:
        return None
