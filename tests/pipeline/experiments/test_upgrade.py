"""An installation from before experiments were managed: everything goes on as it was, and can be changed."""

from __future__ import annotations

from typing import Any

import psycopg

from pipeline.experiments.store import read_experiment, read_versions
from pipeline.manifest import seed
from pipeline.migrations import migrate, read_migrations
from tests.makers import add_experiment
from tests.pipeline.experiments.stores import change, run
from tests.pipeline.test_manifest import experiment, manifest, variant


def test_experiments_from_before_are_version_1_as_they_are(
    database_url: str, connection: psycopg.Connection, tmp_path: Any
) -> None:
    connection.execute("DROP SCHEMA public CASCADE")
    connection.execute("CREATE SCHEMA public")
    migrate(database_url, [migration for migration in read_migrations() if migration.number < 17])
    add_experiment(connection, "exp", {"B": 0.5, "A": 0.5, "C": 0.5})
    add_experiment(connection, "draft", {"A": 1}, status="DRAFT")
    add_experiment(connection, "empty", {})
    migrate(database_url)
    stored = run(database_url, lambda one: read_experiment(one, "default", "exp"))
    assert (stored.version, stored.revision, stored.started_at is None) == (1, 1, False)
    assert (stored.definition.traffic_allocation, stored.definition.layer) == (1, None)
    assert [each.key for each in stored.definition.variants] == ["A", "B", "C"]
    for experiment_id, keys in (("exp", ["A", "B", "C"]), ("draft", ["A"]), ("empty", [])):
        (version,) = run(database_url, lambda one, asked=experiment_id: read_versions(one, "default", asked))
        assert (version["version"], [one["key"] for one in version["variants"]]) == (1, keys)
    same = [variant(key, variant_name=f"name_{key}", is_control=key == "B") for key in "ABC"]
    assert seed(database_url, manifest(tmp_path, experiment(*same))).changed == 0
    assert change(database_url, variants=[{"key": "A", "weight": 1}]).version == 2
    assert change(database_url, "draft", layer={"name": "checkout", "from": 0, "to": 1}).version == 1
