"""API keys: `<key id>-<secret>`, of which the database holds the id and a SHA-256.

The secret is 256 random bits, so that a plain hash is as good as a slow one. A key is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

import psycopg
from psycopg.rows import class_row

from pipeline.access.tenants import UnknownTenantError
from pipeline.statements import statement

Scope = Literal["ingest", "read", "manage", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
# The key that the demo makes. Everybody knows it: no other installation may have it.
DEMO_KEY = "test-api-key-12345"
KEY_ID_BYTES = 6
SECRET_BYTES = 32
DEFAULT_GRACE = timedelta(hours=24)
MAX_NAME_CHARACTERS = 200
_NAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]*")


class UnknownKeyError(Exception):
    """The tenant has no such key."""


class KeyStateError(Exception):
    """A key that is revoked, expired or already replaced cannot be replaced."""


class KeyValueError(ValueError):
    """A scope, a name or a time that a key cannot have; the message names it."""


@dataclass(frozen=True)
class NewKey:
    """A key just made: the only place where it can be read."""

    key_id: str
    key: str
    tenant: str
    scopes: tuple[Scope, ...]
    name: str
    expires_at: datetime | None


@dataclass(frozen=True)
class StoredKey:
    """What is known of a key; times are aware. `successor` is the key that it was rotated to."""

    key_id: str
    tenant: str
    name: str
    scopes: Sequence[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    successor: str | None


def id_of_key(key: str) -> str:
    """Return the public part of a key, by which it is found: all before the last hyphen."""
    return key.rpartition("-")[0]


def create_key(
    connection: psycopg.Connection,
    tenant_id: str,
    scopes: Collection[str],
    *,
    name: str = "",
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key for a tenant; idempotent it is not. Raises UnknownTenantError, KeyValueError, psycopg.Error."""
    key = f"tm_{secrets.token_hex(KEY_ID_BYTES)}-{secrets.token_hex(SECRET_BYTES)}"
    return _insert(connection, key, tenant_id, scopes, name=name, expires_at=expires_at)


def create_demo_key(connection: psycopg.Connection, tenant_id: str) -> None:
    """Make the demo's key, unless it is there already; it may do everything but manage keys. Raises psycopg.Error."""
    if not has_demo_key(connection):
        with connection.transaction():
            connection.execute(statement("access/remove_key"), {"key_id": id_of_key(DEMO_KEY)})
            _insert(connection, DEMO_KEY, tenant_id, ("ingest", "read", "manage"), name="demo")


def has_demo_key(connection: psycopg.Connection) -> bool:
    """Whether the demo's key would be accepted. Raises psycopg.Error."""
    row = connection.execute(statement("access/find_live_digest"), {"digest": digest(DEMO_KEY)}).fetchone()
    return row is not None


def list_keys(connection: psycopg.Connection, tenant_id: str | None = None) -> list[StoredKey]:
    """Return the keys of a tenant, or of all, the oldest first; revoked ones too. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(StoredKey)) as cursor:
        return cursor.execute(statement("access/list_keys"), {"tenant_id": tenant_id}).fetchall()


def rotate_key(
    connection: psycopg.Connection, key_id: str, *, tenant_id: str | None = None, grace: timedelta = DEFAULT_GRACE
) -> NewKey:
    """Make a key with the tenant, scopes and name of another, which stays valid for `grace` and not a moment longer.

    Raises UnknownKeyError when the tenant (any, if None) has no such key; KeyStateError when it is not valid any more,
    or was rotated before: at most two keys live at a time.
    """
    with connection.transaction(), connection.cursor(row_factory=class_row(StoredKey)) as cursor:
        old = cursor.execute(statement("access/lock_key"), {"key_id": key_id, "tenant_id": tenant_id}).fetchone()
        if old is None:
            raise UnknownKeyError(f"there is no key {key_id}")
        new = create_key(connection, old.tenant, old.scopes, name=old.name, expires_at=old.expires_at)
        replaced = connection.execute(
            statement("access/replace_key"), {"key_id": key_id, "successor": new.key_id, "grace": grace}
        )
        if not replaced.rowcount:
            raise KeyStateError(f"key {key_id} is revoked, expired or rotated already; make a new one")
    return new


def revoke_key(connection: psycopg.Connection, key_id: str, *, tenant_id: str | None = None) -> StoredKey:
    """End a key now; it is refused everywhere within seconds. Idempotent. Raises UnknownKeyError, psycopg.Error."""
    with connection.cursor(row_factory=class_row(StoredKey)) as cursor:
        key = cursor.execute(statement("access/revoke_key"), {"key_id": key_id, "tenant_id": tenant_id}).fetchone()
    if key is None:
        raise UnknownKeyError(f"there is no key {key_id}")
    return key


def digest(key: str) -> bytes:
    """Return what is stored of a key: its SHA-256."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def read_scopes(given: Collection[str]) -> tuple[Scope, ...]:
    """Return scopes in their usual order, each once. Raises KeyValueError for none or an unknown one."""
    unknown = sorted(set(given) - set(SCOPES))
    if unknown or not given:
        problem = f"unknown scope {unknown[0]!r}" if unknown else "no scope is given"
        raise KeyValueError(f"{problem}; scopes are {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in given)


def _insert(
    connection: psycopg.Connection,
    key: str,
    tenant_id: str,
    scopes: Collection[str],
    *,
    name: str,
    expires_at: datetime | None = None,
) -> NewKey:
    if len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name):
        raise KeyValueError(f"a key's name has at most {MAX_NAME_CHARACTERS} characters and no control characters")
    checked = read_scopes(scopes)
    values = {
        "key_id": id_of_key(key),
        "tenant_id": tenant_id,
        "name": name,
        "digest": digest(key),
        "scopes": list(checked),
        "expires_at": expires_at,
    }
    if not connection.execute(statement("access/insert_key"), values).rowcount:
        raise UnknownTenantError(f"there is no tenant {tenant_id}; make it with `tenant create {tenant_id}`")
    return NewKey(id_of_key(key), key, tenant_id, checked, name, expires_at)
