"""Verification of a run: its files are what they were, and its statements, run again, give what it published.

A file that is gone is no objection when its rows are provably still there: a day of the lake only ever gains rows, and
what takes some away (an erasure) leaves a note. So a day without such a note, and with as many rows as the run read,
has the same rows, in whatever files they lie now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import duckdb
import psycopg
from psycopg.rows import class_row, dict_row

from pipeline.database import connect
from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.lake.table import Lake, LakeError, LakeSnapshot
from pipeline.provenance.input_files import sha256_of
from pipeline.provenance.record import NotRecordedError, Rewrite, RunRecord, find_rewrites, read_record
from pipeline.provenance.replay import IGNORED_EVENTS, NotRepeatableError, Repetition, repeat
from pipeline.provenance.result_digest import Row, digest, first_difference, plain, rows_of
from pipeline.rollups.computation import Computation
from pipeline.rollups.jobs import Job, job_of_run
from pipeline.rollups.runs import Run, find_run
from pipeline.settings import Settings
from pipeline.statements import statement
from pipeline.versions import code_commit, engine_versions

VERIFIED = "verified"
DIFFERS = "differs"
INPUT_CHANGED = "input changed"
NOT_REPEATABLE = "not repeatable"


@dataclass(frozen=True)
class FileCheck:
    """The run's files now: how many are as they were, and which are not, by path below the lake's root."""

    intact: int
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    rewritten: tuple[Rewrite, ...]


@dataclass(frozen=True)
class Verification:
    """What verifying a run found. `ok` when it was repeated with the result it had, and that is what is published.

    `problems` say what stands against it, `notes` what a reader should know. `rows_replaced` are those that later runs
    have published anew since; `code_changed` the statements whose text is another today; digests are SHA-256.
    """

    run_id: UUID
    job_name: str
    verdict: str
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    files: FileCheck
    code_changed: tuple[str, ...]
    rows: int
    rows_replaced: int
    recorded_sha256: str
    repeated_sha256: str | None

    @property
    def ok(self) -> bool:
        """Whether nothing stands against the run."""
        return not self.problems


def verify_run(settings: Settings, database_url: str, run_id: UUID) -> Verification:
    """Check a published run's files and repeat it; nothing is changed. Raises NotRecordedError."""
    with connect(database_url, application="tidemark-verify", autocommit=True) as connection:
        run = find_run(connection, run_id)
        if run is None:
            raise NotRecordedError(f"there is no run {run_id}; `runs` lists them")
        if run.status != "SUCCESS":
            raise NotRecordedError(f"run {run_id} is {run.status} and published nothing: there is nothing to verify")
        record = read_record(connection, run_id)
        job = job_of_run(run.job_name)
        published = _published(connection, job, run_id)
        checked = _check_files(settings, connection, record)
        verifier = _Verifier(settings, database_url, connection, run, job, record, checked)
        return verifier.conclude(published)


def _published(connection: psycopg.Connection, job: Job, run_id: UUID) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement(f"provenance/read_{job.table}"), {"run_id": run_id}).fetchall()
    return [plain(row) for row in rows]


def _check_files(settings: Settings, connection: psycopg.Connection, record: RunRecord) -> FileCheck:
    changed, missing = [], []
    for file in record.files:
        path = settings.lake / file.path
        try:
            same = path.stat().st_size == file.size and sha256_of(path) == file.sha256
        except FileNotFoundError:
            missing.append(file.path)
        else:
            if not same:
                changed.append(file.path)
    rewritten = find_rewrites(connection, [file.path for file in record.files])
    intact = len(record.files) - len(changed) - len(missing)
    return FileCheck(intact, tuple(changed), tuple(missing), tuple(rewritten))


@dataclass
class _Verifier:
    settings: Settings
    database_url: str
    connection: psycopg.Connection
    run: Run
    job: Job
    record: RunRecord
    files: FileCheck

    def conclude(self, published: Sequence[Row]) -> Verification:
        problems: list[str] = []
        notes = self._version_notes()
        code_changed = self._changed_statements()
        if code_changed:
            notes.append(
                f"the code differs: other statements today are {', '.join(code_changed)}; repeated as they were"
            )
        repetition: Repetition | None = None
        if self.files.changed:
            verdict = INPUT_CHANGED
            problems += [f"{path} is not the file that was read: its bytes have changed" for path in self.files.changed]
        else:
            try:
                repetition = self._repeat(notes)
                verdict = VERIFIED
            except (NotRepeatableError, LakeError, duckdb.Error) as error:
                verdict = NOT_REPEATABLE
                problems.append(f"it cannot be repeated: {error}")
        if repetition is not None:
            wrong = self._compare(repetition, published)
            if wrong:
                verdict = INPUT_CHANGED if repetition.changed_inputs else DIFFERS
                problems += [*repetition.changed_inputs, *wrong]
            else:
                notes += [f"{text}; the result is the same" for text in repetition.changed_inputs]
        elif len(published) == self.record.result_rows and digest(published) != self.record.result_sha256:
            problems.append("the published rows are not those that the run published")
        return Verification(
            run_id=self.run.run_id,
            job_name=self.run.job_name,
            verdict=verdict,
            problems=tuple(problems),
            notes=tuple(notes),
            files=self.files,
            code_changed=code_changed,
            rows=self.record.result_rows,
            rows_replaced=self.record.result_rows - len(published),
            recorded_sha256=self.record.result_sha256,
            repeated_sha256=None if repetition is None else digest(repetition.rows),
        )

    def _compare(self, repetition: Repetition, published: Sequence[Row]) -> list[str]:
        wrong = []
        keys = {tuple(row[name] for name in self.job.key) for row in published}
        ours = [row for row in repetition.rows if tuple(row[name] for name in self.job.key) in keys]
        difference = first_difference(self.job.key, ours, published)
        if difference is not None:
            wrong.append(difference)
        elif digest(repetition.rows) != self.record.result_sha256:
            wrong.append("repeated, the result is another than the run recorded, in rows that are no longer published")
        if repetition.ignored_count is not None and repetition.ignored_count != self.run.ignored_count:
            wrong.append(f"{self.run.ignored_count} events were ignored, repeated it is {repetition.ignored_count}")
        return wrong

    def _repeat(self, notes: list[str]) -> Repetition:
        """Repeat the run from its own files, from the same rows in other files, or from the version of the lake."""
        root = self.settings.lake
        own = [[str(root / file.path)] for file in self.record.files]
        if not self.files.missing:
            return repeat(self.settings, self.database_url, self.job, self.record, own)
        if self.files.rewritten:
            raise NotRepeatableError(_rewrite_text(self.files.rewritten))
        gone = [file for file in self.record.files if file.path in set(self.files.missing)]
        if all(file.day is not None for file in gone):
            moved = self._moved_days({file.day for file in gone if file.day is not None})
            notes.append(f"files were merged since: the same rows of {len(moved)} days were read from their new files")
            files = [moved.get(file.day, path) for file, path in zip(self.record.files, own, strict=True)]
            return repeat(self.settings, self.database_url, self.job, self.record, files)
        notes.append("the users state it read is no longer kept: computed from the lake's events by today's statements")
        return self._compute_anew()

    def _moved_days(self, days: set[date]) -> dict[date | None, list[str]]:
        """Return where the rows of days lie now, when they are provably those the run read."""
        rewrites = self._rewrites_of(days)
        if rewrites:
            raise NotRepeatableError(_rewrite_text(rewrites))
        newest = Lake(self.settings.lake).snapshot()
        now = _rows_by_day(newest, days)
        then: Counter[date | None] = Counter()
        for file in self.record.files:
            then[file.day] += file.rows
        grown = sorted(day for day in days if now[day] != then[day])
        if newest is None or grown:
            raise NotRepeatableError(
                f"files it read are no longer kept ({_some(self.files.missing)}), and events that came later for"
                f" {', '.join(str(day) for day in grown[:3])} are no longer told apart from those it read"
            )
        return {day: newest.paths_of([day]) for day in days}

    def _rewrites_of(self, days: set[date]) -> list[Rewrite]:
        with self.connection.cursor(row_factory=class_row(Rewrite)) as cursor:
            return cursor.execute(
                statement("provenance/find_rewritten_days"), {"days": sorted(days), "since": self.run.started_at}
            ).fetchall()

    def _compute_anew(self) -> Repetition:
        with scratch_folder(self.settings) as scratch, duckdb_engine(self.settings, scratch) as engine:
            computation = Computation(
                engine,
                self.database_url,
                Lake(self.settings.lake),
                self.run.window,
                self.run.as_of,
                scratch=scratch,
                lake_version=self.run.lake_version,
                assigned_before=self.run.started_at,
            )
            rows, facts = computation.compute(self.job)
        counted = any(step.name == IGNORED_EVENTS for step in self.record.steps)
        return Repetition(rows_of(self.job.columns, rows), facts.ignored_count if counted else None, ())

    def _changed_statements(self) -> tuple[str, ...]:
        changed = {
            step.name for step in self.record.steps if _current_text(step.name) != self.record.texts.get(step.sha256)
        }
        return tuple(sorted(changed))

    def _version_notes(self) -> list[str]:
        then = {"commit": self.record.code_commit or "unknown", **self.record.engines}
        now = {"commit": code_commit() or "unknown", **engine_versions()}
        return [
            f"{name} was {then.get(name)} and is {now.get(name)} now"
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name)
        ]


def _rows_by_day(snapshot: LakeSnapshot | None, days: set[date]) -> dict[date, int]:
    return {day: 0 if snapshot is None else snapshot.rows_of([day]) for day in days}


def _rewrite_text(rewrites: Sequence[Rewrite]) -> str:
    reasons = "; ".join(sorted({f"{rewrite.reason} on {rewrite.at:%Y-%m-%d}" for rewrite in rewrites}))
    return f"its input was rewritten on purpose ({reasons}): {_some([rewrite.path for rewrite in rewrites])}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _current_text(name: str) -> str | None:
    try:
        return statement(name)
    except FileNotFoundError:
        return None
