"""GET /api/analytics/summary over HTTP: the contract's numbers, exact over any range, for the key's tenant alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from api.app import create_app
from api.campaign.route import CampaignErrorBody
from api.campaign.summary import share
from api.campaign.summary_models import AnalyticsSummaryResponse
from api.database import Database
from pipeline.access.keys import create_key
from pipeline.access.tenants import create_tenant, update_tenant
from pipeline.ingestion.event_store import store
from pipeline.settings import Settings
from pipeline.statements import statement
from tests.api.conftest import SettableClock
from tests.api.servers import NO_TLS, served
from tests.makers import NOW
from tests.pipeline.ingestion.campaign_world import campaign_event, counted, random_event, read_facts
from tests.waiting import wait_until

DAY = timedelta(days=1)
TODAY = NOW.date()
EXPERIMENT = "6f0d6a52-9a54-4f0e-8a43-6d3b1f0f7a11"
NOTHING = {"totalEvents": 0, "uniqueUsers": 0, "convertedUsers": 0, "convertedShare": 0, "variants": {}}
TENANTS = ("acme", "other")


@dataclass(frozen=True)
class Platform:
    """A running API with two tenants, and the keys of each."""

    client: httpx.Client
    keys: dict[str, str]

    def get(self, query: Any = None, tenant_id: str = "acme") -> httpx.Response:
        headers = {"x-api-key": self.keys[tenant_id]}
        return self.client.get("/api/analytics/summary", params=query, headers=headers)

    def summary(self, query: Any = None, tenant_id: str = "acme") -> dict[str, Any]:
        response = self.get(query, tenant_id)
        assert response.status_code == 200, response.text
        AnalyticsSummaryResponse.model_validate(response.json(), strict=True)
        content: dict[str, Any] = response.json()
        return content


@pytest.fixture
def platform(connection: psycopg.Connection, settings: Settings, clock: SettableClock) -> Iterator[Platform]:
    keys = {}
    for tenant_id in TENANTS:
        create_tenant(connection, tenant_id)
        update_tenant(connection, tenant_id, rate_limits={"analytics": 10_000})
        keys[tenant_id] = create_key(connection, tenant_id, ["read", "ingest"]).key
    keys["write only"] = create_key(connection, "acme", ["ingest"]).key
    with served(create_app(settings, clock)) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        running = Platform(client, keys)
        wait_until(lambda: running.get().status_code == 200, "the keys are known")
        yield running


def experiment_of_the_contract(connection: psycopg.Connection) -> None:
    """215 users see A, with 45 conversions of 41 of them; 3 users see B; 2 events name no variant."""
    rows = [
        campaign_event(number, tenant_id="acme", experiment_id=EXPERIMENT, user_id=f"a{number % 215}")
        for number in range(430)
    ]
    rows += [
        campaign_event(
            1_000 + number, tenant_id="acme", experiment_id=EXPERIMENT, user_id=f"a{number % 41}",
            event_name="CONVERSION",
        )
        for number in range(45)
    ]  # fmt: skip
    rows += [
        campaign_event(2_000 + n, tenant_id="acme", experiment_id=EXPERIMENT, variant="B", user_id=f"b{n}")
        for n in range(3)
    ]
    rows += [
        campaign_event(3_000 + n, tenant_id="acme", experiment_id=EXPERIMENT, variant="", user_id="a0")
        for n in range(2)
    ]
    store(connection, rows)


def test_the_contracts_example(platform: Platform, connection: psycopg.Connection) -> None:
    experiment_of_the_contract(connection)
    expected = {
        "totalEvents": 480, "uniqueUsers": 218, "convertedUsers": 41, "convertedShare": 0.188,
        "variants": {
            "A": {"events": 475, "users": 215, "conversions": 45, "conversionRate": 0.209,
                  "convertedUsers": 41, "convertedShare": 0.191},
            "B": {"events": 3, "users": 3, "conversions": 0, "conversionRate": 0,
                  "convertedUsers": 0, "convertedShare": 0},
        },
    }  # fmt: skip
    assert platform.summary() == expected
    assert platform.summary({"experimentId": EXPERIMENT}) == expected
    assert platform.summary({"experimentId": EXPERIMENT, "startDate": TODAY, "endDate": TODAY}) == expected
    response = platform.get()
    assert response.headers["content-type"] == "application/json"


def test_rates_have_three_decimals_halves_rounded_up() -> None:
    assert [share(45, 215), share(1, 3), share(2, 3), share(5, 1), share(0, 7)] == [0.209, 0.333, 0.667, 5.0, 0.0]
    assert [share(1, 16), share(3, 16), share(1, 2_000), share(1, 2_001), share(3, 0)] == [0.063, 0.188, 0.001, 0, 0]


def test_an_event_counts_in_the_next_answer(platform: Platform) -> None:
    body = {"userId": "ann", "eventType": "CONVERSION", "properties": {"experimentId": EXPERIMENT, "variant": "A"}}
    assert platform.summary() == NOTHING
    for number in range(1, 4):
        sent = platform.client.post("/api/events", json=body, headers={"x-api-key": platform.keys["acme"]})
        assert sent.status_code == 201, sent.text
        found = platform.summary({"experimentId": EXPERIMENT, "startDate": TODAY})
        assert (found["totalEvents"], found["uniqueUsers"]) == (number, 1)
        assert found["variants"]["A"]["conversions"] == number


def test_another_tenants_experiment_is_one_without_events(platform: Platform, connection: psycopg.Connection) -> None:
    experiment_of_the_contract(connection)
    assert platform.summary({"experimentId": EXPERIMENT}, "other") == NOTHING
    assert platform.summary(None, "other") == NOTHING
    assert platform.summary({"tenantId": "acme", "tenant_id": "acme"}, "other") == NOTHING


def test_a_key_that_may_read_is_needed(platform: Platform) -> None:
    for headers, status in (({}, 401), ({"x-api-key": "nobody-s"}, 401)):
        response = platform.client.get("/api/analytics/summary", headers=headers)
        assert response.status_code == status
        CampaignErrorBody.model_validate(response.json(), strict=True)
    assert platform.get(None, "write only").status_code == 403


RANGES: list[tuple[object, object, int]] = [
    (None, None, 4),
    ("", "", 4),
    (TODAY, None, 1),
    (TODAY - DAY, None, 2),
    (None, TODAY - DAY, 3),
    (None, TODAY - 2 * DAY, 2),
    (TODAY - 399 * DAY, TODAY, 3),
    (TODAY - 399 * DAY, None, 3),
    (TODAY - 700 * DAY, TODAY - 301 * DAY, 1),
    (TODAY + DAY, TODAY + 400 * DAY, 0),
    ("1970-01-01", "1970-01-01", 0),
    (None, "9999-12-31", 4),
    # A date and time stands for the UTC day it lies on, which counts as a whole.
    (f"{TODAY}T23:59:59.999Z", f"{TODAY}T00:00:00Z", 1),
    (f"{TODAY}T00:30:00+01:00", f"{TODAY - DAY}T12:00:00", 1),
    (f"{TODAY} 12:00", None, 1),
]


def test_ranges_include_both_days(platform: Platform, connection: psycopg.Connection) -> None:
    store(
        connection,
        [
            campaign_event(number, tenant_id="acme", occurred_at=NOW - days_ago * DAY, user_id="ann")
            for number, days_ago in enumerate((0, 1, 300, 500))
        ],
    )
    for first, last, events in RANGES:
        query = {name: str(value) for name, value in (("startDate", first), ("endDate", last)) if value is not None}
        found = platform.summary(query)
        assert (found["totalEvents"], found["uniqueUsers"]) == (events, min(events, 1)), query


NO_DATE = "{} must be a valid ISO 8601 date string"
NO_YEAR = "{} must be from 1970-01-01 on and not later than 9999-12-31"
TOO_LONG = "startDate and endDate must span at most 400 days, both included"


WRONG: list[tuple[list[tuple[str, str]], list[str]]] = [
    ([("startDate", "yesterday")], [NO_DATE.format("startDate")]),
    ([("endDate", "2026-02-30")], [NO_DATE.format("endDate")]),
    ([("startDate", "2026-2-1"), ("endDate", "20260201")], [NO_DATE.format("startDate"), NO_DATE.format("endDate")]),
    ([("startDate", "2026-02-19T25:00")], [NO_DATE.format("startDate")]),
    ([("startDate", "2026-02-19T10:00:00 02:00")], [NO_DATE.format("startDate")]),
    ([("startDate", " 2026-02-19")], [NO_DATE.format("startDate")]),
    ([("startDate", "\x00")], [NO_DATE.format("startDate")]),
    ([("startDate", "1969-12-31")], [NO_YEAR.format("startDate")]),
    ([("endDate", "0000-01-01")], [NO_DATE.format("endDate")]),
    ([("startDate", "2026-02-19"), ("endDate", "2026-02-18")], ["startDate must not be after endDate"]),
    (
        [("startDate", "2026-02-20")],
        ["startDate must not be after today, which endDate is if it is not given"],
    ),
    ([("startDate", "2025-01-15"), ("endDate", "2026-02-19")], [TOO_LONG]),
    ([("startDate", "2025-01-15")], [TOO_LONG]),
    ([("startDate", "1970-01-01"), ("endDate", "9999-12-31")], [TOO_LONG]),
    ([("startDate", "2026-02-19"), ("startDate", "2026-02-19")], ["startDate must be given once"]),
    ([("experimentId", "a\x00")], ["experimentId contains U+0000, which cannot be stored"]),
    (
        [("experimentId", "a"), ("experimentId", "b"), ("endDate", "x")],
        [NO_DATE.format("endDate"), "experimentId must be given once"],
    ),
]


def test_a_wrong_query_is_refused_with_a_message_for_each_field(platform: Platform) -> None:
    for query, messages in WRONG:
        response = platform.get(query)
        assert (response.status_code, response.json()) == (
            400, {"statusCode": 400, "message": messages, "error": "Bad Request"},
        ), query  # fmt: skip


def test_answers_equal_a_count_over_the_events(platform: Platform, connection: psycopg.Connection) -> None:
    chance = random.Random(8)
    tenants = {"default": "acme", "other": "other"}
    for _ in range(8):
        rows = [random_event(chance, tenants=2, users=40, days=60) for _ in range(50)]
        store(connection, [row._replace(tenant_id=tenants[row.tenant_id]) for row in rows])
    facts = read_facts(connection)
    for _ in range(60):
        first = TODAY - chance.randrange(70) * DAY
        last = min(first + chance.randrange(60) * DAY, date(2026, 3, 1))
        tenant_id, experiment_id = chance.choice(TENANTS), chance.choice(("", "e", "f", "g"))
        found = platform.summary({"startDate": first, "endDate": last, "experimentId": experiment_id}, tenant_id)
        expected = counted(facts, first, last, experiment_id, tenant_id)
        events, _, users, converted = expected.pop("", (0, 0, 0, 0))
        assert (found["totalEvents"], found["uniqueUsers"], found["convertedUsers"]) == (events, users, converted)
        variants = {
            name: (numbers["events"], numbers["conversions"], numbers["users"], numbers["convertedUsers"])
            for name, numbers in found["variants"].items()
        }
        assert variants == expected


@pytest.mark.parametrize("analyzed", [False, True])
def test_an_answer_reads_the_rows_of_its_range_and_experiment_alone(
    database_url: str, connection: psycopg.Connection, analyzed: bool
) -> None:
    store(
        connection,
        [
            campaign_event(number, experiment_id=f"e{number % 20}", variant="AB"[number % 2], user_id=f"u{number}",
                           occurred_at=NOW - number // 20 * DAY)
            for number in range(2_000)
        ],
    )  # fmt: skip
    if analyzed:
        connection.execute("ANALYZE campaign_counts")

    async def explain(session: psycopg.AsyncConnection) -> dict[str, Any]:
        cursor = await session.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON) " + statement("campaign/summary"),
            {"tenant_id": "default", "experiment_id": "e4", "first_day": TODAY - 9 * DAY, "last_day": TODAY},
        )
        row = await cursor.fetchone()
        assert row is not None
        plan: dict[str, Any] = row[0][0]["Plan"]
        return plan

    async def run() -> dict[str, Any]:
        database = Database(database_url)
        await database.open()
        try:
            return await database.run(explain, "default")
        finally:
            await database.close()

    scans = [node for node in nodes(asyncio.run(run())) if node.get("Relation Name") == "campaign_counts"]
    assert [scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0) for scan in scans] == [20]


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Every node of a plan."""
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]
