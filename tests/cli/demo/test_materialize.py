"""The demo's Dagster run: what it says when it cannot run. (That it runs is shown by the demo from end to end.)"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.demo.folder import DemoError
from cli.demo.materialize import materialize
from pipeline.settings import Settings
from tests.cli.demo.worlds import NOON


def test_a_run_that_fails_is_named_with_its_log(tmp_path: Path) -> None:
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path / "missing")}
    with pytest.raises(DemoError, match=r"could not materialize 2026-11-19 to 2026-11-19: .*missing.*demo-materialize"):
        materialize(Settings(home=tmp_path), environment, NOON.date(), NOON.date(), lambda _: None)
