"""GET /v1/metrics/...: the published tables in the mobile contract's shapes."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from api.metrics.models import DailyResponse, ExperimentsResponse, FunnelsResponse, SummaryResponse
from tests.api.conftest import TOKEN
from tests.makers import NOW, add_experiment

TODAY = NOW.date()
HEADER = {
    "generated_at": "2026-02-19T00:00:00.000Z",
    "window_start": "2026-02-13T00:00:00.000Z",
    "window_end": "2026-02-20T00:00:00.000Z",
}
PROTECTED = ("daily", "experiments", "funnels", "funnels/ordered", "retention")
NOTHING_SHOWN: dict[str, Any] = {
    "runs": [],
    "freshness": {"newest_received_at": None, "computed_at": None, "lake_version": None},
}


class Publisher:
    """Writes rows into the aggregate tables, as a published run does."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._run = uuid.uuid4()
        connection.execute(
            "INSERT INTO rollup_runs"
            " (run_id, job_name, status, window_start, window_end, as_of, code_version, sql_sha256, lake_version,"
            " finished_at) VALUES (%s, 'daily_metrics_rollup', 'SUCCESS', %s, %s, %s, 'x', 'x', 7, %s)",
            [self._run, NOW, NOW, NOW, NOW - timedelta(minutes=2)],
        )
        connection.execute(
            "INSERT INTO run_provenance (run_id, file_ids, steps, inputs, parameters, engines, newest_received_at,"
            " result_rows, result_sha256) VALUES (%s, '{}', '[]', '[]', '{}', '{}', %s, 0, '')",
            [self._run, NOW - timedelta(minutes=3)],
        )

    @property
    def shown(self) -> dict[str, Any]:
        """What an answer with this publisher's rows says of where they come from."""
        ended = "2026-02-18T23:58:00.000Z"
        run = {
            "run_id": str(self._run), "job_name": "daily_metrics_rollup", "lake_version": 7, "finished_at": ended,
        }  # fmt: skip
        freshness = {"newest_received_at": "2026-02-18T23:57:00.000Z", "computed_at": ended, "lake_version": 7}
        return {"runs": [run], "freshness": freshness}

    def daily(self, day: date, name: str, value: float, key: str = "overall", tenant: str = "default") -> None:
        self._connection.execute(
            "INSERT INTO daily_metric_rollups (tenant_id, day, metric_name, dimension_key, value, run_id)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [tenant, day, name, key, value, self._run],
        )

    def experiment(self, day: date, experiment_id: str, variant_id: str, name: str, value: float) -> None:
        self._connection.execute(
            "INSERT INTO experiment_metric_rollups"
            " (day, experiment_id, variant_id, metric_name, value, dimensions, run_id)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [day, experiment_id, variant_id, name, value, Jsonb({"cohort_size": 2}), self._run],
        )

    def funnel(self, day: date, step: str, users: int, experiment: tuple[str, str] | None = None) -> None:
        experiment_id, variant_id = experiment or (None, None)
        self._connection.execute(
            "INSERT INTO funnel_rollups (day, funnel_name, step_name, dimension_key, experiment_id, variant_id,"
            " users_count, events_count, run_id) VALUES (%s, 'core_journey', %s, %s, %s, %s, %s, %s, %s)",
            [day, step, ":".join(experiment or ("overall",)), experiment_id, variant_id, users, users * 2, self._run],
        )


@pytest.fixture
def publisher(connection: psycopg.Connection) -> Publisher:
    return Publisher(connection)


def get(client: httpx.Client, path: str) -> Any:
    response = client.get(f"/v1/metrics/{path}", headers={"x-dashboard-token": TOKEN})
    assert response.status_code == 200, response.text
    return response.json()


def test_without_data_the_answers_say_so(client: httpx.Client) -> None:
    assert get(client, "summary") == {"generated_at": HEADER["generated_at"], "metrics": [], **NOTHING_SHOWN}
    assert get(client, "daily") == {**HEADER, "no_data": True, "days": [], **NOTHING_SHOWN}
    assert get(client, "experiments") == {**HEADER, "no_data": True, "experiments": [], **NOTHING_SHOWN}
    assert get(client, "experiments?experiment_id=unknown") == {
        **HEADER,
        "no_data": True,
        "experiments": [],
        **NOTHING_SHOWN,
    }
    assert get(client, "funnels") == {**HEADER, "no_data": True, "rows": [], **NOTHING_SHOWN}


def test_the_summary_shows_the_latest_day_in_the_contracts_order(client: httpx.Client, publisher: Publisher) -> None:
    yesterday, before = TODAY - timedelta(days=1), TODAY - timedelta(days=7)
    for day, value in ((yesterday, 0.25), (yesterday - timedelta(days=1), 0.75)):
        publisher.daily(day, "logging_rate_24h", value)
        publisher.daily(day, "dau", 12)
        publisher.daily(day, "sessions_submitted", 5)
        publisher.daily(day, "ingestion_lag_p50", 1.5)
        publisher.daily(day, "ingestion_lag_p95", 60)
    publisher.daily(before, "sessions_submitted", 100)
    for variant_id in ("B", "A"):
        publisher.experiment(yesterday, "exp", variant_id, "logging_rate_24h_by_variant", 0.5)
        publisher.experiment(yesterday - timedelta(days=1), "exp", variant_id, "logging_rate_24h_by_variant", 0.9)
    answer = get(client, "summary")
    SummaryResponse.model_validate(answer)
    rate = {"experiment_id": "exp", "day": "2026-02-18T00:00:00.000Z", "window_days": 7}
    assert answer["metrics"] == [
        {
            "metric_name": "logging_rate_24h",
            "value": 0.25,
            "dimensions": {"overall": True, "day": "2026-02-18", "window_days": 7},
        },
        {"metric_name": "dau", "value": 12, "dimensions": {"day": "2026-02-18"}},
        {"metric_name": "sessions_submitted_total", "value": 10, "dimensions": {"window_days": 7}},
        {"metric_name": "ingestion_lag_p50", "value": 1.5, "dimensions": {"day": "2026-02-18", "unit": "seconds"}},
        {"metric_name": "ingestion_lag_p95", "value": 60, "dimensions": {"day": "2026-02-18", "unit": "seconds"}},
        {"metric_name": "logging_rate_24h", "value": 0.5, "dimensions": {"variant_id": "A", **rate}},
        {"metric_name": "logging_rate_24h", "value": 0.5, "dimensions": {"variant_id": "B", **rate}},
    ]
    assert {name: answer[name] for name in ("runs", "freshness")} == publisher.shown
    total = get(client, "summary?window_days=8")["metrics"][2]
    assert total == {"metric_name": "sessions_submitted_total", "value": 110, "dimensions": {"window_days": 8}}


def test_days_are_ascending_and_volumes_are_by_name(client: httpx.Client, publisher: Publisher) -> None:
    for day in (TODAY, TODAY - timedelta(days=6)):
        publisher.daily(day, "dau", 3)
        publisher.daily(day, "logging_rate_24h", 0.5)
    publisher.daily(TODAY, "event_volume_by_name", 7, "app_opened")
    publisher.daily(TODAY, "event_volume_by_name", 1, "overall")
    publisher.daily(TODAY + timedelta(days=1), "dau", 1)
    publisher.daily(TODAY - timedelta(days=7), "dau", 1)
    answer = get(client, "daily")
    DailyResponse.model_validate(answer)
    assert answer == {
        **HEADER,
        **publisher.shown,
        "no_data": False,
        "days": [
            {"day": "2026-02-13", "metrics": {"event_volume_by_name": {}, "dau": 3, "logging_rate_24h": 0.5}},
            {
                "day": "2026-02-19",
                "metrics": {
                    "event_volume_by_name": {"app_opened": 7, "overall": 1},
                    "dau": 3,
                    "logging_rate_24h": 0.5,
                },
            },
        ],
    }
    assert '"dau":3,' in client.get("/v1/metrics/daily", headers={"x-dashboard-token": TOKEN}).text


def test_other_tenants_do_not_show(client: httpx.Client, publisher: Publisher, connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    publisher.daily(TODAY, "dau", 3, tenant="other")
    add_experiment(connection, "exp", {"A": 1}, tenant_id="other")
    assert get(client, "summary")["metrics"] == []
    assert get(client, "daily")["days"] == []
    assert get(client, "experiments")["experiments"] == []


def test_experiments_of_any_status_are_listed_with_their_metrics(
    client: httpx.Client, publisher: Publisher, connection: psycopg.Connection
) -> None:
    add_experiment(connection, "exp_a", {"B": 1.5, "A": 2}, status="ENDED", start_at=NOW, targeting={"platform": "ios"})
    add_experiment(connection, "exp_b", {})
    yesterday = TODAY - timedelta(days=1)
    for day, value in ((yesterday, 4.0), (TODAY - timedelta(days=2), 3.0)):
        publisher.experiment(day, "exp_a", "A", "users_assigned", value)
    answer = get(client, "experiments")
    ExperimentsResponse.model_validate(answer)
    point = {"variant_id": "A", "metric_name": "users_assigned", "dimensions": {"cohort_size": 2}}
    first = {
        "experiment_id": "exp_a",
        "status": "ENDED",
        "start_at": "2026-02-19T00:00:00.000Z",
        "end_at": None,
        "targeting": {"platform": "ios"},
        "variants": [
            {"variant_id": "A", "variant_name": "name_A", "weight": 2, "is_control": False},
            {"variant_id": "B", "variant_name": "name_B", "weight": 1.5, "is_control": True},
        ],
        "latest_day": "2026-02-18T00:00:00.000Z",
        "latest_metrics_by_variant": {"A": {"users_assigned": 4}},
        "series": [{"day": "2026-02-17", "value": 3, **point}, {"day": "2026-02-18", "value": 4, **point}],
    }
    second = {
        "experiment_id": "exp_b", "status": "RUNNING", "start_at": None, "end_at": None, "targeting": None,
        "variants": [], "latest_day": None, "latest_metrics_by_variant": {}, "series": [],
    }  # fmt: skip
    assert answer == {**HEADER, **publisher.shown, "no_data": False, "experiments": [first, second]}
    only = get(client, "experiments?experiment_id=exp_b")
    assert only == {**HEADER, **NOTHING_SHOWN, "no_data": True, "experiments": [second]}


def test_funnel_rows_are_overall_and_per_variant(client: httpx.Client, publisher: Publisher) -> None:
    publisher.funnel(TODAY, "exercise_logged", 3, ("exp", "A"))
    publisher.funnel(TODAY, "exercise_logged", 5)
    publisher.funnel(TODAY - timedelta(days=7), "exercise_logged", 5)
    answer = get(client, "funnels?funnel_name=core_journey")
    FunnelsResponse.model_validate(answer)
    step = {"day": "2026-02-19", "funnel_name": "core_journey", "step_name": "exercise_logged"}
    assert answer == {
        **HEADER,
        **publisher.shown,
        "no_data": False,
        "rows": [
            {**step, "experiment_id": None, "variant_id": None, "users_count": 5, "events_count": 10},
            {**step, "experiment_id": "exp", "variant_id": "A", "users_count": 3, "events_count": 6},
        ],
    }
    assert get(client, "funnels?funnel_name=other")["no_data"] is True


def test_the_window_is_a_whole_number_of_1_to_90_days(client: httpx.Client) -> None:
    for text in ("1", "7", "90"):
        header = get(client, f"daily?window_days={text}")
        assert header["window_start"] == f"{TODAY - timedelta(days=int(text) - 1)}T00:00:00.000Z"
    for text in ("0", "91", "-1", "7.0", "", " 7", "7 ", "%EF%BC%97", "1e1", "abc", "%00", "0x7", "1&window_days=2"):
        for path in ("summary", *PROTECTED):
            response = client.get(f"/v1/metrics/{path}?window_days={text}", headers={"x-dashboard-token": TOKEN})
            assert response.status_code == 400, text
            assert response.json() == {
                "error": "Invalid request",
                "message": "Query parameter 'window_days' must be an integer between 1 and 90.",
            }


def test_the_token_is_checked_before_the_parameters(client: httpx.Client) -> None:
    for path in PROTECTED:
        for headers in ({}, {"x-dashboard-token": "wrong"}, {"x-dashboard-token": ""}, {"x-dashboard-token": "ä"}):
            encoded = {name: value.encode("latin-1") for name, value in headers.items()}
            response = client.get(f"/v1/metrics/{path}?window_days=x", headers=encoded)
            assert response.status_code == 401
            assert response.json() == {"error": "Unauthorized", "message": "Missing or invalid dashboard token."}
    assert client.get("/v1/metrics/summary").status_code == 200


def test_an_answer_names_just_the_runs_whose_rows_it_shows(
    client: httpx.Client, publisher: Publisher, connection: psycopg.Connection
) -> None:
    other = Publisher(connection)
    publisher.daily(TODAY, "dau", 1)
    other.daily(TODAY - timedelta(days=7), "dau", 1)
    other.experiment(TODAY, "exp", "A", "users_assigned", 1)
    assert [run["run_id"] for run in get(client, "daily")["runs"]] == [publisher.shown["runs"][0]["run_id"]]
    assert {run["run_id"] for run in get(client, "daily?window_days=8")["runs"]} == {
        each.shown["runs"][0]["run_id"] for each in (publisher, other)
    }
    connection.execute("DELETE FROM run_provenance")
    assert get(client, "daily")["freshness"]["newest_received_at"] is None
