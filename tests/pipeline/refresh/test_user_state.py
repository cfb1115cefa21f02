"""The users state follows the events, whatever their order and files, and tells which days can change."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, settings

from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.lake.table import Lake, LakeFile, LakeSnapshot
from pipeline.refresh.advance import _Work
from pipeline.refresh.user_state import UserSnapshot, UserState
from pipeline.rollups.computation import DEFAULT_FUNNELS
from pipeline.rollups.funnels import read_funnels
from pipeline.rollups.jobs import REFRESH_JOBS, RETENTION_DAYS, VALID_AGE, Window, first_computable_day
from pipeline.settings import Settings
from tests.pipeline.refresh.test_refresh import AGES, DAY, START, STEPS, TENANTS, USERS, Inputs, Step, event_of
from tests.pipeline.rollups.oracle import Assignment, Event, Journey, is_valid, journeys_of
from tests.sizes import sized

EXAMPLES = sized(10, 300)
FACTS = ("active_d1", "sessions_d7", "converted", "returned_after", "first_moments", "last_moments", "session_moments")


class Diary:
    """A lake of plain files that grows step by step, the state kept of it, and all that was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(home=folder)
        self.state = UserState(Lake(self.settings.lake))
        self.as_of = START
        self.tenants: Sequence[str] = TENANTS
        self.events: list[Event] = []
        self.writes: dict[tuple[str, str, str], list[Assignment]] = defaultdict(list)
        self.files: list[LakeFile] = []
        self.version = 0

    def take(self, step: Step) -> dict[str, set[date]]:
        """Let a step happen and advance the state; return the stale days by job, all of them with the first step."""
        self.as_of += step.later
        arrived = [
            event_of(arrival, len(self.events) + number, self.tenants, self.as_of)
            for number, arrival in enumerate(step.arrivals)
        ]
        self.events += arrived
        added = self._write(arrived)
        changed = [row for assigned in step.assigned for row in self._assign(*assigned)]
        if step.paused:
            self._merge_files()
        with scratch_folder(self.settings) as scratch, duckdb_engine(self.settings, scratch) as engine:
            work = _Work(
                engine, scratch, snapshot=LakeSnapshot(self.version, tuple(self.files), None), as_of=self.as_of,
                before=self.state.snapshot(), added=added, funnels=read_funnels(DEFAULT_FUNNELS),
            )  # fmt: skip
            if work.before is None:
                rows = work.whole_state()
                self.state.write(rows, events_version=self.version, as_of=self.as_of, added_to=None)
                return {job: set(work.window.days()) for job in REFRESH_JOBS}
            work.look_at(changed)
            stale = {job: set(work.stale(job, ())) for job in REFRESH_JOBS}
            rows = work.changed_state()
            self.state.write(rows, events_version=self.version, as_of=self.as_of, added_to=work.before)
            if step.paused and self.snapshot().paths:
                merged = work.merged_state(self.snapshot())
                self.state.write(merged, events_version=self.version, as_of=self.as_of, added_to=None)
            return stale

    def snapshot(self) -> UserSnapshot:
        users = self.state.snapshot()
        assert users is not None
        return users

    def known(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The state's rows of those who count."""
        rows = [row for path in self.snapshot().paths for row in pq.ParquetFile(path).read().to_pylist()]
        rows.sort(key=lambda row: (row["added"], row["events_version"], row["as_of"]))
        latest = {(row["tenant_id"], row["anonymous_user_id"]): row for row in rows}
        return {user: row for user, row in latest.items() if row["cohort_day"] is not None}

    def _write(self, events: Sequence[Event]) -> list[str]:
        by_day: dict[date, list[Event]] = defaultdict(list)
        for event in events:
            by_day[event.occurred_at.date()].append(event)
        self.version += 1
        files = [self._file(day, own) for day, own in by_day.items()]
        self.files += files
        return [file.path for file in files]

    def _file(self, day: date, events: Sequence[Event]) -> LakeFile:
        path = self.folder / f"day={day}" / f"{self.version}.parquet"
        path.parent.mkdir(exist_ok=True)
        moment = pa.timestamp("us", tz="UTC")
        columns = {
            "tenant_id": pa.array([event.tenant_id for event in events]),
            "anonymous_user_id": pa.array([event.user for event in events]),
            "event_name": pa.array([event.name for event in events]),
            "occurred_at": pa.array([event.occurred_at for event in events], moment),
            "received_at": pa.array([event.received_at for event in events], moment),
        }
        pq.write_table(pa.table(columns), path)
        return LakeFile(str(path), day, len(events), path.stat().st_size)

    def _merge_files(self) -> None:
        """Put each day's events in one new file, as a compaction does: nothing is added, old files stay a while."""
        self.version += 1
        by_day: dict[date, list[Event]] = defaultdict(list)
        for event in self.events:
            by_day[event.occurred_at.date()].append(event)
        self.files = [self._file(day, own) for day, own in by_day.items()]

    def _assign(self, tenant: int, user: int, variant: int, age: int) -> list[tuple[str, str, str, str, date]]:
        rows = []
        for experiment in ("exp_a", "exp_b"):
            key = (self.tenants[tenant % len(self.tenants)], USERS[user], experiment)
            writes = self.writes[key]
            writes.append(Assignment(*key, "AB"[variant], self.as_of - AGES[age]))
            rows += [(*key, write.variant_id, write.assigned_at.date()) for write in writes[-2:]]
        return rows


def facts_of(journey: Journey, after: date) -> dict[str, Any]:
    """What the state has to hold of a user whose first day is wholly valid: later than `after`."""
    days: dict[date, list[datetime]] = defaultdict(list)
    for event in journey.events:
        days[event.occurred_at.date()].append(event.occurred_at)
    assert min(days) > after
    return {
        "active_d1": journey.active_on_first_day,
        "sessions_d7": journey.sessions_within(timedelta(days=7)),
        "converted": journey.converted,
        "returned_after": [number for number in RETENTION_DAYS if journey.cohort_day + number * DAY in days],
        "first_moments": [min(days[day]) for day in sorted(days)],
        "last_moments": [max(days[day]) for day in sorted(days)],
        "session_moments": sorted(e.occurred_at for e in journey.events if e.name == "session_submitted"),
    }


@settings(
    max_examples=EXAMPLES, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(steps=STEPS)
def test_the_state_and_the_stale_days_follow_the_events(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        diary = Diary(Path(folder))
        for number, step in enumerate(steps):
            before = Inputs(diary)
            stale = diary.take(step)
            if number:
                window = Window(first_computable_day(diary.as_of), diary.as_of.date())
                assert stale == Inputs(diary).changed_since(before, window)
            assert_exact(diary)


def assert_exact(diary: Diary) -> None:
    """The state holds exactly the users with valid events, with the facts of these."""
    known, partly = diary.known(), (diary.as_of - VALID_AGE).date()
    valid = [event for event in diary.events if is_valid(event, diary.as_of)]
    users = set()
    for tenant in diary.tenants:
        for user, journey in journeys_of(event for event in valid if event.tenant_id == tenant).items():
            row = known[tenant, user]
            users.add((tenant, user))
            assert row["active_days"] == sorted({event.occurred_at.date() for event in journey.events})
            assert row["cohort_day"] == journey.cohort_day
            if journey.cohort_day > partly:
                assert {name: row[name] for name in FACTS} == facts_of(journey, partly)
    assert users == known.keys()
