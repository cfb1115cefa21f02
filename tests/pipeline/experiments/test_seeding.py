"""The manifest goes through the same code as the API: versions, log, sticky users; and says beforehand what it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.experiments.store import read_changes, read_experiment, read_versions
from pipeline.manifest import ManifestError, compare, seed
from pipeline.settings import REPOSITORY
from tests.makers import assign
from tests.pipeline.experiments.stores import change, create, run
from tests.pipeline.test_manifest import experiment, manifest, variant

SHIPPED = REPOSITORY / "tests.json"


def log(database_url: str, experiment_id: str = "exp") -> list[dict[str, Any]]:
    return run(database_url, lambda one: read_changes(one, "default", experiment_id, limit=100))


def everything(connection: psycopg.Connection) -> list[Any]:
    """Every row that seeding may touch, with what marks a row as written anew."""
    tables = ("experiments", "experiment_variants", "experiment_versions", "experiment_changes")
    return [
        connection.execute(f"SELECT xmin::text, {table}::text FROM {table} ORDER BY 2".encode()).fetchall()
        for table in tables
    ]


def test_seeding_is_logged_and_versioned_and_leaves_no_trace_the_second_time(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    seed(database_url, manifest(tmp_path, experiment(variant("A"), variant("B"))))
    seed(database_url, manifest(tmp_path, experiment(variant("A"), variant("B", weight=0.7))))
    before = everything(connection)
    seed(database_url, manifest(tmp_path, experiment(variant("A"), variant("B", weight=0.7))))
    assert everything(connection) == before
    latest, first = log(database_url)
    assert [entry["changed_by"] for entry in (latest, first)] == ["manifest", "manifest"]
    assert latest["note"].startswith("Version 2 starts")
    versions = run(database_url, lambda one: read_versions(one, "default", "exp"))
    assert [[one["weight"] for one in version["variants"]] for version in versions] == [[0.5, 0.5], [0.5, 0.7]]


def test_numbers_of_any_size_are_the_same_the_second_time(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    numbers = [1e16, 1e22, 1e23, 9.007199254740993e18, 10**40, 0.1, -0.0, 5e-300, 1.0, True, 2**53 + 1]
    path = manifest(tmp_path, experiment(variant(config_override={"n": numbers}), targeting={"n": numbers}))
    seed(database_url, path)
    before = everything(connection)
    assert seed(database_url, path).changed == 0
    assert everything(connection) == before
    numbers[-1] += 1
    changed = manifest(tmp_path, experiment(variant(config_override={"n": numbers}), targeting={"n": numbers}))
    assert seed(database_url, changed).changed == 2


def test_what_the_manifest_does_not_speak_of_stays(database_url: str, tmp_path: Path) -> None:
    path = manifest(tmp_path, experiment(variant("A"), status="DRAFT"))
    seed(database_url, path)
    layer = {"name": "checkout", "from": 0, "to": 0.5}
    change(database_url, name="Green", description="why", trafficAllocation=0.5, layer=layer, status="RUNNING")
    assert [entry.plan.changes for entry in compare(database_url, path) if entry.plan] == [
        {"status": {"before": "RUNNING", "after": "DRAFT"}}
    ]
    seed(database_url, path)
    definition = run(database_url, lambda one: read_experiment(one, "default", "exp")).definition
    assert (definition.name, definition.description, definition.status) == ("Green", "why", "DRAFT")
    assert (definition.traffic_allocation, definition.layer and definition.layer.shown()) == (0.5, layer)


def test_the_manifest_moves_experiments_as_it_likes_but_for_slices_given_back(
    database_url: str, tmp_path: Path
) -> None:
    for status in ("ENDED", "RUNNING", "DRAFT", "PAUSED", "DRAFT", "ENDED", "PAUSED"):
        seed(database_url, manifest(tmp_path, experiment(variant(), status=status)))
        assert run(database_url, lambda one: read_experiment(one, "default", "exp")).definition.status == status
    create(database_url, "layered", layer={"name": "checkout", "from": 0, "to": 0.5}, status="ENDED")
    path = manifest(tmp_path, experiment(variant()), experiment(variant(), experiment_id="layered"))
    for work in (seed, compare):
        with pytest.raises(ManifestError, match=r"experiments\[1\]\.status: it is ENDED and has given back its slice"):
            work(database_url, path)
    assert run(database_url, lambda one: read_experiment(one, "default", "exp")).definition.status == "PAUSED"


def test_a_comparison_says_what_seeding_then_does_and_changes_nothing(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    seed(database_url, manifest(tmp_path, experiment(variant("A"), variant("B"), variant("C"))))
    assign(connection, ["user"], "exp", "B")
    wanted = manifest(
        tmp_path, experiment(variant("A", weight=1)), experiment(variant("A"), experiment_id="second", status="DRAFT")
    )
    before = everything(connection)
    first, second = (each.shown() for each in compare(database_url, wanted))
    assert everything(connection) == before
    assert (first["action"], first["removed_variants"], first["retired_variants"]) == ("update", ["C"], ["B"])
    assert (first["version"], list(first["changes"])) == (2, ["variants"])
    assert (second["action"], second["version"]) == ("create", 1)
    json.dumps([first, second])
    result = seed(database_url, wanted)
    assert (result.removed_variants, result.kept_variants) == (("exp/C",), ("exp/B",))
    assert log(database_url)[0]["changes"] == first["changes"]
    assert log(database_url, "second")[0]["changes"] == second["changes"]
    assert [each.plan for each in compare(database_url, wanted)] == [None, None]


def test_a_database_without_a_schema_counts_as_empty_and_an_old_one_is_named(
    database_url: str, connection: psycopg.Connection
) -> None:
    everything_new = [("exp_3_landing_journey", "create"), ("exp_4_achievements_density", "create")]
    assert [(each.experiment_id, each.shown()["action"]) for each in compare(database_url, SHIPPED)] == everything_new
    connection.execute("ALTER TABLE experiments DROP COLUMN traffic_allocation")
    with pytest.raises(ManifestError, match=r"run \./tidemark migrate"):
        compare(database_url, SHIPPED)
    connection.execute("DROP TABLE experiments CASCADE")
    assert [(each.experiment_id, each.shown()["action"]) for each in compare(database_url, SHIPPED)] == everything_new
