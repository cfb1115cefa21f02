"""GET /v1/runs and /v1/runs/{run_id}: the history of runs, page by page, and what each was computed from."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from api.runs.models import RunResponse, RunsResponse
from pipeline.rollups.jobs import Window
from pipeline.rollups.publish import PublishedRollup
from pipeline.rollups.runs import fail_run
from pipeline.settings import Settings
from tests.api.conftest import TOKEN
from tests.makers import NOW
from tests.pipeline.rollups.oracle import Event, History
from tests.pipeline.rollups.rollup_world import World

WINDOW = Window.ending(NOW, 2)
JOBS = ("daily", "experiment", "funnel")
HISTORY = History(
    ["default"],
    [Event(str(uuid.UUID(int=1)), "default", "ann", "app_opened", NOW - timedelta(hours=1), NOW)],
    {},
    [],
)


@pytest.fixture
def published(settings: Settings, database_url: str, connection: psycopg.Connection) -> Iterator[list[PublishedRollup]]:
    world = World(database_url, connection, settings.home)
    world.load(HISTORY)
    world.export()
    yield world.roll_up(WINDOW, NOW, JOBS)


def get(client: httpx.Client, path: str, status: int = 200) -> Any:
    response = client.get(f"/v1/runs{path}", headers={"x-dashboard-token": TOKEN})
    assert response.status_code == status, response.text
    return response.json()


def test_runs_are_listed_newest_first_page_by_page(client: httpx.Client, published: list[PublishedRollup]) -> None:
    ids = [str(run.run_id) for run in reversed(published)]
    everything = get(client, "")
    RunsResponse.model_validate(everything)
    assert [run["run_id"] for run in everything["runs"]] == ids
    assert everything["next_cursor"] is None
    first = get(client, "?limit=2")
    assert [run["run_id"] for run in first["runs"]] == ids[:2]
    rest = get(client, f"?limit=2&cursor={first['next_cursor']}")
    assert [run["run_id"] for run in rest["runs"]] == ids[2:]
    assert rest["next_cursor"] is None
    run = everything["runs"][-1]
    assert (run["window_start"], run["window_end"]) == ("2026-02-18T00:00:00.000Z", "2026-02-20T00:00:00.000Z")
    assert run["newest_received_at"] == "2026-02-19T00:00:00.000Z"


def test_runs_are_filtered_by_job_and_status(
    client: httpx.Client, published: list[PublishedRollup], connection: psycopg.Connection
) -> None:
    connection.execute("UPDATE rollup_runs SET status = 'RUNNING' WHERE run_id = %s", [published[0].run_id])
    fail_run(connection, published[0].run_id, "no luck")
    (failed,) = get(client, "?status=FAILED")["runs"]
    assert (failed["run_id"], failed["error_text"]) == (str(published[0].run_id), "no luck")
    assert [run["job_name"] for run in get(client, "?job=funnel_rollup&status=SUCCESS")["runs"]] == ["funnel_rollup"]
    assert get(client, "?job=funnel_rollup&status=FAILED") == {"runs": [], "next_cursor": None}


def test_a_run_says_what_it_was_computed_from(
    client: httpx.Client, published: list[PublishedRollup], settings: Settings
) -> None:
    found = get(client, f"/{published[0].run_id}")
    RunResponse.model_validate(found)
    (file,) = found["files"]
    content = (settings.lake / file["path"]).read_bytes()
    assert (file["sha256"], file["size"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (file["day"], file["rows"]) == ("2026-02-18", 1)
    for statement in found["statements"]:
        assert hashlib.sha256(statement["text"].encode()).hexdigest() == statement["sha256"]
    assert {step["sha256"] for step in found["steps"]} == {statement["sha256"] for statement in found["statements"]}
    assert found["steps"][-1]["name"] == "rollups/daily_metric_rollups"
    assert {"paths": {"files": [[0, 0]]}}.items() <= found["steps"][0]["parameters"].items()
    assert found["parameters"]["tenants"] == ["default"]
    assert found["engines"].keys() == {"python", "duckdb", "deltalake", "pyarrow"}
    assert found["result_rows"] == found["rows_written"] == published[0].rows_written


def test_a_run_without_a_record_is_shown_all_the_same(
    client: httpx.Client, published: list[PublishedRollup], connection: psycopg.Connection
) -> None:
    connection.execute("DELETE FROM run_provenance")
    found = get(client, f"/{published[0].run_id}")
    RunResponse.model_validate(found)
    assert (found["files"], found["statements"], found["result_sha256"]) == ([], [], None)


def test_wrong_questions_are_refused_by_name(client: httpx.Client) -> None:
    wrong = {
        "limit": ("0", "201", "x", "", "1&limit=2"),
        "job": ("daily", "", "%00"),
        "status": ("success", ""),
        "cursor": ("x", "", "0b0f8f0e4a8e4a528c3c0f6f3b0c9d11"),
    }
    for name, values in wrong.items():
        for value in values:
            assert f"'{name}'" in get(client, f"?{name}={value}", 400)["message"]
    assert get(client, "/x", 400)["error"] == "Invalid request"
    assert "GET /v1/runs" in get(client, f"/{uuid.UUID(int=7)}", 404)["message"]
    assert get(client, f"?cursor={uuid.UUID(int=7)}")["runs"] == []


def test_runs_need_the_token(client: httpx.Client) -> None:
    for path in ("/v1/runs", f"/v1/runs/{uuid.UUID(int=7)}", "/v1/runs?limit=x"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"x-dashboard-token": "wrong"}).status_code == 401
