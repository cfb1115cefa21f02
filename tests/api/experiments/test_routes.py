"""The Experiments API as the campaign contract says it: shapes, statuses, preconditions, and one tenant alone."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from typing import Any

import httpx
import psycopg
import pytest

from api.campaign.route import CampaignErrorBody
from api.experiments.models import (
    EXAMPLE_REQUEST,
    BulkStatusResponse,
    ExperimentChanges,
    ExperimentList,
    ExperimentResponse,
    ExperimentVersions,
)
from pipeline.access.keys import id_of_key
from tests.api.experiments.conftest import PATH, VARIANTS, Platform
from tests.api.servers import NO_TLS
from tests.makers import add_experiment

UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def failed(response: httpx.Response, status: int) -> Any:
    """The message of an answer that must be a failure of the campaign protocol."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"statusCode", "message", "error"}
    assert body["statusCode"] == status
    CampaignErrorBody.model_validate(body)
    return body["message"]


def test_an_experiment_is_created_whole_and_can_be_read_again(platform: Platform) -> None:
    response = platform.ask("POST", json={"name": "Green button", "variants": VARIANTS, "startDate": "2026-03-01"})
    assert response.status_code == 201
    created = response.json()
    ExperimentResponse.model_validate(created, strict=True)
    assert UUID.fullmatch(created["id"])
    assert MOMENT.fullmatch(created["createdAt"])
    assert created == {
        "id": created["id"], "name": "Green button", "description": None, "status": "DRAFT", "version": 1,
        "variants": [
            {"key": "A", "name": "A", "weight": 0.5, "isControl": True, "config": {}},
            {"key": "B", "name": "B", "weight": 0.5, "isControl": False, "config": {}},
        ],
        "targeting": None, "startDate": "2026-03-01T00:00:00.000Z", "endDate": None, "trafficAllocation": 1.0,
        "layer": None, "createdAt": created["createdAt"], "updatedAt": created["createdAt"],
    }  # fmt: skip
    assert response.headers["location"] == f"{PATH}/{created['id']}"
    read = platform.client.get(response.headers["location"], headers={"x-api-key": platform.keys["reader"]})
    assert (read.status_code, read.json()) == (200, created)
    assert read.headers["etag"] == response.headers["etag"] == '"1"'


def test_the_documented_example_is_accepted(platform: Platform) -> None:
    created = platform.create(**EXAMPLE_REQUEST)
    assert {name: created[name] for name in EXAMPLE_REQUEST} == {
        **EXAMPLE_REQUEST, "startDate": "2026-03-01T00:00:00.000Z",
    }  # fmt: skip


def test_a_change_names_what_changes(platform: Platform) -> None:
    created = platform.create(description="why", targeting={"platform": "ios"})
    changed = platform.patch(created, status="RUNNING", description=None)
    assert changed == {**created, "status": "RUNNING", "description": None, "updatedAt": changed["updatedAt"]}
    assert changed["updatedAt"] > created["updatedAt"]
    again = platform.patch(changed, variants=[{"key": "A", "weight": 1}, {"key": "B", "weight": 3}])
    assert (again["version"], [one["weight"] for one in again["variants"]]) == (2, [1, 3])
    versions = platform.get(f"/{created['id']}/versions")
    ExperimentVersions.model_validate(versions, strict=True)
    assert [(one["version"], [variant["weight"] for variant in one["variants"]]) for one in versions] == [
        (1, [0.5, 0.5]), (2, [1, 3]),
    ]  # fmt: skip
    assert platform.ask("PATCH", f"/{created['id']}", json={}).headers["etag"] == '"3"', "nothing changed"


def test_the_log_names_the_key_that_changed_something(platform: Platform) -> None:
    created = platform.create()
    for number in range(4):
        platform.patch(created, description=str(number))
    first = platform.ask("GET", f"/{created['id']}/changes", params={"limit": 3, "cursor": ""})
    ExperimentChanges.model_validate(first.json(), strict=True)
    latest = first.json()[0]
    assert latest["changes"] == {"description": {"before": "2", "after": "3"}}
    assert (latest["by"], latest["revision"], latest["version"]) == (id_of_key(platform.keys["acme"]), 5, 1)
    assert MOMENT.fullmatch(latest["at"])
    rest = platform.client.get(first.links["next"]["url"], headers={"x-api-key": platform.keys["acme"]})
    assert [entry["revision"] for entry in (*first.json(), *rest.json())] == [5, 4, 3, 2, 1]
    assert "next" not in rest.links
    assert platform.keys["acme"] not in first.text + rest.text


def test_a_change_to_a_revision_that_is_not_there_any_more_is_refused(platform: Platform) -> None:
    created = platform.create()

    def patch(name: str, known: str | None = None) -> httpx.Response:
        headers = {} if known is None else {"if-match": known.encode("latin-1")}
        return platform.ask("PATCH", f"/{created['id']}", json={"name": name}, headers=headers)

    assert patch("one", '"1"').headers["etag"] == '"2"'
    for stale in ('"1"', '"x", "1"', 'W/"2"', "2", "", '"', "\u00fc"):
        refused = patch("two", stale)
        assert "changed meanwhile" in failed(refused, 412)
        assert refused.headers["etag"] == '"2"'
    assert patch("two", '"1", "2"').headers["etag"] == '"3"'
    assert patch("three", "*").headers["etag"] == '"4"'
    assert patch("four").headers["etag"] == '"5"'
    assert "no such experiment" in failed(
        platform.ask("PATCH", f"/{uuid.uuid4()}", json={"name": "x"}, headers={"if-match": "*"}), 404
    )


def test_of_two_who_change_one_revision_at_once_one_wins(platform: Platform) -> None:
    created = platform.create()

    async def race() -> list[list[httpx.Response]]:
        headers = {"x-api-key": platform.keys["acme"]}
        async with httpx.AsyncClient(
            base_url=platform.client.base_url, headers=headers, timeout=30, verify=NO_TLS
        ) as client:
            rounds = []
            for revision in range(1, 11):
                known = {"if-match": f'"{revision}"'}
                rounds.append(
                    await asyncio.gather(
                        *(
                            client.patch(f"{PATH}/{created['id']}", json={"name": f"{revision} {one}"}, headers=known)
                            for one in ("left", "right")
                        )
                    )
                )
            return rounds

    for responses in asyncio.run(race()):
        assert sorted(response.status_code for response in responses) == [200, 412]
    assert len(platform.get(f"/{created['id']}/changes")) == 11


def test_several_experiments_get_a_status_at_once(platform: Platform) -> None:
    running, draft = platform.create(status="RUNNING"), platform.create()
    theirs = platform.create("other", status="RUNNING")
    ids = [running["id"], draft["id"], theirs["id"], "none", "a\0", "\ud800", "x" * 5_000]
    response = platform.ask("POST", "/bulk-status", content=json.dumps({"ids": ids, "status": "PAUSED"}))
    assert response.status_code == 200
    BulkStatusResponse.model_validate(response.json(), strict=True)
    assert response.json()["changed"] == 1
    assert [(one["id"], one["result"], one["status"]) for one in response.json()["results"][:4]] == [
        (running["id"], "changed", "PAUSED"), (draft["id"], "refused", "DRAFT"),
        (theirs["id"], "unknown", None), ("none", "unknown", None),
    ]  # fmt: skip
    assert {one["result"] for one in response.json()["results"][4:]} == {"unknown"}
    assert platform.ask("GET", f"/{theirs['id']}", who="other").json()["status"] == "RUNNING"


def test_what_the_state_does_not_allow_is_a_conflict(platform: Platform) -> None:
    layer = {"name": "checkout", "from": 0, "to": 0.5}
    first = platform.create(layer=layer, status="RUNNING")
    assert "overlaps" in failed(platform.ask("POST", json={"name": "x", "variants": VARIANTS, "layer": layer}), 409)
    assert failed(platform.ask("PATCH", f"/{first['id']}", json={"status": "DRAFT"}), 409) == (
        "A RUNNING experiment cannot become DRAFT; it can become PAUSED or ENDED."
    )
    assert "fixed" in failed(platform.ask("PATCH", f"/{first['id']}", json={"layer": None}), 409)
    platform.patch(first, status="ENDED")
    assert "ENDED is final" in failed(platform.ask("PATCH", f"/{first['id']}", json={"status": "RUNNING"}), 409)
    platform.create(layer=layer)


def test_every_wrong_field_has_a_text_of_its_own(platform: Platform) -> None:
    body: Any = {"name": "", "variants": [{"key": "A", "weight": -1}, {"weight": "1"}], "status": "ON"}
    wanted = [
        "name must not be empty",
        "status must be one of: 'DRAFT', 'RUNNING', 'PAUSED' or 'ENDED'",
        "variants[0].weight must be a number between 0 and 1000000000",
        "variants[1].key is required",
        "variants[1].weight must be a number",
    ]
    assert failed(platform.ask("POST", json=body), 400) == wanted
    assert failed(platform.ask("PATCH", f"/{platform.create()['id']}", json=body), 400) == wanted
    assert failed(platform.ask("POST", content=b"{"), 400) == "Malformed JSON body."


def test_a_path_says_which_methods_it_takes(platform: Platform) -> None:
    for path, methods in (("", "GET, POST"), ("/x", "GET, PATCH"), ("/x/changes", "GET")):
        refused = platform.ask("DELETE", path)
        assert (refused.status_code, refused.headers["allow"]) == (405, methods)


def test_reading_needs_the_scope_read_and_changing_manage(platform: Platform) -> None:
    path = f"/{platform.create()['id']}"
    body = {"name": "x", "variants": VARIANTS, "ids": ["a"], "status": "DRAFT"}
    reading = [("GET", ""), ("GET", path), ("GET", f"{path}/changes"), ("GET", f"{path}/versions")]
    changing = [("POST", ""), ("POST", "/bulk-status"), ("PATCH", path)]
    for method, where in reading + changing:
        assert "lacks the scope" in failed(platform.ask(method, where, who="sender", json=body), 403)
        assert failed(platform.client.request(method, f"{PATH}{where}", json=body), 401)
        assert failed(platform.client.request(method, f"{PATH}{where}", headers={"x-api-key": "x-y"}), 401)
    for method, where in changing:
        assert "lacks the scope 'manage'" in failed(platform.ask(method, where, who="reader", json=body), 403)
    for method, where in reading:
        assert platform.ask(method, where, who="reader").status_code == 200


def test_another_tenants_experiments_are_not_there(platform: Platform, connection: psycopg.Connection) -> None:
    theirs = platform.create("other", name="Secret", description="theirs")
    path = f"/{theirs['id']}"
    for method, where in (("GET", ""), ("GET", "/changes"), ("GET", "/versions"), ("PATCH", "")):
        message = failed(platform.ask(method, f"{path}{where}", json={"name": "ours"}), 404)
        assert message == "There is no such experiment. GET /api/experiments lists them."
    assert platform.get() == platform.get(q="Secret") == []
    assert platform.ask("GET").headers["x-total-count"] == "0"
    assert platform.ask("GET", path, who="other").json() == theirs
    count = connection.execute("SELECT count(*) FROM experiment_changes WHERE tenant_id = 'acme'").fetchone()
    assert count == (0,)


def test_an_experiment_of_the_manifest_is_one_like_any_other(
    platform: Platform, connection: psycopg.Connection
) -> None:
    add_experiment(connection, "exp_3 \u00fc&?#%", {"A": 1, "B": 2}, tenant_id="acme", targeting=[1])
    (listed,) = platform.get()
    ExperimentList.model_validate([listed], strict=True)
    assert (listed["id"], listed["name"], listed["targeting"]) == ("exp_3 \u00fc&?#%", "exp_3 \u00fc&?#%", [1])
    assert platform.get("/exp_3%20%C3%BC%26%3F%23%25") == listed
    assert platform.patch({"id": "exp_3%20%C3%BC%26%3F%23%25"}, description="x")["description"] == "x"


@pytest.mark.parametrize("hostile", ["%00", "%FF", "..%2f", "%F0%9F%92%A9", "a" * 513, "1' OR '1'='1", "%ED%A0%80"])
def test_ids_that_nobody_has_are_unknown(platform: Platform, hostile: str) -> None:
    for method, where in (("GET", ""), ("GET", "/changes"), ("GET", "/versions"), ("PATCH", "")):
        response = platform.ask(method, f"/{hostile}{where}", json={"name": "x"})
        assert response.status_code == 404, response.text


def test_what_is_served_is_the_experiment(platform: Platform) -> None:
    """POST /v1/assignment with the tenant's key assigns what the API manages."""
    created = platform.create(
        status="RUNNING", variants=[{"key": "A", "weight": 0}, {"key": "B", "name": "Green", "weight": 1}]
    )

    def served(user: str) -> list[dict[str, str]]:
        response = platform.client.post(
            "/v1/assignment", json={"anonymous_user_id": user}, headers={"x-api-key": platform.keys["acme"]}
        )
        assert response.status_code == 200, response.text
        assignments: list[dict[str, str]] = response.json()["assignments"]
        return assignments

    assert served("one") == [{"experiment_id": created["id"], "variant_id": "B", "variant_name": "Green"}]
    platform.patch(created, variants=[{"key": "A", "weight": 1}])
    assert [one["variant_id"] for user in ("one", "two") for one in served(user)] == ["B", "A"]
    platform.patch(created, trafficAllocation=0)
    assert [one["variant_id"] for user in ("one", "two", "three") for one in served(user)] == ["B", "A"]
    platform.patch(created, status="PAUSED")
    assert served("one") == []
    platform.patch(created, status="RUNNING")
    assert [one["variant_id"] for one in served("one")] == ["B"]


DEEP = '{"name":' + "[" * 5_000 + "]" * 5_000 + "}"
BODIES: list[Any] = [
    "", "null", "[]", '"x"', "5", "{}", DEEP, "[" * 100_000, '{"name": "\\u0000"}', '{"name": "\\ud800"}', b"\xff\xfe",
    '{"name": "x", "variants": {"length": 1}}', '{"name": "x", "variants": [[[[]]]]}', '{"name": NaN}',
    '{"name": "x", "variants": [{"key": "A", "weight": 1e999}]}',
    '{"name": "x", "variants": [{"key": "A", "weight": ' + "9" * 10_000 + "}]}",
    '{"name": "x", "variants": [{"key": "A", "weight": 1, "config": {"n": ' + "9" * 300 + "}}]}",
    '{"name": "x", "variants": [{"key": "A", "weight": 1, "config": {"n": 1e300}}]}',
    '{"name": "x", "variants": [{"key": "A", "weight": 1, "config": {"\\u0000": 1}}]}',
    '{"name": "x", "variants": [{"key": "A", "weight": 1, "config": ' + '{"a":' * 200 + "1" + "}" * 201 + "]}",
    '{"name": "x", "variants": [{"key": "A", "weight": 5e-324}], "layer": {"name": "x", "from": 1e-400, "to": -0.0}}',
    '{"name": "x", "variants": [{"key": "A", "weight": 1}], "startDate": "0000-00-00", "endDate": [1]}',
    '{"name": "x", "variants": [{"key": "A", "weight": 1}], "startDate": "9999-12-31T23:59:59-23:59"}',
    '{"name": "' + "x" * 2**20 + '"}', json.dumps({"ids": ["\0"] * 100, "status": "RUNING"}),
    json.dumps({"ids": [{}], "status": []}),
]  # fmt: skip


def test_no_body_is_a_fault_of_the_server(platform: Platform) -> None:
    path = f"/{platform.create()['id']}"
    for body in BODIES:
        content = body if isinstance(body, bytes) else body.encode()
        for method, where in (("POST", ""), ("PATCH", path), ("POST", "/bulk-status")):
            response = platform.ask(method, where, content=content)
            if (method, body) == ("PATCH", "{}"):
                assert response.status_code == 200
            else:
                failed(response, 413 if len(content) > 2**20 else 400)
