"""Two tenants, a key of each and keys that allow less, in front of one running application."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest

from api.app import create_app
from pipeline.access.keys import create_key
from pipeline.access.tenants import create_tenant, update_tenant
from pipeline.settings import Settings
from tests.api.conftest import SettableClock
from tests.api.servers import NO_TLS, served
from tests.waiting import wait_until

PATH = "/api/experiments"
VARIANTS = [{"key": "A", "weight": 0.5, "isControl": True}, {"key": "B", "weight": 0.5}]


@dataclass(frozen=True)
class Platform:
    """A running API; requests are made with the key of `acme` unless another name is given."""

    client: httpx.Client
    keys: dict[str, str]

    def ask(self, method: str, path: str = "", *, who: str = "acme", **options: Any) -> httpx.Response:
        headers = {"x-api-key": self.keys[who], **options.pop("headers", {})}
        return self.client.request(method, f"{PATH}{path}", headers=headers, **options)

    def create(self, who: str = "acme", **fields: Any) -> dict[str, Any]:
        response = self.ask("POST", who=who, json={"name": "Green button", "variants": VARIANTS, **fields})
        assert response.status_code == 201, response.text
        content: dict[str, Any] = response.json()
        return content

    def get(self, path: str = "", **parameters: Any) -> Any:
        response = self.ask("GET", path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()

    def patch(self, experiment: dict[str, Any], **fields: Any) -> dict[str, Any]:
        response = self.ask("PATCH", f"/{experiment['id']}", json=fields)
        assert response.status_code == 200, response.text
        content: dict[str, Any] = response.json()
        return content


@pytest.fixture
def platform(connection: psycopg.Connection, settings: Settings, clock: SettableClock) -> Iterator[Platform]:
    keys = {}
    for tenant_id in ("acme", "other"):
        create_tenant(connection, tenant_id)
        update_tenant(connection, tenant_id, rate_limits={"experiments": 100_000})
        keys[tenant_id] = create_key(connection, tenant_id, ["read", "manage", "ingest"]).key
    keys["reader"] = create_key(connection, "acme", ["read"]).key
    keys["sender"] = create_key(connection, "acme", ["ingest"]).key
    with served(create_app(settings, clock)) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        running = Platform(client, keys)
        wait_until(lambda: running.ask("GET").status_code == 200, "the keys are known")
        yield running
