"""Sessions of the dashboard: a signed cookie and nothing stored, so that every API process knows every session.

A session is signed with a secret made from what it was opened with: the operator's token, or the stored digest of a
tenant's key. A changed token or a revoked key therefore ends its sessions by itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from api.identifiers import DEFAULT_TENANT

if TYPE_CHECKING:
    from datetime import datetime

    from api.access.key_ring import KeyRing

COOKIE = "tidemark_session"
LIFETIME_SECONDS = 12 * 3_600
OPERATOR = "operator"
KEY = "key"
READ = "read"
OPERATOR_SCOPES = frozenset(("read", "manage", "ingest", "admin"))
MAX_COOKIE_CHARACTERS = 1_000
_SALT_CHARACTERS = 16


@dataclass(frozen=True)
class Session:
    """Who is signed in: the operator, who may look at any tenant, or the holder of a tenant's key.

    `expires` is in seconds since 1970; `serial` tells sessions of one secret apart.
    """

    kind: str
    tenant_id: str
    key_id: str | None
    expires: int
    serial: str

    @property
    def is_operator(self) -> bool:
        """Whether this is the operator's session."""
        return self.kind == OPERATOR

    def for_tenant(self, tenant_id: str) -> Session:
        """Return the session, looking at another tenant; it ends when this one does."""
        return replace(self, tenant_id=tenant_id)


class Sessions:
    """Opens sessions, and reads those that were opened. `dashboard_token` None: there is no operator's session."""

    def __init__(self, dashboard_token: str | None, keys: KeyRing) -> None:
        self._token = dashboard_token
        self._keys = keys

    def open(self, secret: str, now: datetime) -> Session | None:
        """Return a session for the operator's token or for a tenant's key that may read; None for anything else."""
        expires = int(now.timestamp()) + LIFETIME_SECONDS
        serial = secrets.token_urlsafe(9)
        offered = secret.strip().encode("utf-8", "replace")
        if self._token and hmac.compare_digest(offered, self._token.encode()):
            return Session(OPERATOR, DEFAULT_TENANT, None, expires, serial)
        caller = self._keys.find(secret.strip())
        if caller is None or caller.key_id is None or READ not in caller.scopes:
            return None
        return Session(KEY, caller.tenant_id, caller.key_id, expires, serial)

    def open_for_operator(self, now: datetime) -> Session | None:
        """Return the operator's session for who came with a one-time link; None without a token to sign it with."""
        return self.open(self._token, now) if self._token else None

    def scopes(self, session: Session) -> frozenset[str]:
        """Return what a session may do at this moment: `read`, `manage` and so on."""
        if session.is_operator:
            return OPERATOR_SCOPES
        live = self._keys.current(session.key_id or "")
        return live.caller.scopes if live is not None else frozenset()

    def cookie(self, session: Session) -> str:
        """Return the cookie's value. Raises LookupError when the key it was opened with is gone."""
        secret = self._secret(session)
        if secret is None:
            raise LookupError(session.key_id)
        content = _encoded(json.dumps(asdict(session), separators=(",", ":")).encode())
        return f"{content}.{_encoded(_signature(secret, content))}"

    def read(self, cookie: str | None, now: datetime) -> Session | None:
        """Return the session of a cookie; None when it is not one of ours, has expired, or its secret is gone."""
        if not cookie or len(cookie) > MAX_COOKIE_CHARACTERS or not cookie.isascii():
            return None
        content, _, signature = cookie.partition(".")
        session = _decoded(content)
        secret = self._secret(session) if session is not None else None
        if session is None or secret is None:
            return None
        if not hmac.compare_digest(_encoded(_signature(secret, content)), signature):
            return None
        if session.expires <= now.timestamp():
            return None
        if not session.is_operator:
            live = self._keys.current(session.key_id or "")
            if live is None or live.caller.tenant_id != session.tenant_id or READ not in live.caller.scopes:
                return None
        return session

    def csrf_token(self, session: Session) -> str:
        """Return a token for the forms of a page. It is another one each time: a compressed page must not tell it."""
        salt = secrets.token_urlsafe(_SALT_CHARACTERS)[:_SALT_CHARACTERS]
        return f"{salt}{self._csrf(session, salt)}"

    def is_csrf_token(self, session: Session, token: str) -> bool:
        """Say whether a token was made for this session."""
        salt, given = token[:_SALT_CHARACTERS], token[_SALT_CHARACTERS:]
        return hmac.compare_digest(self._csrf(session, salt).encode(), given.encode("utf-8", "replace"))

    def _csrf(self, session: Session, salt: str) -> str:
        secret = self._secret(session) or secrets.token_bytes(32)
        return _encoded(_signature(secret, f"csrf {session.serial} {salt}"))

    def _secret(self, session: Session) -> bytes | None:
        """Return what signs a session: the token too, which who reads the digests of keys in the database lacks."""
        token = (self._token or "").encode()
        if session.kind == OPERATOR:
            return hmac.digest(token, b"tidemark dashboard: operator", hashlib.sha256) if token else None
        live = self._keys.current(session.key_id or "") if session.kind == KEY else None
        if live is None:
            return None
        return hmac.digest(token, b"tidemark dashboard: key " + live.digest, hashlib.sha256)


def _signature(secret: bytes, content: str) -> bytes:
    return hmac.digest(secret, content.encode("utf-8", "replace"), hashlib.sha256)


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(content: str) -> Session | None:
    """Read what is not yet trusted."""
    try:
        fields = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
        session = Session(**fields)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        return None
    is_sound = (
        isinstance(session.kind, str)
        and isinstance(session.tenant_id, str)
        and isinstance(session.key_id, str | None)
        and isinstance(session.expires, int)
        and isinstance(session.serial, str)
    )
    return session if is_sound else None
