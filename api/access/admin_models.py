"""Shapes of the endpoints that manage tenants and keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.access.tenants import MAX_HOT_DAYS, MAX_NAME_CHARACTERS

ScopeName = Literal["ingest", "read", "manage", "admin"]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]
EXAMPLE_TENANT: dict[str, Any] = {
    "id": "acme",
    "name": "Acme",
    "createdAt": "2026-02-19T08:30:05.731Z",
    "rateLimits": {"events": 500.0, "analytics": 10.0, "experiments": 5.0, "admin": 5.0},
    "corsOrigins": ["https://shop.example"],
    "hotDays": None,
}
EXAMPLE_KEY: dict[str, Any] = {
    "keyId": "tm_4f0e6d3b1f0f",
    "tenant": "acme",
    "name": "shop frontend",
    "scopes": ["ingest"],
    "createdAt": "2026-02-19T08:30:05.731Z",
    "expiresAt": None,
    "revokedAt": None,
    "successor": None,
}
SECRET = "0f" * 32


def _strict(**example: Any) -> ConfigDict:  # noqa: ANN401 - any JSON value
    """No conversions and no unknown fields: a misspelt limit must not be no limit."""
    return ConfigDict(strict=True, extra="forbid", json_schema_extra={"examples": [example]})


class TenantCreation(BaseModel):
    """A tenant to be made."""

    model_config = _strict(id="acme", name="Acme")

    id: str = Field(description="1 to 63 characters: a-z, 0-9, _ and -.")
    name: Name = Field("", description="For people; empty: its id.")


class TenantTermsChange(BaseModel):
    """What is to change; the rest stays."""

    model_config = _strict(rateLimits={"events": 500})

    name: Name | None = None
    rateLimits: dict[str, float | None] | None = Field(
        None, description="Requests per second by endpoint: events, analytics, experiments, admin. null: the default."
    )
    corsOrigins: list[str] | None = Field(None, description="Origins whose pages may use the tenant's keys.")
    hotDays: Annotated[int, Field(ge=0, le=MAX_HOT_DAYS)] | None = Field(
        None, description="Days that Postgres keeps its events; 0: as the installation does."
    )


class KeyCreation(BaseModel):
    """A key to be made."""

    model_config = _strict(scopes=["ingest"], name="shop frontend")

    scopes: list[ScopeName] = Field(min_length=1)
    tenant: str | None = Field(None, description="Whose key; absent: that of the key that asks.")
    name: Name = ""
    expiresInDays: Annotated[int, Field(ge=1, le=36_500)] | None = None


class KeyRotation(BaseModel):
    """How a key is replaced."""

    model_config = _strict(graceHours=24)

    graceHours: Annotated[float, Field(ge=0, le=8_760, strict=False)] = Field(
        24, description="Hours for which the old key is valid, too."
    )


class AdminTenant(BaseModel):
    """A tenant and its terms."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_TENANT]})

    id: str
    name: str
    createdAt: str
    rateLimits: dict[str, float]
    corsOrigins: list[str]
    hotDays: int | None


class AdminTenants(BaseModel):
    """All tenants, by id."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tenants": [EXAMPLE_TENANT]}]})

    tenants: list[AdminTenant]


class AdminKey(BaseModel):
    """A key, without what would let anybody use it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_KEY]})

    keyId: str
    tenant: str
    name: str
    scopes: list[ScopeName]
    createdAt: str
    expiresAt: str | None
    revokedAt: str | None
    successor: str | None


class AdminKeys(BaseModel):
    """Keys, the oldest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"keys": [EXAMPLE_KEY]}]})

    keys: list[AdminKey]


class NewAdminKey(BaseModel):
    """A key just made; `key` is shown only now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "keyId": "tm_4f0e6d3b1f0f",
                    "key": f"tm_4f0e6d3b1f0f-{SECRET}",
                    "tenant": "acme",
                    "scopes": ["ingest"],
                    "name": "shop frontend",
                    "expiresAt": None,
                }
            ]
        }
    )

    keyId: str
    key: str
    tenant: str
    scopes: list[ScopeName]
    name: str
    expiresAt: str | None
