"""Fixtures of the Dagster tests: one installation in a temporary home, and runs of ranges of days in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.definitions import ASSETS, CHECKS
from dagster_project.partitions import range_tags
from dagster_project.resources import Deployment
from tests.makers import NOW

Materialize = Callable[..., dg.ExecuteInProcessResult]


@dataclass
class Installation:
    """A deployment as of NOW, with an ephemeral Dagster instance."""

    deployment: Deployment
    instance: dg.DagsterInstance

    def materialize(self, first: date, last: date, *names: str) -> dg.ExecuteInProcessResult:
        """Run all assets, or those named, with all their checks for the days from first to last."""
        selection = dg.AssetSelection.assets(*names) if names else None
        return dg.materialize(
            [*ASSETS, *CHECKS],
            selection=selection,
            instance=self.instance,
            resources={"deployment": self.deployment},
            tags=range_tags(first, last),
            raise_on_error=False,
        )


@pytest.fixture
def installation(database_url: str, tmp_path: Path) -> Iterator[Installation]:
    """An empty installation."""
    deployment = Deployment(database_url=database_url, home=str(tmp_path / "home"), as_of=NOW.isoformat())
    with dg.DagsterInstance.ephemeral() as instance:
        yield Installation(deployment, instance)
