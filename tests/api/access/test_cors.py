"""Pages of other origins: none may call by default; those a tenant admits may, with that tenant's key."""

from __future__ import annotations

import httpx
import psycopg

from api.app import create_app
from pipeline.access.tenants import update_tenant
from pipeline.settings import Settings
from tests.api.servers import NO_TLS, served
from tests.api.tenants import key_header, tenant_key
from tests.makers import NOW

SHOP = "https://shop.example"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
EVENT = {"userId": "u", "eventType": "CLICK"}


def test_only_pages_that_the_keys_own_tenant_admits_may_read_answers(
    connection: psycopg.Connection, settings: Settings
) -> None:
    ann, bob = tenant_key(connection, "ann"), tenant_key(connection, "bob")
    update_tenant(connection, "ann", cors_origins=[SHOP])
    with (
        served(create_app(settings, lambda: NOW)) as url,
        httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client,
    ):

        def allowed(key: str, origin: str) -> str | None:
            answer = client.post("/api/events", json=EVENT, headers={**key_header(key), "origin": origin})
            assert answer.status_code == 201
            assert "origin" in answer.headers["vary"].lower()
            return answer.headers.get("access-control-allow-origin")

        assert allowed(ann, SHOP) == SHOP
        assert allowed(ann, "https://other.example") is None
        assert allowed(bob, SHOP) is None
        refused = client.post("/api/events", json=EVENT, headers={"origin": SHOP})
        assert refused.status_code == 401
        assert "access-control-allow-origin" not in refused.headers


def test_a_browser_is_told_beforehand_what_it_may_send(connection: psycopg.Connection, settings: Settings) -> None:
    tenant_key(connection, "ann")
    update_tenant(connection, "ann", cors_origins=[SHOP])
    with (
        served(create_app(settings, lambda: NOW)) as url,
        httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client,
    ):
        for path in ("/api/events", "/v1/events", "/event", "/api/experiments/1"):
            answer = client.options(path, headers={**PREFLIGHT, "origin": SHOP})
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-origin"] == SHOP
            assert "x-api-key" in answer.headers["access-control-allow-headers"]
            assert "access-control-allow-credentials" not in answer.headers
            other = client.options(path, headers={**PREFLIGHT, "origin": "https://other.example"})
            assert "access-control-allow-origin" not in other.headers


def test_by_default_no_page_may_call(settings: Settings) -> None:
    with (
        served(create_app(settings, lambda: NOW)) as url,
        httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client,
    ):
        answer = client.post("/v1/assignment", json={"anonymous_user_id": "u"}, headers={"origin": SHOP})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers
        assert (
            "access-control-allow-origin"
            not in client.options("/v1/events", headers={**PREFLIGHT, "origin": SHOP}).headers
        )
