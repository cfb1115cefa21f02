"""Which plan a demo follows: a new one, the one that is here, or none because the home holds other data."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from cli.demo.folder import DemoError, DemoFolder, Wishes, choose_plan
from cli.demo.plan import Plan
from tests.cli.demo.worlds import NOON


def test_an_empty_home_gets_a_plan_that_ends_now(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "demo")
    plan = choose_plan(folder, Wishes(users=50, seed=0), has_data=False, clock=lambda: NOON)
    assert plan == Plan(users=50, days=30, seed=0, now=NOON)
    assert folder.plan() == plan
    assert not folder.is_done()


def test_an_interrupted_demo_goes_on_with_its_plan(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "demo")
    plan = choose_plan(folder, Wishes(), has_data=False, clock=lambda: NOON)
    assert choose_plan(folder, Wishes(), has_data=True, clock=lambda: NOON + timedelta(days=3)) == plan


def test_a_plan_without_any_data_is_made_anew(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "demo")
    choose_plan(folder, Wishes(), has_data=False, clock=lambda: NOON)
    folder.history.mkdir()
    (folder.history / "assignments.ndjson").write_text("of the old plan")
    folder.mark_done({"import": 1.0})
    again = choose_plan(folder, Wishes(days=5), has_data=False, clock=lambda: NOON + timedelta(days=3))
    assert (again.now, again.days) == (NOON + timedelta(days=3), 5)
    assert not folder.is_done()
    assert list(folder.history.iterdir()) == []


def test_a_home_with_real_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"not a demo's.*TIDEMARK_HOME="):
        choose_plan(DemoFolder(tmp_path / "demo"), Wishes(), has_data=True, clock=lambda: NOON)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wishes", [Wishes(users=11), Wishes(days=6), Wishes(seed=8)])
def test_a_demo_of_another_size_is_refused(tmp_path: Path, wishes: Wishes) -> None:
    folder = DemoFolder(tmp_path / "demo")
    choose_plan(folder, Wishes(users=10, days=5, seed=7), has_data=False, clock=lambda: NOON)
    with pytest.raises(DemoError, match="already has a demo with --"):
        choose_plan(folder, wishes, has_data=True, clock=lambda: NOON)


def test_a_finished_demo_keeps_its_seconds(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "demo")
    folder.mark_done({"import": 1.5, "deliver": 2.0})
    assert folder.is_done()
    assert folder.seconds() == {"import": 1.5, "deliver": 2.0}


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    (tmp_path / "plan.json").write_text('{"users": 3')
    with pytest.raises(DemoError, match=r"plan\.json is damaged"):
        folder.plan()
