"""POST /v1/assignment: rule by rule as the mobile contract, and the same answer whoever asks at the same time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg

from api.assignment.bucketing import choose_variant
from api.assignment.experiments import Variant
from pipeline.clock import iso_millis
from pipeline.manifest import seed
from pipeline.settings import REPOSITORY
from tests.api.servers import NO_TLS, server_process
from tests.makers import NOW, add_experiment
from tests.sizes import sized

BASELINE = {
    "navigation": {"default_landing_tab": "workouts"},
    "workouts": {"preload_default_plan": False},
    "creatures": {"recommended_creature_id": None},
    "achievements": {"ui_mode": "baseline"},
}


def ask(client: httpx.Client, user: str = "user_1", **fields: Any) -> Any:
    response = client.post("/v1/assignment", json={"anonymous_user_id": user, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def variants_of(answer: Any) -> dict[str, str]:
    return {given["experiment_id"]: given["variant_id"] for given in answer["assignments"]}


def test_without_experiments_the_answer_is_the_baseline(client: httpx.Client) -> None:
    assert ask(client, "  user_1\ufeff ", extra=1) == {
        "anonymous_user_id": "user_1",
        "assignment_version": 1,
        "generated_at": iso_millis(NOW),
        "assignments": [],
        "config": BASELINE,
    }


def test_the_manifest_that_ships_gives_the_vectors_variants(client: httpx.Client, database_url: str) -> None:
    seed(database_url, REPOSITORY / "tests.json")
    answer = ask(client, "3c5e81b4-0c5e-468e-84a3-406c97d63cfb", platform="ios", app_version="1.0")
    assert answer["assignments"] == [
        {"experiment_id": "exp_3_landing_journey", "variant_id": "A", "variant_name": "workouts_preloaded"},
        {"experiment_id": "exp_4_achievements_density", "variant_id": "B", "variant_name": "minimal_achievements"},
    ]
    assert answer["config"] == {
        **BASELINE,
        "workouts": {"preload_default_plan": True},
        "achievements": {"ui_mode": "minimal"},
    }


def test_only_open_running_experiments_with_variants_count(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    second = timedelta(microseconds=1)
    add_experiment(connection, "b_open", {"A": 1}, start_at=NOW, end_at=NOW)
    add_experiment(connection, "a_always", {"A": 1})
    add_experiment(connection, "not_yet", {"A": 1}, start_at=NOW + second)
    add_experiment(connection, "over", {"A": 1}, end_at=NOW - second)
    add_experiment(connection, "empty", {})
    for status in ("DRAFT", "PAUSED", "ENDED"):
        add_experiment(connection, status, {"A": 1}, status=status)
    add_experiment(connection, "android", {"A": 1}, targeting={"platform": "android"})
    assert list(variants_of(ask(client, platform="ios"))) == ["a_always", "b_open"]
    assert list(variants_of(ask(client, platform="android"))) == ["a_always", "android", "b_open"]


def test_an_assignment_outlives_changes_of_weights_and_targeting(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    add_experiment(connection, "exp", {"A": 1, "B": 0})
    assert variants_of(ask(client)) == {"exp": "A"}
    connection.execute("UPDATE experiment_variants SET weight = 1 - weight")
    assert variants_of(ask(client)) == {"exp": "A"}
    assert variants_of(ask(client, "user_2")) == {"exp": "B"}
    connection.execute("""UPDATE experiments SET targeting = '{"platform": "android"}'""")
    assert variants_of(ask(client, platform="ios")) == {"exp": "A"}
    assert variants_of(ask(client, "user_3", platform="ios")) == {}
    connection.execute("UPDATE experiments SET status = 'PAUSED'")
    assert variants_of(ask(client)) == {}
    connection.execute("UPDATE experiments SET status = 'RUNNING'")
    assert variants_of(ask(client)) == {"exp": "A"}


def test_a_user_of_a_deleted_variant_is_bucketed_anew_and_events_are_stamped_alike(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    add_experiment(connection, "exp", {"A": 1, "B": 0})
    assert variants_of(ask(client)) == {"exp": "A"}
    connection.execute("DELETE FROM experiment_variants WHERE variant_id = 'A'")
    assert variants_of(ask(client)) == {"exp": "B"}
    assert connection.execute("SELECT variant_id FROM assignments").fetchall() == [("B",)]
    events = [{"event_name": "app_opened", "occurred_at": iso_millis(NOW)}]
    assert client.post("/v1/events", json={"anonymous_user_id": "user_1", "events": events}).status_code == 200
    assert connection.execute("SELECT experiment_map FROM event_logs").fetchall() == [({"exp": "B"},)]


def test_without_positive_weights_the_last_variant_is_given(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    add_experiment(connection, "exp", {"B": 0, "a": -1, "b": 0})
    assert variants_of(ask(client)) == {"exp": "B"}


def test_overrides_merge_in_order_of_experiments(client: httpx.Client, connection: psycopg.Connection) -> None:
    add_experiment(connection, "exp_1", {"A": 1}, overrides={"A": {"navigation": {"x": [1, 2]}, "workouts": 5}})
    add_experiment(connection, "exp_2", {"A": 1}, overrides={"A": {"navigation": {"x": None}, "workouts": {"y": 1}}})
    add_experiment(connection, "exp_3", {"A": 1}, overrides={"A": ["no object"]})
    assert ask(client)["config"] == {
        **BASELINE,
        "navigation": {"default_landing_tab": "workouts", "x": None},
        "workouts": {"y": 1},
    }


def test_wrong_requests_say_what_is_wrong(client: httpx.Client) -> None:
    required = "Field 'anonymous_user_id' is required and must be non-empty."
    platform = "Field 'platform' must be one of: ios, android."
    cases: list[tuple[Any, str]] = [
        ({}, required),
        ([], required),
        (None, required),
        ({"anonymous_user_id": 5}, required),
        ({"anonymous_user_id": " \u00a0\ufeff"}, required),
        ({"anonymous_user_id": "u", "platform": "web"}, platform),
        ({"anonymous_user_id": "u", "platform": ["ios"]}, platform),
        ({"anonymous_user_id": "u", "app_version": 1}, "Field 'app_version' must be a string value."),
        ({"anonymous_user_id": "u", "session_id": {}}, "Field 'session_id' must be a string value."),
        ({"anonymous_user_id": "u", "install_id": False}, "Field 'install_id' must be a string value."),
        ({"anonymous_user_id": "u\0"}, "Field anonymous_user_id contains U+0000, which cannot be stored."),
        ({"anonymous_user_id": "\ud800"}, "Field anonymous_user_id contains a lone surrogate."),
        ({"anonymous_user_id": "u" * 513}, "Field anonymous_user_id must be <= 512 chars."),
    ]
    for body, message in cases:
        response = client.post("/v1/assignment", content=json.dumps(body))
        assert (response.status_code, response.json()) == (400, {"error": "Invalid request", "message": message})


def test_simultaneous_first_requests_agree_on_the_rules_variant(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    """New users, 8 requests of each at once, two API processes."""
    seed(database_url, REPOSITORY / "tests.json")
    users = [f"user-{number}" for number in range(sized(60, 200))]

    async def ask_all(url: str) -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=32)
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits, verify=NO_TLS) as client:
            responses: list[httpx.Response] = []
            for start in range(0, len(users), 4):
                asked = [user for user in users[start : start + 4] for _ in range(8)]
                responses += await asyncio.gather(
                    *(client.post("/v1/assignment", json={"anonymous_user_id": user}) for user in asked)
                )
            return responses

    with server_process(database_url, tmp_path / "log", workers=2) as (url, _):
        responses = asyncio.run(ask_all(url))
    assert Counter(response.status_code for response in responses) == {200: 8 * len(users)}
    expected = {}
    for experiment in json.loads((REPOSITORY / "tests.json").read_text())["experiments"]:
        variants = [Variant(one["variant_id"], "", one["weight"], None) for one in experiment["variants"]]
        for user in users:
            chosen = choose_variant(user, experiment["experiment_id"], variants).variant_id
            expected[user, experiment["experiment_id"]] = chosen
    given = {
        (response.json()["anonymous_user_id"], experiment_id, variant_id)
        for response in responses
        for experiment_id, variant_id in variants_of(response.json()).items()
    }
    assert given == {(user, experiment_id, variant) for (user, experiment_id), variant in expected.items()}
    stored = connection.execute("SELECT anonymous_user_id, experiment_id, variant_id FROM assignments").fetchall()
    assert set(stored) == given
    assert len(stored) == len(expected) == 2 * len(users)
