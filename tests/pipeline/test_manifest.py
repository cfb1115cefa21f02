"""The manifest loads idempotently, decides for the experiments it names, and says what is wrong with it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.manifest import ManifestError, SeedResult, read_manifest, seed
from pipeline.settings import REPOSITORY
from tests.makers import add_experiment, assign

SHIPPED = REPOSITORY / "tests.json"


def variant(variant_id: str = "A", **fields: Any) -> dict[str, Any]:
    return {"variant_id": variant_id, "variant_name": "name", "is_control": False, "weight": 0.5, **fields}


def manifest(tmp_path: Path, *experiments: Any, **fields: Any) -> Path:
    path = tmp_path / "tests.json"
    document = {"version": 1, "assignment_unit": "anonymous_user_id", "allocation_version": 1, **fields}
    path.write_text(json.dumps({**document, "experiments": experiments}))
    return path


def experiment(*variants: Any, **fields: Any) -> dict[str, Any]:
    return {"experiment_id": "exp", "status": "RUNNING", "variants": variants, **fields}


def variants_of(connection: psycopg.Connection, experiment_id: str = "exp") -> dict[str, float]:
    return dict(
        connection.execute(
            "SELECT variant_id, weight FROM experiment_variants WHERE experiment_id = %s", [experiment_id]
        ).fetchall()
    )


def test_loads_the_manifest_that_ships_and_nothing_the_second_time(
    database_url: str, connection: psycopg.Connection
) -> None:
    assert seed(database_url, SHIPPED) == SeedResult(2, 5, 7, (), ())
    rows = "SELECT xmin, experiments.* FROM experiments ORDER BY experiment_id"
    before = connection.execute(rows).fetchall()
    assert seed(database_url, SHIPPED) == SeedResult(2, 5, 0, (), ())
    assert connection.execute(rows).fetchall() == before
    assert variants_of(connection, "exp_3_landing_journey") == {"A": 0.34, "B": 0.33, "C": 0.33}


def test_stores_every_field(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> None:
    override = {"workouts": {"n": [1, None]}}
    path = manifest(
        tmp_path,
        experiment(
            variant(config_override=override, is_control=True), status="PAUSED", start_at="2026-02-01T00:00:00",
            end_at="2026-03-01T00:00:00+01:00", targeting={"platform": ["ios"]},
        ),
        allocation_version=3,
    )  # fmt: skip
    seed(database_url, path)
    row = connection.execute(
        "SELECT status, start_at::text, end_at::text, targeting, allocation_version FROM experiments"
    ).fetchone()
    assert row == ("PAUSED", "2026-02-01 00:00:00+00", "2026-02-28 23:00:00+00", {"platform": ["ios"]}, 3)
    assert connection.execute("SELECT is_control, config_override FROM experiment_variants").fetchone() == (
        True,
        override,
    )


def test_a_variant_that_left_is_removed_unless_somebody_is_assigned_to_it(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    seed(database_url, manifest(tmp_path, experiment(variant("A"), variant("B"), variant("C"))))
    assign(connection, ["user_1"], "exp", "B")
    smaller = manifest(tmp_path, experiment(variant("A")))
    assert seed(database_url, smaller) == SeedResult(1, 1, 2, ("exp/C",), ("exp/B",))
    assert variants_of(connection) == {"A": 0.5, "B": 0}, "a kept variant takes no new users"
    assert seed(database_url, smaller) == SeedResult(1, 1, 0, (), ("exp/B",))


def test_an_experiment_that_left_is_left_alone(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    add_experiment(connection, "older", {"A": 1})
    seed(database_url, manifest(tmp_path, experiment(variant())))
    assert variants_of(connection, "older") == {"A": 1}


def test_two_at_once_do_no_harm(database_url: str, connection: psycopg.Connection) -> None:
    results: list[SeedResult] = []
    threads = [threading.Thread(target=lambda: results.append(seed(database_url, SHIPPED))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.changed for result in results) == [0, 0, 0, 7]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"version": NaN}', "NaN is not a JSON value"),
        ("[]", "Input should be"),
        ("{}", "version: Field required"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, document: str, message: str) -> None:
    path = tmp_path / "tests.json"
    path.write_text(document)
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (experiment(variant(), status="running"), "experiments[1].status: "),
        (experiment(variant(weight="1")), "experiments[1].variants[0].weight: "),
        (experiment(variant(), variant("B", weight=None)), "experiments[1].variants[1].weight: "),
        (experiment(variant(variant_id="")), "experiments[1].variants[0].variant_id: "),
        (experiment(variant(config_override=[])), "experiments[1].variants[0].config_override: "),
        (experiment(variant(config_override={"a": "\0"})), "config_override: must not hold U+0000"),
        (experiment(variant(), targeting="\ud800"), "experiments[1].targeting: must not hold a lone surrogate"),
        (experiment(variant(), variant()), "experiments[1]: variant_id 'A' occurs twice"),
        (experiment(variant(), start_at="soon"), "experiments[1].start_at: must be an ISO 8601 time or null"),
        (experiment(variant(), start_at="2026-02-02", end_at="2026-02-01"), "start_at must not be after end_at"),
        (experiment(variant(), experiment_id="first"), "experiment_id 'first' occurs twice"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_place(tmp_path: Path, wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_manifest(manifest(tmp_path, experiment(variant(), experiment_id="first"), wrong))
    assert place in str(caught.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path / "none.json")


def test_nothing_is_loaded_of_a_wrong_manifest(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    path = manifest(tmp_path, experiment(variant()), experiment(variant(weight=None), experiment_id="second"))
    with pytest.raises(ManifestError):
        seed(database_url, path)
    assert connection.execute("SELECT count(*) FROM experiments").fetchone() == (0,)
