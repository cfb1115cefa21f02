"""GET /v1/metrics/retention and /v1/metrics/funnels/ordered: rows by cohort day, and whether they are complete."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from api.metrics.models import OrderedFunnelsResponse, RetentionResponse
from pipeline.clock import day_start
from tests.api.conftest import TOKEN
from tests.makers import NOW

TODAY = NOW.date()
DAY = timedelta(days=1)


class Publisher:
    """Writes rows into the tables, as runs of a job as of a moment do."""

    def __init__(self, connection: psycopg.Connection, job_name: str) -> None:
        self._connection = connection
        self._job_name = job_name
        self.run_id = self.ran(NOW)

    def ran(self, as_of: datetime, status: str = "SUCCESS", job_name: str | None = None) -> uuid.UUID:
        run_id = uuid.uuid4()
        self._connection.execute(
            "INSERT INTO rollup_runs"
            " (run_id, job_name, status, window_start, window_end, as_of, code_version, sql_sha256)"
            " VALUES (%s, %s, %s, %s, %s, %s, 'x', 'x')",
            [run_id, job_name or self._job_name, status, NOW, NOW, as_of],
        )
        return run_id

    def retention(self, day: date, days_after: int, size: int, retained: int, variant: str | None = None) -> None:
        self._connection.execute(
            "INSERT INTO retention_rollups (day, days_after, dimension_key, experiment_id, variant_id, cohort_size,"
            " retained_users, complete_at, run_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                day, days_after, f"exp:{variant}" if variant else "overall", "exp" if variant else None, variant, size,
                retained, day_start(day + timedelta(days=days_after + 1)), self.run_id,
            ],
        )  # fmt: skip

    def step(self, day: date, number: int, users: int, median: float | None, funnel: str = "core_journey") -> None:
        self._connection.execute(
            "INSERT INTO funnel_cohort_rollups (day, funnel_name, step_name, step_number, users_count, median_seconds,"
            " window_seconds, complete_at, run_id) VALUES (%s, %s, %s, %s, %s, %s, 86400, %s, %s)",
            [day, funnel, f"step_{number}", number, users, median, day_start(day + 2 * DAY), self.run_id],
        )


def get(client: httpx.Client, path: str) -> Any:
    response = client.get(f"/v1/metrics/{path}", headers={"x-dashboard-token": TOKEN})
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("path", ["retention", "funnels/ordered"])
def test_without_rows_the_answers_say_so_and_without_the_token_nothing(client: httpx.Client, path: str) -> None:
    answer = get(client, path)
    assert (answer["no_data"], answer["rows"], answer["runs"]) == (True, [], [])
    assert client.get(f"/v1/metrics/{path}").status_code == 401
    refused = client.get(f"/v1/metrics/{path}?window_days=91", headers={"x-dashboard-token": TOKEN})
    assert refused.status_code == 400


def test_retention_rows_are_overall_and_per_variant_in_order(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    publisher = Publisher(connection, "retention_rollup")
    publisher.retention(TODAY - 3 * DAY, 3, 8, 0)
    publisher.retention(TODAY - 3 * DAY, 1, 4, 1, "A")
    publisher.retention(TODAY - 3 * DAY, 1, 8, 3)
    publisher.retention(TODAY - 7 * DAY, 1, 8, 3)
    answer = get(client, "retention")
    RetentionResponse.model_validate(answer)
    row = {"day": "2026-02-16", "days_after": 1, "experiment_id": None, "variant_id": None, "complete": True}
    assert answer["rows"] == [
        {**row, "cohort_size": 8, "retained_users": 3, "rate": 0.375},
        {**row, "experiment_id": "exp", "variant_id": "A", "cohort_size": 4, "retained_users": 1, "rate": 0.25},
        {**row, "days_after": 3, "cohort_size": 8, "retained_users": 0, "rate": 0, "complete": False},
    ]
    assert [run["run_id"] for run in answer["runs"]] == [str(publisher.run_id)]
    assert answer["no_data"] is False


def test_ordered_funnel_rows_are_in_the_order_of_their_steps(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    publisher = Publisher(connection, "funnel_cohort_rollup")
    publisher.step(TODAY - 2 * DAY, 2, 3, 12.5)
    publisher.step(TODAY - 2 * DAY, 1, 5, None)
    publisher.step(TODAY - 2 * DAY, 1, 9, None, "another")
    answer = get(client, "funnels/ordered?funnel_name=core_journey")
    OrderedFunnelsResponse.model_validate(answer)
    row = {
        "day": "2026-02-17", "funnel_name": "core_journey", "experiment_id": None, "variant_id": None,
        "window_seconds": 86400, "complete": True,
    }  # fmt: skip
    assert answer["rows"] == [
        {**row, "step_number": 1, "step_name": "step_1", "users_count": 5, "median_seconds": None},
        {**row, "step_number": 2, "step_name": "step_2", "users_count": 3, "median_seconds": 12.5},
    ]
    assert len(get(client, "funnels/ordered")["rows"]) == 3


def test_a_number_is_complete_when_a_run_of_its_job_has_looked_beyond_its_window(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    publisher = Publisher(connection, "retention_rollup")
    publisher.retention(TODAY - DAY, 1, 8, 3)

    def complete() -> bool:
        (row,) = get(client, "retention")["rows"]
        return bool(row["complete"])

    end = day_start(TODAY + DAY)
    assert not complete()
    publisher.ran(end, "FAILED")
    publisher.ran(end, job_name="daily_metrics_rollup")
    publisher.ran(end - timedelta(microseconds=1))
    assert not complete()
    publisher.ran(end)
    assert complete()
