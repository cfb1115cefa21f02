"""Operations: metrics that Prometheus reads, and readiness that tells the truth, whatever the database does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from api import telemetry
from api.app import create_app
from api.operations.database_probe import DatabaseState
from api.operations.exposition import exposition
from api.operations.models import ReadyResponse
from pipeline.export.run import export
from pipeline.ingestion.event_store import store
from pipeline.lake.table import Lake
from pipeline.settings import REPOSITORY, Settings
from pipeline.statements import statement
from tests.api.servers import NO_TLS, served, server_process
from tests.api.vectors import event
from tests.databases import Postgres
from tests.makers import NOW, event_row
from tests.waiting import wait_until

USER = "3c5e81b4-0c5e-468e-84a3-406c97d63cfb"
# The promise is one second; the rest is for a busy machine. A server that hangs would take longer.
PATIENCE = 5.0


def families(page: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(page)}


def value(page: str, sample: str, **labels: str) -> float:
    """A sample's value, 0 when it is not there yet; the sum when labels leave several."""
    return sum(
        found.value
        for family in families(page).values()
        for found in family.samples
        if found.name == sample and labels.items() <= found.labels.items()
    )


def scrape(client: httpx.Client) -> str:
    response = client.get("/metrics")
    assert response.status_code == 200, response.text
    return response.text


def post(client: httpx.Client, *events: object) -> httpx.Response:
    return client.post("/v1/events", json={"anonymous_user_id": USER, "events": events})


def test_requests_and_events_are_counted_by_what_became_of_them(client: httpx.Client) -> None:
    known = event(event_id=str(uuid.uuid4()))
    before = scrape(client)
    post(client, known, event(), None)
    post(client, known)
    client.post("/v1/events", content=b"{")
    client.get(f"/v1/users/{USER}")
    client.get("/v1/events/nowhere")
    after = scrape(client)

    def more(sample: str, **labels: str) -> float:
        return value(after, sample, **labels) - value(before, sample, **labels)

    requests = "tidemark_http_request_seconds_count"
    assert more(requests, route="/v1/events", status="2xx") == 2
    assert more(requests, route="/v1/events", status="4xx") == 1
    assert more(requests, route="other", status="4xx") == 2
    outcomes = {
        outcome: more("tidemark_events_total", protocol="mobile", outcome=outcome) for outcome in telemetry.OUTCOMES
    }
    assert outcomes == {"stored": 2, "duplicate": 1, "conflict": 0, "rejected": 1}
    assert more("tidemark_commit_seconds_count") == 2
    assert more("tidemark_commit_requests_sum") == 2
    assert more("tidemark_dead_letters_total", fate="kept") == 1
    assert value(after, "tidemark_database_up") == 1


def test_nothing_that_a_client_sends_is_on_the_page(client: httpx.Client) -> None:
    """Labels from requests would grow without end, and show ids to whoever reads the metrics."""
    post(client, event(event_name="a_private_name"))
    for number in range(50):
        client.get(f"/invented/{number}/{USER}")
    page = scrape(client)
    assert USER not in page
    assert "private" not in page
    assert "invented" not in page
    labels = {name for family in families(page).values() for found in family.samples for name in found.labels}
    assert labels == {"route", "status", "protocol", "outcome", "reason", "fate", "kind", "le"}


def test_the_metrics_are_for_this_machine_unless_there_is_a_token(settings: Settings, client: httpx.Client) -> None:
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")
    for named in ("203.0.113.9", "127.0.0.1, 203.0.113.9, 127.0.0.1", "::ffff:203.0.113.9", "a name"):
        elsewhere = client.get("/metrics", headers={"x-forwarded-for": named})
        assert (elsewhere.status_code, elsewhere.json()["error"]) == (403, "Forbidden"), named
    assert client.get("/metrics", headers={"x-forwarded-for": "127.0.0.1, ::1"}).status_code == 200
    with_token = settings.model_validate({**settings.model_dump(), "metrics_token": "a-secret"})
    with served(create_app(with_token)) as url:
        for given, status in (
            ({}, 401), ({"authorization": "Bearer wrong"}, 401), ({"authorization": "Bearer é"}, 401),
            ({"authorization": "Bearer a-secret"}, 200),
            ({"authorization": "Bearer a-secret", "x-forwarded-for": "203.0.113.9"}, 200),
        ):  # fmt: skip
            headers = {name.encode(): text.encode() for name, text in given.items()}
            assert httpx.get(f"{url}/metrics", headers=headers, timeout=30, verify=NO_TLS).status_code == status, given


def test_the_guide_explains_every_metric_in_its_own_words() -> None:
    guide = (REPOSITORY / "docs/guides/operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(tidemark_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", guide, re.MULTILINE)
    page = exposition(DatabaseState(1.0, 0, 0.0)).decode()
    labels = {
        family.name: ", ".join(f"`{name}`" for name in metric._labelnames)
        for metric in telemetry.REGISTRY._collector_to_names
        for family in metric.collect()
    }
    documented = {
        (name.removesuffix("_total"), kind, explanation): labelled for name, kind, labelled, explanation in rows
    }
    assert documented == {
        (family.name, family.type, family.documentation): labels.get(family.name, "")
        for family in families(page).values()
    }


def test_the_lag_is_the_wait_of_the_oldest_event_that_the_lake_lacks(
    settings: Settings, client: httpx.Client, database_url: str, connection: psycopg.Connection
) -> None:
    assert value(scrape(client), "tidemark_export_lag_seconds") == 0
    store(connection, [event_row(1, received_at=NOW - timedelta(seconds=90)), event_row(2, received_at=NOW)])
    wait_until(lambda: value(scrape(client), "tidemark_export_lag_seconds") == 90, "the lag of the older event")
    export(database_url, Lake(settings.lake))
    wait_until(lambda: value(scrape(client), "tidemark_export_lag_seconds") == 0, "no lag after the export")


def test_transactions_that_hold_back_the_export_are_seen(
    client: httpx.Client, postgres_server: str, connection: psycopg.Connection
) -> None:
    """Also those of another database of the server: the watermark cannot pass them either."""

    def idle(seconds: float) -> int:
        row = connection.execute(statement("operations/database_state"), {"idle_seconds": seconds}).fetchone()
        assert row is not None
        return int(row[1])

    with psycopg.connect(f"{postgres_server}/postgres") as holder:
        holder.execute("SELECT 1")
        assert idle(0) == 0, "a transaction that has not written holds nothing back"
        holder.execute("SELECT pg_current_xact_id()")
        assert idle(0) >= 1
        assert idle(60) == 0
        wait_until(lambda: value(scrape(client), "tidemark_oldest_transaction_seconds") > 0, "its age")


def test_ready_says_by_which_way_events_are_taken(client: httpx.Client) -> None:
    response = client.get("/ready")
    assert response.status_code == 200
    assert response.json() == {
        "ready": True,
        "database": True,
        "spool": {"usable": True, "deliveries": 0, "bytes": 0},
        "reasons": [],
    }
    ReadyResponse.model_validate(response.json())
    assert client.head("/ready").status_code == 200


def test_without_database_and_spool_a_process_is_alive_and_not_ready(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    unusable = Settings.model_validate({"database_url": None, "home": tmp_path / "file"})
    with served(create_app(unusable)) as url:
        response = httpx.get(f"{url}/ready", timeout=30, verify=NO_TLS)
        assert httpx.get(f"{url}/health", timeout=30, verify=NO_TLS).status_code == 200
        page = httpx.get(f"{url}/metrics", timeout=30, verify=NO_TLS).text
    assert value(page, "tidemark_http_request_seconds_count", route="/ready", status="503") >= 1
    assert value(page, "tidemark_http_request_seconds_count", route="/ready", status="5xx") == 0
    assert response.status_code == 503
    assert response.json()["error"] == "Service Unavailable"
    assert response.json()["message"] == (
        "Not ready: the database does not answer; the folder of the spool cannot be written."
    )
    assert (response.json()["ready"], response.json()["database"]) == (False, False)
    assert response.headers["retry-after"].isdigit()


@pytest.mark.slow
def test_a_frozen_database_is_seen_and_nothing_waits_for_it(
    postgres: Postgres, own_database: str, tmp_path: Path
) -> None:
    app = create_app(Settings.model_validate({"database_url": own_database, "home": tmp_path}))
    with served(app) as url, httpx.Client(base_url=url, timeout=PATIENCE, verify=NO_TLS) as client:
        assert value(scrape(client), "tidemark_database_up") == 1
        postgres.freeze()
        try:
            wait_until(lambda: not client.get("/ready").json()["database"], "the freeze is noticed")
            for _ in range(3):
                page = scrape(client)
                assert value(page, "tidemark_database_up") == 0
                assert "tidemark_export_lag_seconds" not in page, "what is not known is not shown"
                ready = client.get("/ready")
                assert (ready.status_code, ready.json()["reasons"]) == (200, ["the database does not answer"])
        finally:
            postgres.thaw()
        wait_until(lambda: client.get("/ready").json()["database"], "the thaw is noticed")
        assert value(scrape(client), "tidemark_database_up") == 1


@pytest.mark.slow
def test_every_worker_shows_the_sum_and_a_dead_one_takes_only_its_gauges(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    counts: list[float] = []

    def look(url: str, sample: str, **labels: str) -> float:
        # A connection of its own each time, so that any worker may answer.
        return value(httpx.get(f"{url}/metrics", timeout=30, verify=NO_TLS).text, sample, **labels)

    def health(url: str) -> float:
        counts.append(look(url, "tidemark_http_request_seconds_count", route="/health", status="2xx"))
        return counts[-1]

    with server_process(database_url, tmp_path / "log", workers=2) as (url, process):
        wait_until(lambda: look(url, "tidemark_api_processes") == 2, "both workers count")
        base = health(url)
        for _ in range(40):
            assert httpx.get(f"{url}/health", timeout=30, verify=NO_TLS).status_code == 200
        wait_until(lambda: health(url) >= base + 40, "the requests of both")
        workers = [
            child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        assert len(workers) == 2
        workers[0].kill()
        wait_until(lambda: workers_of(process.pid) - {workers[0].pid} - {workers[1].pid}, "a new worker")
        wait_until(lambda: look(url, "tidemark_api_processes") == 2, "the dead one is not counted")
        health(url)
    assert counts == sorted(counts), "counters never go back"


def workers_of(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children()}


def test_without_room_for_its_files_a_process_counts_in_memory(tmp_path: Path) -> None:
    """On a full disk, memory-mapped files would end the process at some later count."""
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from api import telemetry, metric_files\n"
        "telemetry.spool_drained(3)\n"
        "from api.operations.exposition import exposition\n"
        "assert b'tidemark_spool_drained_total 3.0' in exposition(None)\n"
        "print(metric_files.metrics_folder())\n"
    )
    environment: Mapping[str, str] = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")
    assert list((tmp_path / "metrics").iterdir()) == []
