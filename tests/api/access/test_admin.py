"""Tenants and keys over HTTP: made, changed and ended by admin keys, each within its own tenant but the operator's."""

from __future__ import annotations

import httpx
import psycopg

from api.app import create_app
from pipeline.access.keys import digest
from pipeline.settings import Settings
from tests.api.servers import NO_TLS, served
from tests.api.tenants import key_header, tenant_key
from tests.waiting import wait_until

EVENT = {"userId": "u", "eventType": "CLICK"}


def test_an_operator_makes_a_tenant_and_its_key_which_opens_the_door_until_it_is_revoked(
    connection: psycopg.Connection, settings: Settings
) -> None:
    operator = tenant_key(connection, "default")
    with served(create_app(settings)) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        headers = key_header(operator)
        made = client.post("/api/admin/tenants", json={"id": "acme", "name": "Acme"}, headers=headers)
        assert (made.status_code, made.json()["id"], made.json()["hotDays"]) == (201, "acme", None)
        again = client.post("/api/admin/tenants", json={"id": "acme"}, headers=headers)
        assert again.status_code == 409
        key = client.post("/api/admin/keys", json={"tenant": "acme", "scopes": ["ingest"]}, headers=headers).json()
        assert set(key) == {"keyId", "key", "tenant", "scopes", "name", "expiresAt"}

        def status(with_key: str) -> int:
            return client.post("/api/events", json=EVENT, headers=key_header(with_key)).status_code

        wait_until(lambda: status(key["key"]) == 201)
        rotated = client.post(f"/api/admin/keys/{key['keyId']}/rotate", json={"graceHours": 1}, headers=headers)
        assert rotated.status_code == 201
        new = rotated.json()
        wait_until(lambda: status(new["key"]) == 201)
        assert status(key["key"]) == 201
        assert client.post(f"/api/admin/keys/{key['keyId']}/rotate", headers=headers).status_code == 409
        for key_id in (key["keyId"], new["keyId"]):
            revoked = client.delete(f"/api/admin/keys/{key_id}", headers=headers)
            assert (revoked.status_code, bool(revoked.json()["revokedAt"])) == (200, True)
        wait_until(lambda: status(key["key"]) == status(new["key"]) == 401)
        listed = client.get("/api/admin/keys", headers=headers).json()["keys"]
        assert [each["keyId"] for each in listed if each["tenant"] == "acme"] == [key["keyId"], new["keyId"]]
        assert key["key"].rpartition("-")[2] not in str(listed)
    stored = connection.execute("SELECT digest FROM api_keys WHERE key_id = %s", [key["keyId"]]).fetchone()
    assert stored == (digest(key["key"]),)


def test_an_admin_of_one_tenant_reaches_no_other(connection: psycopg.Connection, settings: Settings) -> None:
    ann, bob = tenant_key(connection, "ann"), tenant_key(connection, "bob")
    bobs_id = bob.rpartition("-")[0]
    with served(create_app(settings)) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        headers = key_header(ann)
        assert {key["tenant"] for key in client.get("/api/admin/keys", headers=headers).json()["keys"]} == {"ann"}
        attempts = [
            ("POST", "/api/admin/keys", {"tenant": "bob", "scopes": ["read"]}, 403),
            ("POST", f"/api/admin/keys/{bobs_id}/rotate", None, 404),
            ("DELETE", f"/api/admin/keys/{bobs_id}", None, 404),
            ("GET", "/api/admin/tenants", None, 403),
            ("POST", "/api/admin/tenants", {"id": "carl"}, 403),
            ("PATCH", "/api/admin/tenants/bob", {"name": "x"}, 403),
            ("PATCH", "/api/admin/tenants/ann", {"rateLimits": {"events": 1e6}}, 403),
        ]
        for method, path, content, status in attempts:
            answer = client.request(method, path, json=content, headers=headers)
            assert (answer.status_code, answer.json()["statusCode"]) == (status, status), path
        assert client.post("/api/admin/keys", json={"scopes": ["read"]}, headers=headers).json()["tenant"] == "ann"
        assert client.post("/api/events", json=EVENT, headers=key_header(bob)).status_code == 201


def test_terms_change_as_asked_and_nothing_else(connection: psycopg.Connection, settings: Settings) -> None:
    operator = tenant_key(connection, "default")
    tenant_key(connection, "acme", limited=True)
    with served(create_app(settings)) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:

        def change(content: object) -> httpx.Response:
            return client.patch("/api/admin/tenants/acme", json=content, headers=key_header(operator))

        assert change({"rateLimits": {"events": 500}}).json()["rateLimits"]["events"] == 500
        changed = change({"corsOrigins": ["https://shop.example"], "hotDays": 7}).json()
        assert changed["rateLimits"] == {"events": 500, "analytics": 10, "experiments": 5, "admin": 5}
        assert (changed["corsOrigins"], changed["hotDays"]) == (["https://shop.example"], 7)
        assert change({"rateLimits": {"events": None}, "hotDays": 0}).json()["hotDays"] is None
        for wrong in (
            {"rateLimits": {"event": 5}}, {"rateLimits": {"events": 0}}, {"rateLimits": {"events": -1}},
            {"rateLimits": {"events": "5"}}, {"corsOrigins": ["*"]}, {"corsOrigins": ["https://a/b"]}, {"hotDays": -1},
            {"hotDays": 1.5}, {"name": ""}, {"name": "\u0000"}, {"unknown": 1}, [], "x", {"hotDays": 10**30},
        ):  # fmt: skip
            answer = change(wrong)
            assert answer.status_code == 400, (wrong, answer.text)
            assert answer.json()["error"] == "Bad Request"
        nobody = client.patch("/api/admin/tenants/nobody", json={"hotDays": 1}, headers=key_header(operator))
        assert nobody.status_code == 404


def test_impossible_keys_are_refused_with_the_reason(connection: psycopg.Connection, settings: Settings) -> None:
    operator = tenant_key(connection, "default")
    with served(create_app(settings)) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        for content, status in (
            ({}, 400), ({"scopes": []}, 400), ({"scopes": ["root"]}, 400), ({"scopes": "read"}, 400),
            ({"scopes": ["read"], "tenant": "nobody"}, 404), ({"scopes": ["read"], "expiresInDays": 0}, 400),
            ({"scopes": ["read"], "name": "x" * 201}, 400), ({"scopes": ["read"], "name": "\n"}, 400),
        ):  # fmt: skip
            answer = client.post("/api/admin/keys", json=content, headers=key_header(operator))
            assert answer.status_code == status, (content, answer.text)
            assert answer.json()["message"]
