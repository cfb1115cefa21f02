"""`tidemark seed --diff`: JSON for programs, a table for people, and nothing changed."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg

from cli.difference_table import WIDEST, difference_table
from tests.cli.test_app import tidemark
from tests.pipeline.test_manifest import experiment, manifest, variant


def test_the_difference_is_printed_and_nothing_is_changed(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    path = manifest(tmp_path, experiment(variant("A"), variant("B")), experiment(variant("A"), experiment_id="same"))
    assert tidemark("seed", str(path), DATABASE_URL=database_url).returncode == 0
    before = connection.execute("SELECT xmin, * FROM experiments").fetchall()
    path = manifest(
        tmp_path,
        experiment(variant("A"), variant("B", weight=0.25), status="PAUSED"),
        experiment(variant("A"), experiment_id="same"),
        experiment(variant("A"), experiment_id="new"),
    )
    done = tidemark("seed", "--diff", str(path), DATABASE_URL=database_url)
    assert done.returncode == 0
    printed = json.loads(done.stdout)
    assert (printed["ok"], printed["manifest"], printed["unchanged"]) == (True, str(path), ["same"])
    assert [(one["experiment_id"], one["action"], one["version"]) for one in printed["changes"]] == [
        ("exp", "update", 2), ("new", "create", 1),
    ]  # fmt: skip
    assert printed["changes"][0]["changes"]["status"] == {"before": "RUNNING", "after": "PAUSED"}
    lines = [line.split() for line in done.stderr.splitlines()]
    assert lines[:4] == [
        ["experiment", "field", "now", "then"],
        ["exp", "status", "RUNNING", "PAUSED"],
        ["exp", "variant", "B:", "weight", "0.5", "0.25"],
        ["exp", "version", "1", "2"],
    ]
    assert lines[-1] == ["2", "of", "3", "experiments", "would", "change."]
    assert connection.execute("SELECT xmin, * FROM experiments").fetchall() == before
    assert tidemark("seed", str(path), DATABASE_URL=database_url).returncode == 0
    again = tidemark("seed", "--diff", str(path), DATABASE_URL=database_url)
    assert (again.returncode, json.loads(again.stdout)["changes"]) == (0, [])
    assert again.stderr == "0 of 3 experiments would change.\n"


def test_a_wrong_manifest_is_one_line_and_ends_with_1(database_url: str, tmp_path: Path) -> None:
    done = tidemark("seed", "--diff", str(manifest(tmp_path, {})), DATABASE_URL=database_url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "experiments[0].experiment_id: Field required" in done.stderr


def test_a_table_holds_only_what_a_terminal_can_show() -> None:
    change = {
        "experiment_id": "exp", "action": "update", "note": None, "version": 1,
        "changes": {"description": {"before": "\x1b[2Jx", "after": "y" * 100}, "layer": {"before": None, "after": {}}},
    }  # fmt: skip
    heading, description, layer = difference_table([change])
    assert description.split() == ["exp", "description", "\ufffd[2Jx", "y" * (WIDEST - 3) + "..."]
    assert layer.split() == ["exp", "layer", "-", "{}"]
    assert heading.split() == ["experiment", "field", "now", "then"]
    assert difference_table([]) == []


def test_variants_that_only_change_places_are_shown_in_their_order() -> None:
    variants = [{"key": key, "name": key, "weight": 1.0, "isControl": False, "config": {}} for key in "AB"]
    sides = {"before": variants, "after": variants[::-1]}
    change = {"experiment_id": "exp", "action": "update", "note": None, "version": 1, "changes": {"variants": sides}}
    assert difference_table([change])[1].split() == ["exp", "variants", "A,", "B", "B,", "A"]
