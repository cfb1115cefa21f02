"""Lists of experiments: filters, orders, and pages that miss nobody and repeat nobody while others come and go."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.experiments.definition import StoredExperiment
from pipeline.experiments.listing import SORTS, ListQuery, Page, decode_cursor, list_experiments
from tests.api.experiments.conftest import Platform
from tests.makers import NOW, add_experiment
from tests.pipeline.experiments.stores import run


def names(experiments: Sequence[dict[str, Any]]) -> list[str]:
    return [experiment["name"] for experiment in experiments]


def test_status_and_words_filter_on_the_server(platform: Platform) -> None:
    platform.create(name="Green button", status="RUNNING")
    platform.create(name="Blue button", status="PAUSED", description="50% of_them")
    platform.create(name="Search", description="a GREEN field")
    assert sorted(names(platform.get(q="button"))) == ["Blue button", "Green button"]
    assert sorted(names(platform.get(q=" gReEn "))) == ["Green button", "Search"]
    assert names(platform.get(q="0% of_")) == ["Blue button"], "no wildcards"
    assert names(platform.get(q="0_of")) == []
    assert names(platform.get(status="RUNNING")) == ["Green button"]
    assert sorted(names(platform.get(status=["RUNNING", "PAUSED"]))) == ["Blue button", "Green button"]
    assert sorted(names(platform.get(status="RUNNING,DRAFT"))) == ["Green button", "Search"]
    assert names(platform.get(status="PAUSED", q="green")) == []
    every = platform.ask("GET", params={"status": "", "q": "", "sort": "", "limit": "", "cursor": ""})
    assert (len(every.json()), every.headers["x-total-count"]) == (3, "3"), "as the contract writes it"
    (found,) = platform.get(q=platform.get(q="Search")[0]["id"][:13])
    assert found["name"] == "Search"


def test_orders(platform: Platform) -> None:
    platform.create(name="b", status="ENDED", startDate="2026-03-01")
    second = platform.create(name="C", status="PAUSED", endDate="2026-03-01")
    platform.create(name="a", status="DRAFT", startDate="2026-02-01", endDate="2026-04-01")
    platform.patch(second, description="later")
    orders = {
        "createdAt": "bCa", "name": "abC", "status": "aCb", "startDate": "Cab", "endDate": "bCa", "updatedAt": "baC",
    }  # fmt: skip
    for sort, order in orders.items():
        assert names(platform.get(sort=sort)) == list(order), sort
        assert names(platform.get(sort=f"-{sort}")) == list(reversed(order)), sort
    assert names(platform.get()) == ["a", "C", "b"], "the newest first"


def test_links_lead_through_all_pages(platform: Platform) -> None:
    for number in range(7):
        platform.create(name=f"exp {number} \u00fc&=", status="RUNNING" if number % 2 else "DRAFT")
    response = platform.ask("GET", params={"sort": "name", "limit": 2, "q": "\u00fc&=", "status": "DRAFT"})
    seen = []
    while True:
        assert response.headers["x-total-count"] == "4"
        seen += names(response.json())
        if "next" not in response.links:
            break
        response = platform.client.get(response.links["next"]["url"], headers={"x-api-key": platform.keys["acme"]})
    assert seen == [f"exp {number} \u00fc&=" for number in (0, 2, 4, 6)]


def cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("status=ON", "status must be one of: DRAFT, RUNNING, PAUSED, ENDED"),
        ("sort=weight", "sort must be one of"),
        ("sort=--name", "sort must be one of"),
        ("limit=0", "limit must be an integer between 1 and 200"),
        ("limit=201", "limit must be an integer between 1 and 200"),
        ("limit=1e2", "limit must be an integer"),
        ("limit=1&limit=2", "limit must be given once"),
        ("q=%00", "q must be a text"),
        (f"q={'x' * 201}", "q must be a text"),
        ("cursor=x", "cursor must be"),
        ("cursor=%00", "cursor must be"),
        ("cursor=%C3%BC", "cursor must be"),
        (f"cursor={'A' * 5_000}", "cursor must be"),
        (f"cursor={base64.urlsafe_b64encode(b'[' * 2_000).decode()}", "cursor must be"),
        (f"cursor={cursor('name', 'x', 'y')}", "cursor must be"),
        (f"cursor={cursor('-createdAt', 'x')}", "cursor must be"),
        (f"cursor={cursor('-createdAt', 1, 'y')}", "cursor must be"),
        (f"cursor={cursor('-createdAt', chr(0), 'y')}", "cursor must be"),
        (f"cursor={cursor('-createdAt', chr(0xD800), 'y')}", "cursor must be"),
    ],
)
def test_wrong_questions_say_what_is_wrong(platform: Platform, query: str, problem: str) -> None:
    response = platform.ask("GET", f"?{query}")
    assert response.status_code == 400, response.text
    (message,) = response.json()["message"]
    assert message.startswith(problem)


def test_every_wrong_parameter_has_a_text_of_its_own(platform: Platform) -> None:
    response = platform.ask("GET", "?status=ON&sort=x&limit=0&cursor=x")
    assert [message.split()[0] for message in response.json()["message"]] == ["sort", "cursor", "status", "limit"]
    path = f"/{platform.create()['id']}/changes"
    for wrong in ("cursor=0", "cursor=x", "cursor=99999999999999999999", "limit=-1"):
        assert platform.ask("GET", f"{path}?{wrong}").status_code == 400


rows = st.lists(
    st.tuples(st.text("aB_\u00e9 ", min_size=1, max_size=3), st.sampled_from(["DRAFT", "RUNNING"]), st.integers(0, 3)),
    max_size=12,
)


orders = st.tuples(st.sampled_from([*SORTS, *(f"-{name}" for name in SORTS)]), st.integers(1, 5))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=rows, between=rows, order=orders)
def test_pages_show_everybody_once_whoever_comes_in_between(
    database_url: str, connection: psycopg.Connection, before: Any, between: Any, order: tuple[str, int]
) -> None:
    """Ties of every kind; the order of the whole is that of the pages one after the other."""
    sort, limit = order
    connection.execute("DELETE FROM experiments")

    def add(made: Any, prefix: str) -> set[str]:
        for number, (name, status, day) in enumerate(made):
            moment = NOW.replace(day=1 + day)
            add_experiment(connection, f"{prefix}{number}", {"A": 1}, status=status, start_at=moment if day else None)
            connection.execute(
                "UPDATE experiments SET name = %s, created_at = %s, updated_at = %s WHERE experiment_id = %s",
                [name, moment, moment, f"{prefix}{number}"],
            )
        return {f"{prefix}{number}" for number in range(len(made))}

    async def read_pages(one: psycopg.AsyncConnection) -> tuple[list[StoredExperiment], set[str], Page]:
        query = ListQuery(sort=sort, limit=limit)
        seen: list[StoredExperiment] = []
        come = set[str]()
        while True:
            page = await list_experiments(one, "default", query)
            assert page.total == len(first | come)
            assert len(page.experiments) <= limit
            seen += page.experiments
            if page.next_cursor is None:
                return seen, come, await list_experiments(one, "default", ListQuery(sort=sort, limit=500))
            query = replace(query, after=decode_cursor(sort, page.next_cursor))
            come = come or add(between, "y")

    first = add(before, "x")
    seen, come, whole = run(database_url, read_pages)
    ids = [experiment.experiment_id for experiment in seen]
    assert len(set(ids)) == len(ids)
    assert first <= set(ids) <= first | come
    order = [experiment.experiment_id for experiment in whole.experiments]
    assert ids == [experiment_id for experiment_id in order if experiment_id in set(ids)]
