"""The stages of a demo, in order. Each can be repeated: running an interrupted demo again completes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cli.demo.campaign import make_campaign_tenant
from cli.demo.delivery import Delivered, send
from cli.demo.experiments import Experiments, read_experiments
from cli.demo.folder import DemoError, DemoFolder, Wishes, choose_plan
from cli.demo.history import Recorded, record
from cli.demo.materialize import materialize
from cli.demo.plan import Plan
from cli.demo.report import Report, read_report
from cli.demo.simulation import simulate
from cli.progress import Progress
from cli.running_system import RunningSystem
from pipeline.clock import Clock, utc_now
from pipeline.database import connect
from pipeline.imports.run import import_file
from pipeline.settings import REPOSITORY
from pipeline.statements import statement

MANIFEST = REPOSITORY / "tests.json"


@dataclass
class Outcome:
    """How a demo went. `seconds` are those of its stages, in order; `sent` is None when it was there already."""

    report: Report
    already_there: bool
    seconds: dict[str, float]
    sent: Delivered | None = None
    still_on_phones: int | None = None


@dataclass
class Stopwatch:
    """Seconds of each stage, to the tenth."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block under a name."""
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 1)


def run_demo(system: RunningSystem, wishes: Wishes, clock: Clock = utc_now) -> Outcome:
    """Bring a demo into a running system, or find the one that is there.

    Raises DemoError when the home holds data that is not a demo's, DeliveryError when the API refuses, and what the
    import raises.
    """
    make_campaign_tenant(system.database_url)
    folder = DemoFolder(system.settings.home / "demo")
    plan = choose_plan(folder, wishes, _has_data(system.database_url), clock)
    if folder.is_done():
        report = read_report(system.settings, system.database_url, plan)
        return Outcome(report, already_there=True, seconds=folder.seconds())
    watch = Stopwatch()
    with watch.stage("simulate"):
        recorded = _simulate(plan, read_experiments(MANIFEST, plan), folder.history)
    with watch.stage("import"):
        _import(system.database_url, recorded)
    with watch.stage("deliver"), Progress("Today's phones deliver over HTTP", "people") as progress:
        sent = send(system.url, recorded.live, lambda done: progress.update(done, len(recorded.live)))
    with watch.stage("materialize"), Progress("Dagster exports, computes, checks and publishes", "steps") as progress:
        materialize(system.settings, system.environment, plan.first_day, plan.last_day, progress.update)
    report = read_report(system.settings, system.database_url, plan)
    folder.mark_done(watch.seconds)
    return Outcome(report, False, watch.seconds, sent, recorded.still_on_phones)


def _simulate(plan: Plan, experiments: Experiments, folder: Path) -> Recorded:
    with Progress(f"Simulating {plan.days} days of an app", "people") as progress:
        lives = simulate(plan, experiments.assign)
        return record(plan, lives, experiments.names, folder, lambda done: progress.update(done, plan.users))


def _import(database_url: str, recorded: Recorded) -> None:
    for kind, file, rows in (
        ("assignments", recorded.assignments, recorded.assignment_rows),
        ("events", recorded.events, recorded.event_rows),
    ):
        with Progress(f"Importing the history's {kind}") as progress:
            result = import_file(database_url, kind, file, watch=partial(_tell, progress, rows))
        if result.rejected:
            raise DemoError(f"{file}: the import rejected {result.rejected} rows, see {result.rejects_file}")


def _tell(progress: Progress, rows: int, done: int, *_: int) -> None:
    progress.update(done, rows)


def _has_data(database_url: str) -> bool:
    with connect(database_url, application="tidemark-demo") as connection:
        row = connection.execute(statement("demo/has_data")).fetchone()
    return bool(row and row[0])
