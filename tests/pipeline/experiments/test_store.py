"""Experiments in Postgres: lifecycle, versions, sticky users, the log, and what two writers at once may not do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import product
from typing import Any

import psycopg
import pytest

from pipeline.experiments.definition import STATUSES, StoredExperiment
from pipeline.experiments.fields import read_new, read_patch
from pipeline.experiments.lifecycle import RefusedError
from pipeline.experiments.store import (
    StaleError,
    UnknownExperimentError,
    change_experiment,
    change_statuses,
    create_experiment,
    read_changes,
    read_experiment,
    read_versions,
)
from tests.makers import add_experiment, assign
from tests.pipeline.experiments.stores import VARIANTS, author, change, create, run

ALLOWED = {
    ("DRAFT", "RUNNING"), ("RUNNING", "PAUSED"), ("PAUSED", "RUNNING"), ("RUNNING", "ENDED"), ("PAUSED", "ENDED"),
    *((status, status) for status in STATUSES),
}  # fmt: skip


def weights(experiment: StoredExperiment) -> dict[str, float]:
    return {variant.key: variant.weight for variant in experiment.definition.variants}


def log(database_url: str, experiment_id: str = "exp") -> list[dict[str, Any]]:
    return run(database_url, lambda connection: read_changes(connection, "default", experiment_id, limit=100))


def versions(database_url: str, experiment_id: str = "exp") -> dict[int, dict[str, float]]:
    rows = run(database_url, lambda connection: read_versions(connection, "default", experiment_id))
    return {row["version"]: {one["key"]: one["weight"] for one in row["variants"]} for row in rows}


def split(**given: float) -> list[dict[str, Any]]:
    return [{"key": key, "weight": weight} for key, weight in given.items()]


def at_once(database_url: str, *works: Callable[[psycopg.AsyncConnection], Any]) -> list[Any]:
    """Do each work on a connection of its own, all at the same time; failures are returned in their places."""

    async def connected(work: Callable[[psycopg.AsyncConnection], Any]) -> Any:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            return await work(connection)

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*map(connected, works), return_exceptions=True)

    return asyncio.run(all_of_them())


@pytest.mark.parametrize(("before", "after"), list(product(STATUSES, STATUSES)))
def test_the_lifecycle_allows_its_moves_and_no_others(database_url: str, before: str, after: str) -> None:
    created = create(database_url, status=before)
    if (before, after) in ALLOWED:
        changed = change(database_url, status=after)
        assert changed.definition.status == after
        assert changed.revision == created.revision + (before != after)
        return
    with pytest.raises(RefusedError, match=f"{before}.* cannot become {after}|ENDED is final"):
        change(database_url, status=after)
    assert run(database_url, lambda connection: read_experiment(connection, "default", "exp")) == created


def test_an_experiment_is_stored_as_it_was_given(database_url: str) -> None:
    fields: dict[str, Any] = {
        "description": "why", "targeting": {"platform": ["ios"], "n": 1e18, "m": 0.1}, "startDate": "2026-03-01",
        "endDate": "2026-04-01", "trafficAllocation": 0.3, "layer": {"name": "checkout", "from": 0.1, "to": 0.3},
        "variants": [{"key": "b", "weight": 1, "config": {"x": [1.5, None, {"y": "z"}]}}, {"key": "a", "weight": 2.5}],
    }  # fmt: skip
    definition = read_new({"name": "Green", **fields})
    stored = create(database_url, **{"name": "Green", **fields})
    assert stored.definition == definition, "variants in the order given too"
    assert (stored.version, stored.revision, stored.has_started) == (1, 1, False)
    assert stored.created_at == stored.updated_at


def test_what_changes_nothing_leaves_no_trace(database_url: str, connection: psycopg.Connection) -> None:
    created = create(database_url, targeting={"n": 1e18, "m": 1})
    rows = "SELECT xmin, experiments.* FROM experiments"
    before = connection.execute(rows).fetchall()
    assert change(database_url, name="exp", variants=VARIANTS, targeting={"m": 1.0, "n": 10**18}) == created
    assert connection.execute(rows).fetchall() == before
    assert len(log(database_url)) == 1
    assert change(database_url, targeting={"n": 1e18, "m": True}).revision == 2, "true is not 1"


def test_a_draft_has_one_version_whatever_becomes_of_it(database_url: str) -> None:
    create(database_url)
    assert change(database_url, variants=split(A=1, C=3)).version == 1
    assert change(database_url, status="RUNNING").version == 1
    assert versions(database_url) == {1: {"A": 1, "C": 3}}


@pytest.mark.parametrize("status", ["RUNNING", "PAUSED"])
def test_other_weights_or_variants_of_a_started_experiment_are_a_new_version(database_url: str, status: str) -> None:
    create(database_url, status=status)
    assert change(database_url, variants=split(A=0.9, B=0.1)).version == 2
    assert change(database_url, variants=split(A=0.9, B=0.1, C=1)).version == 3
    assert change(database_url, variants=split(A=0.9, B=0.1)).version == 4, "nobody has C, so it goes"
    configured = [{"key": "A", "weight": 0.9}, {"key": "B", "weight": 0.1, "config": {"x": 1}}]
    assert change(database_url, variants=configured).version == 5, "another treatment"
    renamed = [{**one, "name": f"the {one['key']}"} for one in reversed(configured)]
    assert change(database_url, variants=renamed).version == 5, "names and order are for people"
    assert change(database_url, name="x", trafficAllocation=0.5, targeting={"platform": "ios"}).version == 5
    assert versions(database_url) == {
        1: {"A": 0.5, "B": 0.5}, 2: {"A": 0.9, "B": 0.1}, 3: {"A": 0.9, "B": 0.1, "C": 1},
        4: {"A": 0.9, "B": 0.1}, 5: {"A": 0.9, "B": 0.1},
    }  # fmt: skip


def test_a_variant_taken_out_stays_for_its_users_and_takes_no_new_ones(
    database_url: str, connection: psycopg.Connection
) -> None:
    create(database_url, status="RUNNING", variants=split(A=1, B=1, C=1))
    assign(connection, ["user"], "exp", "B")
    changed = change(database_url, variants=split(A=2))
    assert weights(changed) == {"A": 2, "B": 0}
    assert (changed.version, versions(database_url)[2]) == (2, {"A": 2, "B": 0})
    assert log(database_url)[0]["note"] == (
        "Version 2 starts: new users are bucketed by its weights, assigned users keep their variant. "
        "Taken out, and kept for the users who have it: B."
    )
    assert change(database_url, variants=split(A=2)) == changed
    connection.execute("DELETE FROM assignments")
    assert weights(change(database_url, variants=split(A=2))) == {"A": 2}


def test_the_log_says_who_changed_what_and_when(database_url: str) -> None:
    create(database_url, by="key-1", description="why")
    change(database_url, by="dashboard", status="RUNNING", description=None)
    changed = change(database_url, by="key-2", variants=split(A=1, B=2), trafficAllocation=0.5)
    latest, started, first = log(database_url)
    assert [entry["changed_by"] for entry in (first, started, latest)] == ["key-1", "dashboard", "key-2"]
    assert [(entry["revision"], entry["version"]) for entry in (first, started, latest)] == [(1, 1), (2, 1), (3, 2)]
    assert latest["changed_at"] == changed.updated_at > started["changed_at"] > first["changed_at"]
    assert {name: one["after"] for name, one in first["changes"].items()} == {
        "name": "exp", "description": "why", "status": "DRAFT",
        "variants": [
            {"key": "A", "name": "A", "weight": 0.5, "isControl": True, "config": {}},
            {"key": "B", "name": "B", "weight": 0.5, "isControl": False, "config": {}},
        ],
    }  # fmt: skip
    assert started["changes"] == {
        "status": {"before": "DRAFT", "after": "RUNNING"},
        "description": {"before": "why", "after": None},
    }
    assert set(latest["changes"]) == {"variants", "trafficAllocation"}
    assert [one["weight"] for one in latest["changes"]["variants"]["after"]] == [1, 2]
    assert latest["note"].startswith("Version 2 starts")


def test_the_log_can_be_read_on_from_a_revision(database_url: str) -> None:
    create(database_url)
    for number in range(5):
        change(database_url, description=str(number))
    read = run(database_url, lambda connection: read_changes(connection, "default", "exp", limit=2, before=4))
    assert [entry["revision"] for entry in read] == [3, 2]


def test_an_ended_experiment_keeps_what_it_was(database_url: str) -> None:
    create(database_url, status="ENDED")
    for fields in ({"variants": split(A=1)}, {"trafficAllocation": 0.1}, {"targeting": {}}, {"endDate": "2026-03-01"}):
        with pytest.raises(RefusedError, match=f"{next(iter(fields))} cannot change any more"):
            change(database_url, **fields)
    assert change(database_url, name="Green won", description="see the wiki").revision == 2


def test_of_two_changes_to_one_revision_the_second_is_stale(database_url: str) -> None:
    etag = create(database_url).etag
    for _ in range(5):
        known = etag

        async def patch(connection: psycopg.AsyncConnection, name: str, known: str = known) -> StoredExperiment:
            edit = read_patch({"name": name})
            return await change_experiment(connection, "default", "exp", edit, author(), allows=known.__eq__)

        names = [f"{known} {number}" for number in range(4)]
        outcomes = at_once(database_url, *(lambda connection, name=name: patch(connection, name) for name in names))
        won = [outcome for outcome in outcomes if isinstance(outcome, StoredExperiment)]
        stale = [outcome for outcome in outcomes if isinstance(outcome, StaleError)]
        assert (len(won), len(stale)) == (1, 3), outcomes
        assert {error.etag for error in stale} == {won[0].etag}
        etag = won[0].etag
    assert len(log(database_url)) == 6


def test_a_change_that_is_tried_again_is_done_once(database_url: str) -> None:
    definition = read_new({"name": "exp", "variants": VARIANTS})
    first, second = author(), author()
    edit = read_patch({"description": "why"})
    for _ in range(2):
        created = run(database_url, lambda one: create_experiment(one, "default", "exp", definition, first))
    assert created.revision == 1
    for _ in range(2):
        changed = run(
            database_url,
            lambda one: change_experiment(one, "default", "exp", edit, second, allows=lambda etag: etag == '"1"'),
        )
        assert (changed.revision, changed.definition.description) == (2, "why")
    assert len(log(database_url)) == 2


def test_a_bulk_change_changes_what_it_can_and_says_why_not(database_url: str, connection: psycopg.Connection) -> None:
    for status in STATUSES:
        create(database_url, status, status=status)
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    create(database_url, "theirs", tenant_id="other", status="RUNNING")
    ids = [*STATUSES, "theirs", "none", "RUNNING"]
    outcomes = run(database_url, lambda one: change_statuses(one, "default", ids, "PAUSED", author("key-9")))
    assert [(outcome.experiment_id, outcome.outcome, outcome.status) for outcome in outcomes] == [
        ("DRAFT", "refused", "DRAFT"), ("RUNNING", "changed", "PAUSED"), ("PAUSED", "unchanged", "PAUSED"),
        ("ENDED", "refused", "ENDED"), ("theirs", "unknown", None), ("none", "unknown", None),
        ("RUNNING", "unchanged", "PAUSED"),
    ]  # fmt: skip
    assert outcomes[0].reason == "A DRAFT experiment cannot become PAUSED; it can become RUNNING."
    assert [entry["changed_by"] for entry in log(database_url, "RUNNING")] == ["key-9", "key-1"]
    theirs = run(database_url, lambda one: read_experiment(one, "other", "theirs"))
    assert theirs.definition.status == "RUNNING"


def test_another_tenants_experiment_is_unknown(database_url: str, connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    create(database_url, "theirs", tenant_id="other")
    for work in (
        lambda one: read_experiment(one, "default", "theirs"),
        lambda one: read_changes(one, "default", "theirs", limit=1),
        lambda one: read_versions(one, "default", "theirs"),
        lambda one: change_experiment(one, "default", "theirs", read_patch({"name": "ours"}), author()),
    ):
        with pytest.raises(UnknownExperimentError):
            run(database_url, work)


def test_an_experiment_from_before_is_one_like_any_other(database_url: str, connection: psycopg.Connection) -> None:
    add_experiment(connection, "older", {"A": 1, "B": 1})
    stored = run(database_url, lambda one: read_experiment(one, "default", "older"))
    assert (stored.definition.name, stored.shown()["name"], stored.has_started) == (None, "older", True)
    assert change(database_url, "older", variants=split(A=1, B=3)).version == 2


LAYER = {"name": "checkout", "from": 0.25, "to": 0.5}


@pytest.mark.parametrize("status", STATUSES)
def test_slices_of_experiments_that_may_run_do_not_overlap(database_url: str, status: str) -> None:
    create(database_url, "first", layer=LAYER, status=status)
    overlapping = {"name": "checkout", "from": 0.4, "to": 1}
    if status == "ENDED":
        create(database_url, "second", layer=overlapping)
        return
    with pytest.raises(RefusedError, match=rf"overlaps \[0.25, 0.5\) of layer 'checkout', .* first \({status}\)"):
        create(database_url, "second", layer=overlapping)
    create(database_url, "elsewhere", layer={**overlapping, "name": "search"})
    create(database_url, "after", layer={**overlapping, "from": 0.5})
    create(database_url, "before", layer={**overlapping, "from": 0, "to": 0.25})
    create(database_url, "late")
    with pytest.raises(RefusedError, match="overlaps"):
        change(database_url, "late", layer={**overlapping, "from": 0.1, "to": 0.3})


def test_layers_of_tenants_have_nothing_to_do_with_each_other(
    database_url: str, connection: psycopg.Connection
) -> None:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    create(database_url, "first", layer=LAYER)
    create(database_url, "first", layer=LAYER, tenant_id="other")


def test_a_slice_is_fixed_once_the_experiment_has_left_draft(database_url: str, connection: psycopg.Connection) -> None:
    create(database_url, "first", layer=LAYER)
    change(database_url, "first", layer={**LAYER, "to": 0.75})
    change(database_url, "first", layer=None)
    change(database_url, "first", layer=LAYER, status="RUNNING")
    for status in ("RUNNING", "PAUSED"):
        change(database_url, "first", status=status)
        for layer in ({**LAYER, "to": 0.75}, {**LAYER, "name": "search"}, None):
            with pytest.raises(RefusedError, match="fixed once an experiment has left DRAFT"):
                change(database_url, "first", layer=layer)
    connection.execute("UPDATE experiments SET status = 'DRAFT'")
    with pytest.raises(RefusedError, match="fixed once an experiment has left DRAFT"):
        change(database_url, "first", layer=None)


def test_a_slice_is_free_once_its_experiment_is_ended(database_url: str) -> None:
    create(database_url, "first", layer=LAYER, status="RUNNING")
    change(database_url, "first", status="ENDED")
    create(database_url, "second", layer=LAYER, status="RUNNING")


def test_of_many_who_take_a_slice_at_once_one_gets_it(database_url: str, connection: psycopg.Connection) -> None:
    """They take turns; without that, the constraint would let them wait for each other."""
    definition = read_new({"name": "x", "variants": VARIANTS, "layer": LAYER})
    outcomes = at_once(
        database_url,
        *(
            lambda one, number=number: create_experiment(one, "default", f"exp_{number}", definition, author())
            for number in range(8)
        ),
    )
    won = [outcome for outcome in outcomes if isinstance(outcome, StoredExperiment)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, RefusedError)]
    assert (len(won), len(refused)) == (1, 7), outcomes
    assert all(won[0].experiment_id in str(error) for error in refused)
    assert connection.execute("SELECT count(*) FROM experiment_variants").fetchone() == (2,)


def test_the_database_itself_refuses_slices_that_overlap(database_url: str, connection: psycopg.Connection) -> None:
    create(database_url, "first", layer=LAYER)
    create(database_url, "second")
    with pytest.raises(psycopg.errors.ExclusionViolation):
        connection.execute(
            "UPDATE experiments SET layer = 'checkout', layer_from = 0, layer_to = 0.3 WHERE experiment_id = 'second'"
        )
    for wrong in ("layer_from = NULL", "layer_to = 1.1", "layer_to = layer_from", "layer = NULL", "layer_from = 'nan'"):
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(f"UPDATE experiments SET {wrong} WHERE experiment_id = 'first'".encode())
