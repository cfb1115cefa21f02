"""The service around the routes: error shape, headers, logs, and a reference that tells the truth offline."""

from __future__ import annotations

import json
import re
import socket

import httpx
import pytest
from fastapi import Request
from pydantic import BaseModel

from api.access.admin_models import AdminKey, AdminKeys, AdminTenant, AdminTenants, NewAdminKey
from api.app import create_app
from api.assignment.models import AssignmentRequest, AssignmentResponse
from api.campaign.models import CampaignEventResponse, CampaignHealthResponse
from api.campaign.route import CampaignErrorBody
from api.campaign.summary_models import AnalyticsSummaryResponse
from api.errors import ErrorBody
from api.experiments.models import (
    BulkStatusResponse,
    ExperimentChanges,
    ExperimentList,
    ExperimentResponse,
    ExperimentVersions,
)
from api.health import HealthResponse
from api.ingestion.models import EventsRequest, EventsResponse
from api.metrics.models import (
    CatalogueResponse,
    DailyResponse,
    ExperimentsResponse,
    FunnelsResponse,
    OrderedFunnelsResponse,
    RetentionResponse,
    SummaryResponse,
)
from api.operations.models import ReadyResponse
from api.request_log import make_logger, note_user
from api.retail.models import QueuedResponse, StatsError, StatsResponse, VisitErrors
from api.runs.models import RunResponse, RunsResponse
from pipeline.settings import Settings
from tests.api.conftest import TOKEN
from tests.api.servers import NO_TLS, served
from tests.api.vectors import event
from tests.makers import NOW
from tests.waiting import wait_until

USER = "3c5e81b4-0c5e-468e-84a3-406c97d63cfb"


def read_log(captured: pytest.CaptureFixture[str], lines: int) -> str:
    """What was logged, once it is that many lines: a line is written after its answer is sent.

    A test must ask for `capfd` before `client`, whose log goes where stderr is when it starts.
    """
    logged = ""

    def is_complete() -> bool:
        nonlocal logged
        logged += captured.readouterr().err
        return logged.count("\n") >= lines

    wait_until(is_complete)
    return logged


def test_health_needs_no_database(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"ok": True}
    assert client.head("/health").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/nowhere", 404, "Not Found"),
        ("GET", "/v1/events/", 404, "Not Found"),
        ("POST", "/v2/events", 404, "Not Found"),
        ("GET", "/v1/events", 405, "Method Not Allowed"),
        ("OPTIONS", "/v1/assignment", 405, "Method Not Allowed"),
        ("DELETE", "/health", 405, "Method Not Allowed"),
    ],
)
def test_unknown_routes_and_methods_answer_in_the_error_shape(
    client: httpx.Client, method: str, path: str, status: int, title: str
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"] == title
    assert set(response.json()) == {"error", "message"}


def test_without_a_token_protected_metrics_are_off(database_url: str) -> None:
    app = create_app(Settings.model_validate({"database_url": database_url, "dashboard_token": None}))
    with served(app) as url:
        response = httpx.get(
            f"{url}/v1/metrics/daily?window_days=x", headers={"x-dashboard-token": ""}, timeout=30, verify=NO_TLS
        )
    assert (response.status_code, response.json()) == (
        503,
        {"error": "Service Unavailable", "message": "Dashboard token is not configured."},
    )


def test_without_any_database_the_service_starts_and_says_503() -> None:
    with served(create_app(Settings.model_validate({"database_url": None}))) as url:
        for path, content in (
            ("/v1/assignment", {"anonymous_user_id": "u"}),
            ("/v1/events", {"anonymous_user_id": "u", "events": [event()]}),
        ):
            response = httpx.post(url + path, json=content, timeout=30, verify=NO_TLS)
            assert response.status_code == 503
            assert response.headers["retry-after"].isdigit()


def test_answers_name_no_software_and_forbid_sniffing(client: httpx.Client) -> None:
    for path in ("/health", "/nowhere"):
        headers = client.get(path, headers={"x-request-id": "abc-1"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-request-id"] == "abc-1"
        assert "server" not in headers
        assert "x-powered-by" not in headers
    assert re.fullmatch("[0-9a-f]{16}", client.get("/health", headers={"x-request-id": "a b"}).headers["x-request-id"])


def test_logs_never_hold_a_whole_user_id(capfd: pytest.CaptureFixture[str], client: httpx.Client) -> None:
    client.post("/v1/assignment", json={"anonymous_user_id": USER})
    client.post("/v1/events", json={"anonymous_user_id": USER, "events": [event(), None]})
    client.post("/v1/events", json={"anonymous_user_id": "short", "events": [event()]})
    logged = read_log(capfd, 3)
    lines = [json.loads(line) for line in logged.splitlines()]
    assert [line["anonymous_user_id"] for line in lines] == ["3c5e81b4...3cfb", "3c5e81b4...3cfb", "short"]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("POST", "/v1/assignment", 200), ("POST", "/v1/events", 200), ("POST", "/v1/events", 200),
    ]  # fmt: skip
    assert USER not in logged


def test_the_unexpected_is_a_500_without_details_and_logged(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    app = create_app(settings, lambda: NOW)

    @app.get("/broken")
    async def broken(request: Request) -> None:
        note_user(request.scope, USER)
        raise KeyError(USER)

    with served(app) as url:
        response = httpx.get(f"{url}/broken", timeout=30, verify=NO_TLS)
    assert response.status_code == 500
    assert response.json()["error"] == "Internal Server Error"
    assert "KeyError" not in response.text
    line = json.loads(read_log(capfd, 1))
    assert (line["exception"], line["request_id"]) == ("KeyError", response.headers["x-request-id"])
    assert line["detail"] == "'3c5e81b4...3cfb'"


def test_the_log_level_is_that_of_the_settings(capfd: pytest.CaptureFixture[str]) -> None:
    log = make_logger("warning")
    log.info("quiet")
    log.error("loud")
    assert [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()] == ["loud"]


ERRORS = {"ErrorBody", "VisitErrors", "StatsError", "CampaignErrorBody"}
MODELS: dict[str, type[BaseModel]] = {
    model.__name__: model
    for model in (
        AssignmentResponse, CatalogueResponse, DailyResponse, ErrorBody, EventsResponse, ExperimentsResponse,
        FunnelsResponse, HealthResponse, OrderedFunnelsResponse, QueuedResponse, ReadyResponse, RetentionResponse,
        RunResponse, RunsResponse, StatsError, StatsResponse, SummaryResponse, VisitErrors,
        AnalyticsSummaryResponse, CampaignHealthResponse, CampaignEventResponse,
        CampaignErrorBody,
        AdminTenant, AdminTenants, AdminKey, AdminKeys, NewAdminKey,
        BulkStatusResponse, ExperimentChanges, ExperimentList, ExperimentResponse, ExperimentVersions,
    )
}  # fmt: skip


def test_every_documented_answer_has_an_example_that_is_valid(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()
    operations = {
        (method, path): operation for path, methods in schema["paths"].items() for method, operation in methods.items()
    }
    assert set(operations) == {
        ("get", "/health"), ("get", "/ready"), ("post", "/v1/assignment"), ("post", "/v1/events"),
        ("post", "/event"), ("get", "/stats"), ("get", "/v1/metrics/summary"), ("get", "/v1/metrics/catalogue"),
        ("get", "/v1/metrics/daily"), ("get", "/v1/metrics/experiments"), ("get", "/v1/metrics/funnels"),
        ("get", "/v1/metrics/funnels/ordered"), ("get", "/v1/metrics/retention"),
        ("get", "/v1/runs"), ("get", "/v1/runs/{run_id}"),
        ("get", "/api/admin/tenants"), ("post", "/api/admin/tenants"), ("patch", "/api/admin/tenants/{tenant_id}"),
        ("get", "/api/admin/keys"), ("post", "/api/admin/keys"), ("delete", "/api/admin/keys/{key_id}"),
        ("post", "/api/admin/keys/{key_id}/rotate"),
        ("get", "/api/experiments"), ("post", "/api/experiments"), ("post", "/api/experiments/bulk-status"),
        ("get", "/api/experiments/{id}"), ("patch", "/api/experiments/{id}"),
        ("get", "/api/experiments/{id}/changes"), ("get", "/api/experiments/{id}/versions"),
        ("get", "/api/health"), ("get", "/api/analytics/summary"),
        ("post", "/api/events"), ("post", "/api/events/batch"),
    }  # fmt: skip
    for (_, path), operation in operations.items():
        assert "422" not in operation["responses"], path
        for status, answer in operation["responses"].items():
            name = answer["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
            assert (name in ERRORS) is (status not in {"200", "201", "202"})
            for example in schema["components"]["schemas"][name]["examples"]:
                MODELS[name].model_validate(example)


def test_the_documented_requests_are_accepted_and_answered_as_documented(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()
    for path, request_model, response_model in (
        ("/v1/events", EventsRequest, EventsResponse),
        ("/v1/assignment", AssignmentRequest, AssignmentResponse),
    ):
        example = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        request_model.model_validate(example)
        response = client.post(path, json=example)
        assert response.status_code == 200
        response_model.model_validate(response.json())


def test_the_reference_shows_every_route_and_loads_nothing(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path in client.get("/openapi.json").json()["paths"]:
        assert f"<code>{path}</code>" in page.text
    assert "<b>Is the process up?</b>" in page.text
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//|@import|<script", page.text)


def test_tokens_leave_no_trace_in_the_log(capfd: pytest.CaptureFixture[str], client: httpx.Client) -> None:
    client.get("/v1/metrics/daily", headers={"x-dashboard-token": TOKEN})
    assert TOKEN not in read_log(capfd, 1)


def test_a_client_that_leaves_is_no_failure(capfd: pytest.CaptureFixture[str], client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    line = json.loads(read_log(capfd, 1))
    assert (line["event"], line["status"]) == ("request", 499)
