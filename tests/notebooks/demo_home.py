"""A small demo's home with its API: history that is exported, then late events of a past day and today's deliveries.

Time stands still in it: the numbers are the same whenever the tests run.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from api.app import create_app
from cli.demo.delivery import send
from cli.demo.experiments import read_experiments
from cli.demo.history import record
from cli.demo.plan import Plan
from cli.demo.simulation import simulate
from cli.demo.stages import MANIFEST
from pipeline.export.run import export
from pipeline.imports.run import import_file
from pipeline.lake.table import Lake
from pipeline.manifest import seed
from pipeline.rollups.jobs import JOBS, Window
from pipeline.rollups.run import roll_up
from pipeline.settings import REPOSITORY, Settings
from tests.api.servers import served
from tests.cli.demo.worlds import NOON

USERS, DAYS, SEED = 60, 6, 12
LATE_DAY = NOON.date() - timedelta(days=2)
LATE_SHARE = 5
TOKEN = "of-the-demo"


@dataclass(frozen=True)
class DemoHome:
    """A home whose lake has two versions: the history without `late` events of LATE_DAY, and then everything."""

    home: Path
    port: int
    late: int

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a person who works with this home, and who knows no password of the database."""
        kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "DASHBOARD_TOKEN"}}
        return {**kept, "TIDEMARK_HOME": str(self.home), "PORT": str(self.port), "PYTHONPATH": str(REPOSITORY)}


@contextmanager
def demo_home(home: Path, database_url: str) -> Iterator[DemoHome]:
    """Fill a home in a few seconds, without Dagster, and serve its API from this process."""
    settings = Settings(
        home=home, database_url=SecretStr(database_url), dashboard_token=SecretStr(TOKEN), access_log=False
    )
    home.mkdir(parents=True)
    (home / "dashboard_token").write_text(f"{TOKEN}\n")
    plan = Plan(USERS, DAYS, SEED, NOON)
    experiments = read_experiments(MANIFEST, plan)
    seed(database_url, MANIFEST)
    lives = simulate(plan, experiments.assign)
    recorded = record(plan, lives, experiments.names, home / "demo" / "history", lambda _: None)
    in_time, late = split(recorded.events)
    lake = Lake(settings.lake)
    import_file(database_url, "assignments", recorded.assignments)
    import_file(database_url, "events", in_time)
    export(database_url, lake)
    with served(create_app(settings, lambda: NOON)) as url:
        send(url, recorded.live, lambda _: None)
        stored = import_file(database_url, "events", late).stored
        export(database_url, lake)
        roll_up(settings, database_url, JOBS, Window(plan.first_day, plan.last_day), NOON)
        yield DemoHome(home, int(url.rsplit(":", 1)[1]), stored)


def split(history: Path) -> tuple[Path, Path]:
    """Take the events of some users on LATE_DAY out of a history; return the files of the rest and of those."""
    in_time, late = history.with_name("in_time.ndjson"), history.with_name("late.ndjson")
    with gzip.open(history, "rt") as lines, in_time.open("w") as early_file, late.open("w") as late_file:
        for line in lines:
            event = json.loads(line)
            of_late_user = int(event["anonymous_user_id"][:4], 16) % LATE_SHARE == 0
            is_late = of_late_user and event["occurred_at"].startswith(str(LATE_DAY))
            (late_file if is_late else early_file).write(line)
    return in_time, late
