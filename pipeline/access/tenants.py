"""Tenants: teams that share an installation and see nothing of each other."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from pipeline.statements import statement

# Requests per second that a tenant may send to each group of endpoints, unless its own limits say otherwise.
RATE_LIMITS: Mapping[str, float] = {"events": 100, "analytics": 10, "experiments": 5, "admin": 5}
MAX_RATE = 1_000_000
MAX_HOT_DAYS = 3650
MAX_NAME_CHARACTERS = 200
_TENANT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")
ORIGIN = r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?"


class UnknownTenantError(Exception):
    """There is no such tenant."""


class TenantExistsError(Exception):
    """The tenant is there already."""


class TenantValueError(ValueError):
    """An id, a name or a term that a tenant cannot have; the message names it."""


@dataclass(frozen=True)
class Tenant:
    """A tenant and its terms. `rate_limits` are requests per second by endpoint, where they differ from RATE_LIMITS.

    `hot_days` is how long Postgres keeps its events, None for TIDEMARK_HOT_DAYS; `cors_origins` whose web pages may
    call the API with its keys, none at first.
    """

    tenant_id: str
    name: str
    created_at: datetime
    rate_limits: Mapping[str, float]
    cors_origins: Sequence[str]
    hot_days: int | None


def create_tenant(connection: psycopg.Connection, tenant_id: str, name: str = "") -> Tenant:
    """Make a tenant; without a name, its id is its name. Raises TenantValueError, TenantExistsError, psycopg.Error."""
    if not _TENANT_ID.fullmatch(tenant_id):
        raise TenantValueError(
            "a tenant's id has 1 to 63 characters: a-z, 0-9, _ and -, the first of them a letter or a digit"
        )
    created = _one(connection, "access/insert_tenant", {"tenant_id": tenant_id, "name": _name(name or tenant_id)})
    if created is None:
        raise TenantExistsError(f"there is a tenant {tenant_id} already")
    return created


def update_tenant(
    connection: psycopg.Connection,
    tenant_id: str,
    *,
    name: str | None = None,
    rate_limits: Mapping[str, float | None] | None = None,
    cors_origins: Collection[str] | None = None,
    hot_days: int | None = None,
) -> Tenant:
    """Change what is given, and leave the rest; a limit of None goes back to the default.

    Raises UnknownTenantError, TenantValueError, psycopg.Error.
    """
    if hot_days is not None and not 0 <= hot_days <= MAX_HOT_DAYS:
        raise TenantValueError(f"hot days are 1 to {MAX_HOT_DAYS}, or 0 for the installation's")
    values = {
        "tenant_id": tenant_id,
        "name": None if name is None else _name(name),
        "limits": Jsonb({endpoint: _limit(endpoint, limit) for endpoint, limit in (rate_limits or {}).items()}),
        "cors_origins": None if cors_origins is None else sorted({_origin(origin) for origin in cors_origins}),
        "hot_days": hot_days,
    }
    updated = _one(connection, "access/update_tenant", values)
    if updated is None:
        raise UnknownTenantError(f"there is no tenant {tenant_id}; make it with `tenant create {tenant_id}`")
    return updated


def list_tenants(connection: psycopg.Connection) -> list[Tenant]:
    """Return all tenants by id. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(Tenant)) as cursor:
        return cursor.execute(statement("access/list_tenants")).fetchall()


def _one(connection: psycopg.Connection, name: str, values: Mapping[str, object]) -> Tenant | None:
    with connection.cursor(row_factory=class_row(Tenant)) as cursor:
        return cursor.execute(statement(name), values).fetchone()


def _name(name: str) -> str:
    if len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name):
        raise TenantValueError(f"a tenant's name has 1 to {MAX_NAME_CHARACTERS} characters and no control characters")
    return name


def _limit(endpoint: str, limit: float | None) -> float | None:
    if endpoint not in RATE_LIMITS:
        raise TenantValueError(f"there is no limit for {endpoint!r}; limits are {', '.join(RATE_LIMITS)}")
    if limit is not None and not (math.isfinite(limit) and 0 < limit <= MAX_RATE):
        raise TenantValueError(f"the limit for {endpoint} is more than 0 and at most {MAX_RATE} requests per second")
    return limit


def _origin(origin: str) -> str:
    if not re.fullmatch(ORIGIN, origin):
        raise TenantValueError(f"{origin!r} is no origin; it must look like https://shop.example, without a path")
    return origin
