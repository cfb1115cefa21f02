"""Tenants of tests, and keys that let everything be asked."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

import psycopg

from pipeline.access.keys import SCOPES, create_key
from pipeline.access.tenants import TenantExistsError, create_tenant, update_tenant

UNLIMITED = dict.fromkeys(("events", "analytics", "experiments", "admin"), 100_000.0)


def tenant_key(
    connection: psycopg.Connection, tenant_id: str, scopes: Collection[str] = SCOPES, *, limited: bool = False
) -> str:
    """A new key of a tenant, which is made when it is not there, and may ask as often as it likes unless `limited`.

    Made before the API starts, it is known when that serves; made later, it is known within two seconds.
    """
    with suppress(TenantExistsError):
        create_tenant(connection, tenant_id)
    if not limited:
        update_tenant(connection, tenant_id, rate_limits=UNLIMITED)
    return create_key(connection, tenant_id, scopes).key


def key_header(key: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"x-api-key": key}
