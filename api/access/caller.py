"""Who a request comes from, and what that allows."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.access.keys import Scope


@dataclass(frozen=True)
class Caller:
    """The tenant that a request acts for. `key_id` is None where no key was given."""

    tenant_id: str
    scopes: frozenset[Scope] = frozenset()
    key_id: str | None = None
