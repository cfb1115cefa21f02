"""Statistics are read from an index in its order, whatever Postgres knows of the tables."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from api.database import Database
from pipeline.ingestion.event_store import store
from pipeline.statements import statement
from tests.pipeline.ingestion.retail_world import visit_event

Plan = dict[str, object]


@pytest.mark.parametrize("analyzed", [False, True])
def test_statistics_are_read_from_the_order_of_the_index(
    database_url: str, connection: psycopg.Connection, analyzed: bool
) -> None:
    store(connection, [visit_event(number, path=f"/{number}") for number in range(3_000)])
    if analyzed:
        connection.execute("ANALYZE retail_path_views")

    async def explain(session: psycopg.AsyncConnection) -> Plan:
        cursor = await session.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON) " + statement("retail/site_stats"),
            {"tenant_id": "default", "site_id": "shop", "day": "-infinity"},
        )
        row = await cursor.fetchone()
        assert row is not None
        plan: Plan = row[0][0]["Plan"]
        return plan

    async def run() -> Plan:
        database = Database(database_url)
        await database.open()
        try:
            return await database.run(explain, "default")
        finally:
            await database.close()

    scans = [node for node in nodes(asyncio.run(run())) if "Scan" in str(node["Node Type"])]
    ordered = next(node for node in scans if node.get("Relation Name") == "retail_path_views")
    assert ordered["Index Name"] == "retail_path_views_order"
    assert sum(int(str(node["Actual Rows"])) for node in scans if "Relation Name" in node) < 100


def nodes(plan: Plan) -> list[Plan]:
    below = plan.get("Plans", [])
    assert isinstance(below, list)
    return [plan, *(node for child in below for node in nodes(child))]
