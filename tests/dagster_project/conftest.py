"""Fixtures of the Dagster tests: one installation in a temporary home, and runs of ranges of days in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from dagster_project.definitions import ASSETS, CHECKS
from dagster_project.partitions import range_tags
from dagster_project.resources import Deployment
from pipeline.ingestion.event_store import EventRow, store
from pipeline.settings import REPOSITORY
from tests.makers import NOW


@dataclass
class Installation:
    """A deployment as of NOW, with a Dagster instance of its own."""

    deployment: Deployment
    instance: dg.DagsterInstance
    connection: psycopg.Connection

    def receive(self, rows: Sequence[EventRow]) -> None:
        """Store events, as the API would."""
        store(self.connection, rows)

    def materialize(self, first: date, last: date, *names: str) -> dg.ExecuteInProcessResult:
        """Run all assets, or those named, with their checks, for the days from first to last."""
        return dg.materialize(
            [*ASSETS, *CHECKS],
            selection=dg.AssetSelection.assets(*names) if names else None,
            instance=self.instance,
            resources={"deployment": self.deployment},
            tags=range_tags(first, last),
            raise_on_error=False,
        )

    def published(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the database."""
        return self.connection.execute(sql.encode()).fetchall()


@pytest.fixture
def installation(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Iterator[Installation]:
    """An empty installation."""
    deployment = Deployment(database_url=database_url, home=str(tmp_path / "home"), as_of=NOW.isoformat())
    with dg.DagsterInstance.ephemeral() as instance:
        yield Installation(deployment, instance, connection)


@pytest.fixture
def dagster_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME with the instance settings that ship with the code."""
    home = tmp_path / "home" / "dagster"
    home.mkdir(parents=True)
    shutil.copy(REPOSITORY / "dagster_project" / "instance" / "dagster.yaml", home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home
