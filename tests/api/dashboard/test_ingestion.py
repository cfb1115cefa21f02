"""Ingestion, and the lake and its runs: the pages' numbers are counted again here, from events and from the lake."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from api.dashboard.charts.heat_map import heat_map, step
from api.dashboard.ingestion_figures import DELAYS, LedgerDay, delay, lateness_map
from api.dashboard.lake_reading import read_lake
from api.dashboard.letter_samples import SAMPLE_BYTES, sample
from api.metrics.window import MetricsWindow
from pipeline.ingestion.dead_letters import DeadLetter
from pipeline.ingestion.event_store import write
from pipeline.lake.table import Lake
from pipeline.settings import Settings
from tests.api.conftest import TOKEN
from tests.api.dashboard.conftest import NOON, World
from tests.api.dashboard.inhabited import REFUSED
from tests.api.dashboard.page_text import csv_rows
from tests.api.servers import NO_TLS

TODAY = NOON.date()
GOOD = b'{"event_name": "app_opened", "occurred_at": "2026-02-19T10:00:00Z"}'
ENVELOPE = b'{"anonymous_user_id": "somebody_1", "platform": "ios", "app_version": "1.0.0"}'


def counted(world: World, tenant_id: str, query: str) -> list[tuple[Any, ...]]:
    return world.connection.execute(query.encode(), {"tenant_id": tenant_id}).fetchall()


def csrf_of(client: httpx.Client) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/ingestion").text)
    assert found
    return found[1]


@pytest.mark.parametrize("tenant", ["default", "acme"])
def test_the_ledger_of_the_page_is_what_is_there(lived: World, tenant: str) -> None:
    client = lived.client(lived.read_key if tenant == "acme" else TOKEN)
    stored = dict(
        counted(
            lived,
            tenant,
            "SELECT (received_at AT TIME ZONE 'UTC')::date, count(*) FROM event_logs WHERE tenant_id = %(tenant_id)s"
            " GROUP BY 1",
        )
    )
    rows = {date.fromisoformat(row["day"]): row for row in csv_rows(client.get("/ingestion?csv=ledger"))}
    assert {day: int(row["stored"]) for day, row in rows.items() if row["stored"] != "0"} == stored
    for day, row in rows.items():
        assert int(row["in_lake"]) == stored.get(day, 0)
        assert (row["waiting"], row["balance"]) == ("0", "balanced")
        assert int(row["received"]) == int(row["stored"]) + int(row["duplicate"]) + int(row["rejected"])
    assert sum(int(row["duplicate"]) for row in rows.values()) == 15
    assert sum(int(row["rejected"]) for row in rows.values()) == len(REFUSED)
    big = re.findall(r'<p class="big">(?:<a[^>]*>)?([^<]*)', client.get("/ingestion").text)
    assert big[:3] == [str(sum(stored.values())), "15", str(len(REFUSED))]


def test_lateness_is_counted_from_the_events(lived: World) -> None:
    pairs = counted(
        lived,
        "default",
        "SELECT (occurred_at AT TIME ZONE 'UTC')::date, (received_at AT TIME ZONE 'UTC')::date, count(*)::int"
        " FROM event_logs WHERE tenant_id = %(tenant_id)s GROUP BY 1, 2",
    )
    wanted: dict[date, Counter[str]] = {}
    for occurred, received, events in pairs:
        wanted.setdefault(occurred, Counter())[delay((received - occurred).days)] += events
    client = lived.client()
    rows = csv_rows(client.get("/ingestion?csv=lateness"))
    assert [row["day"] for row in rows] == sorted(map(str, wanted), reverse=True)
    for row in rows:
        found = wanted[date.fromisoformat(row["day"])]
        assert {name: int(row[name]) for name, *_ in DELAYS} == {name: found[name] for name, *_ in DELAYS}
        assert int(row["events"]) == found.total()
    assert any(found["ahead"] for found in wanted.values()), "a clock that is ahead is among them"
    drawing = client.get("/ingestion").text.split('class="heat-map"')[1].split("</svg>")[0]
    assert drawing.count("<rect") == len(pairs)
    assert sum(int(row["events"]) for row in csv_rows(client.get("/provenance?metric=arrivals&csv=parts"))) == sum(
        events for _, _, events in pairs
    )


def test_lag_and_volume_are_those_of_the_metrics_endpoints(lived: World) -> None:
    answer = httpx.get(f"{lived.url}/v1/metrics/daily", params={"window_days": 28},
                       headers={"x-dashboard-token": TOKEN}, timeout=30, verify=NO_TLS)  # fmt: skip
    days = {row["day"]: row["metrics"] for row in answer.json()["days"]}
    client = lived.client()
    for row in csv_rows(client.get("/ingestion?csv=lag")):
        for name in ("ingestion_lag_p50", "ingestion_lag_p95"):
            assert float(row[name]) == days[row["day"]][name]
    volume = {row["event_name"]: float(row["events"]) for row in csv_rows(client.get("/ingestion?csv=volume"))}
    names = {name for metrics in days.values() for name in metrics["event_volume_by_name"]}
    assert volume == {
        name: sum(metrics["event_volume_by_name"].get(name, 0) for metrics in days.values()) for name in names
    }


def test_refused_events_are_shown_without_naming_anybody(lived: World) -> None:
    client = lived.client()
    page = client.get("/ingestion").text
    reasons = {row["reason"]: int(row["letters"]) for row in csv_rows(client.get("/ingestion?csv=reasons"))}
    assert reasons == Counter(reason for reason, _ in REFUSED)
    letters = csv_rows(client.get("/ingestion?csv=letters&reason=occurred_at must be ISO 8601"))
    assert len(letters) == 2
    for text in (page, *(row["sample"] for row in letters)):
        for whole in ("jane.doe@example.org", "john@example.org", "user-abc-1234567890", "example"):
            assert whole not in text
    assert "tab_opened" in page
    assert 'id="letters"' in client.get("/ingestion?reason=nothing").text


@pytest.mark.parametrize(
    "content",
    [
        b'{"user_id": "jane"}', b'{"user_id": 123456}', b'{"properties": {"mail": ["jane@x.org"]}}',
        b'{"jane-who-is-a-key-of-26-long": 1}',
        b'{"a": {"b": {"userId": "jane"}}}', b'"jane"', b'["jane"]', b"jane", b"\xff jane", b'{"user_id": "jane', b"",
        b'{"x": "' + b"jane" * 2_000 + b'"}',
    ],
)  # fmt: skip
def test_a_sample_never_has_a_whole_value_that_may_name_somebody(content: bytes) -> None:
    shown = sample(content[:SAMPLE_BYTES])
    assert "jane" not in shown
    assert "123456" not in shown


def test_a_sample_shows_what_rules_are_about() -> None:
    shown = sample(b'{"event_name": "app_opened", "occurred_at": "yesterday", "schema_version": 7, "is_new": true}')
    assert shown == '{"event_name": "app_opened", "occurred_at": "yesterday", "schema_version": 7, "is_new": true}'


def add_letters(world: World, tenant_id: str, *events: bytes) -> list[int]:
    letters = [DeadLetter(tenant_id, NOON, "mobile", 0, "a rule of old", ENVELOPE, event) for event in events]
    with world.connection.transaction():
        write(world.connection, [], letters)
    rows = world.connection.execute("SELECT id FROM dead_letters ORDER BY id DESC LIMIT %s", [len(events)]).fetchall()
    return sorted(row[0] for row in rows)


def letters_left(world: World, tenant_id: str) -> set[int]:
    rows = world.connection.execute("SELECT id FROM dead_letters WHERE tenant_id = %s", [tenant_id])
    return {row[0] for row in rows}


def test_a_replay_stores_what_is_acceptable_now_and_says_so(lived: World) -> None:
    [good, other] = add_letters(lived, "default", GOOD, GOOD.replace(b"10:00", b"11:00"))
    kept = letters_left(lived, "default") - {good, other}
    client = lived.client()
    answer = client.post("/ingestion/replay", data={"csrf": csrf_of(client), "letter": str(good)})
    assert (answer.status_code, answer.headers["location"]) == (
        303, "/ingestion?replayed=1&stored=1&duplicate=0&stayed=0",
    )  # fmt: skip
    assert "1 replayed: 1 events stored, 0 duplicates; 0 refused again" in client.get(answer.headers["location"]).text
    assert letters_left(lived, "default") == kept | {other}
    every = {"csrf": csrf_of(client), "every": "yes", "reason": "a rule of old", "next": "/ingestion?days=7"}
    answer = client.post("/ingestion/replay", data=every)
    assert answer.headers["location"] == "/ingestion?days=7&replayed=1&stored=1&duplicate=0&stayed=0"
    assert letters_left(lived, "default") == kept
    answer = client.post("/ingestion/replay", data={"csrf": csrf_of(client), "every": "yes"})
    assert answer.headers["location"].endswith(f"replayed=0&stored=0&duplicate=0&stayed={len(kept)}")
    row = csv_rows(client.get("/ingestion?csv=ledger"))[0]
    assert (row["replayed"], row["balance"], row["waiting"]) == ("2", "balanced", "2")


def test_replaying_needs_the_scope_the_token_and_letters_of_ones_own(lived: World) -> None:
    [own] = add_letters(lived, "acme", GOOD)
    [foreign] = add_letters(lived, "default", GOOD.replace(b"10:00", b"09:00"))
    reader, manager = lived.client(lived.read_key), lived.client(lived.ingest_key)
    assert "Replay selected" not in reader.get("/ingestion").text
    assert 'name="letter"' not in reader.get("/ingestion").text
    for client, fields, status in (
        (reader, {"csrf": csrf_of(reader), "letter": str(own)}, 403),
        (manager, {"letter": str(own)}, 403),
        (manager, {"csrf": csrf_of(reader), "letter": str(own)}, 403),
        (manager, {"csrf": csrf_of(manager)}, 400),
        (manager, {"csrf": csrf_of(manager), "letter": "x"}, 400),
        (manager, {"csrf": csrf_of(manager), "letter": "9" * 40}, 400),
    ):
        assert client.post("/ingestion/replay", data=fields).status_code == status, fields
    answer = manager.post("/ingestion/replay", data={"csrf": csrf_of(manager), "letter": str(foreign)})
    assert answer.headers["location"].endswith("replayed=0&stored=0&duplicate=0&stayed=0")
    assert foreign in letters_left(lived, "default")
    assert own in letters_left(lived, "acme")
    answer = manager.post("/ingestion/replay", data={"csrf": csrf_of(manager), "every": "yes"})
    assert "replayed=1" in answer.headers["location"]
    assert foreign in letters_left(lived, "default")


def test_an_unbalanced_day_says_what_to_run(lived: World) -> None:
    lived.connection.execute("UPDATE dead_letter_ledger SET dropped = dropped + 1 WHERE tenant_id = 'default'")
    lived.connection.execute(
        "INSERT INTO dead_letter_ledger VALUES ('default', %s, 99, 0, 3, 0)", [TODAY - timedelta(days=1)]
    )
    try:
        page = lived.client().get("/ingestion").text
        assert "do not add up: run <code>./tidemark check</code>" in page
        assert "not balanced" in page
    finally:
        lived.connection.execute("DELETE FROM dead_letter_ledger WHERE slot = 99")
        lived.connection.execute("UPDATE dead_letter_ledger SET dropped = dropped - 1 WHERE tenant_id = 'default'")
    assert "not balanced" not in lived.client().get("/ingestion").text


def test_the_queue_is_the_operators(lived: World) -> None:
    assert "Queue and spool" in lived.client().get("/ingestion").text
    assert "Queue and spool" not in lived.client(lived.read_key).get("/ingestion").text


def test_days_and_versions_are_those_of_the_lake(lived: World) -> None:
    settings = Settings(home=lived.home)
    snapshot = Lake(settings.lake).snapshot()
    assert snapshot is not None
    client = lived.client()
    rows = csv_rows(client.get("/lake?csv=days"))
    assert [row["day"] for row in rows] == [str(day) for day in reversed(snapshot.days())]
    for row in rows:
        files = [file for file in snapshot.files if str(file.day) == row["day"]]
        assert (int(row["rows"]), int(row["files"]), int(row["size"])) == (
            sum(file.rows for file in files), len(files), sum(file.size for file in files),
        )  # fmt: skip
    versions = csv_rows(client.get("/lake?csv=versions"))
    assert [int(row["version"]) for row in versions] == list(range(snapshot.version, -1, -1))
    assert sum(int(row["rows"]) for row in versions) == snapshot.rows()
    own = {row["day"]: int(row["events"]) for row in csv_rows(client.get("/lake?csv=own_days"))}
    theirs = {
        row["day"]: int(row["events"]) for row in csv_rows(lived.client(lived.read_key).get("/lake?csv=own_days"))
    }
    both = Counter(own) + Counter(theirs)
    assert both == {row["day"]: int(row["rows"]) for row in rows}, "the tenants' counts add up to the lake"
    parts = csv_rows(client.get("/provenance?metric=lake_events&days=90&csv=parts"))
    assert {row["day"]: int(row["events"]) for row in parts} == own


def test_runs_are_those_of_the_api_page_by_page(lived: World) -> None:
    def runs(**parameters: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{lived.url}/v1/runs", params={**parameters, "limit": "200"},
                           headers={"x-dashboard-token": TOKEN}, timeout=30, verify=NO_TLS)  # fmt: skip
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["runs"]
        return found

    client = lived.client()
    assert len(runs()) >= 10
    for query in ({}, {"job": "funnel_rollup"}, {"status": "FAILED"}, {"status": "SUCCESS", "job": "retention_rollup"}):
        shown = csv_rows(client.get("/lake", params={**query, "csv": "runs"}))
        wanted = runs(**query)[:25]
        assert [(row["run_id"], row["status"], row["job"]) for row in shown] == [
            (run["run_id"], run["status"], run["job_name"]) for run in wanted
        ]
    page = client.get("/lake").text
    assert f"./tidemark verify {runs()[0]['run_id']}" in page
    assert 'href="http://127.0.0.1:3001/"' in page
    first = runs()[3]["run_id"]
    assert csv_rows(client.get(f"/lake?cursor={first}&csv=runs"))[0]["run_id"] == runs()[4]["run_id"]
    for query in ("job=x", "status=x", "cursor=x"):
        assert client.get(f"/lake?{query}").status_code == 400


def test_a_tenant_sees_its_own_days_and_neither_files_nor_runs(lived: World) -> None:
    client = lived.client(lived.read_key)
    page = client.get("/lake").text
    for hidden in ("./tidemark verify", "_rollup", "Newest versions", "all tenants", "Dagster", "Parquet"):
        assert hidden not in page
    for table in ("days", "versions", "runs"):
        assert client.get(f"/lake?csv={table}").status_code == 404
    assert csv_rows(client.get("/lake?csv=own_days"))


def test_without_anything_the_pages_say_what_to_do(lived: World) -> None:
    client = lived.client()
    client.post("/tenant", data={"csrf": csrf_of(client), "tenant": "empty"})
    page = client.get("/ingestion").text
    assert "Nothing came in during these 28 days" in page
    assert "POST /v1/events" in page
    for table in ("ledger", "lateness", "letters", "reasons", "volume"):
        assert csv_rows(client.get(f"/ingestion?csv={table}")) == []
    assert csv_rows(client.get("/lake?csv=own_days")) == []


def test_a_lake_that_cannot_be_read_is_told_and_one_that_is_not_there_is_empty(tmp_path: Any) -> None:
    assert read_lake(tmp_path).version is None
    log = tmp_path / "events" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020d}.json").write_text("{ no json")
    broken = read_lake(tmp_path)
    assert broken.version is None
    assert broken.problem


def test_a_day_that_does_not_add_up_is_not_balanced() -> None:
    good = LedgerDay(TODAY, 10, 6, 1, 3, 1, 1, 1, 0, 2, 3)
    assert (good.lost, good.waiting, good.is_balanced) == (0, 1, True)
    for wrong in ({"received": 11}, {"letters": 2}, {"in_lake": 5}):
        assert not LedgerDay(**{**good.__dict__, **wrong}).is_balanced, wrong


def test_the_heat_map_says_each_value_and_escapes_labels() -> None:
    drawn = heat_map(["<b>", "2 Feb"], ["1 Feb", "2 Feb"], {(0, 0): 3.0, (0, 1): 1.0, (1, 1): 0.0}, "x")
    assert drawn.count("<rect") == 2
    assert "&lt;b&gt; on 1 Feb: 3 (75.0%)" in drawn
    assert [step(share) for share in (0.0, 0.01, 0.25, 1.0)] == [0, 1, 5, 9]
    assert lateness_map([(TODAY - timedelta(days=40), TODAY, 3)], MetricsWindow(90, TODAY)) is None
