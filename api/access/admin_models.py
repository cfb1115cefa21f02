"""Shapes of the endpoints that manage tenants and keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.access.tenants import MAX_HOT_DAYS, MAX_NAME_CHARACTERS, MAX_RATE, ORIGIN

ScopeName = Literal["ingest", "read", "manage", "admin"]
NO_CONTROLS = r"^[^\u0000-\u001f\u007f]*$"
Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS, pattern=NO_CONTROLS)]
Rate = Annotated[float, Field(gt=0, le=MAX_RATE)]
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


def _whole(value: object) -> object:
    """Take 7.0 for 7, as JSON does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)


def _strict(**example: Any) -> ConfigDict:  # noqa: ANN401 - any JSON value
    """No conversions and no unknown fields: a misspelt limit must not be no limit."""
    return ConfigDict(strict=True, extra="forbid", json_schema_extra={"examples": [example]})


class TenantCreation(BaseModel):
    """A tenant to be made."""

    model_config = _strict(id="acme", name="Acme")

    id: str = Field(pattern="^[a-z0-9][a-z0-9_-]{0,62}$", description="1 to 63 characters: a-z, 0-9, _ and -.")
    name: Name = Field("", description="For people; empty: its id.")


class RateLimitsChange(BaseModel):
    """Requests per second by endpoint; null goes back to the default."""

    model_config = ConfigDict(strict=True, extra="forbid")

    events: Rate | None = None
    analytics: Rate | None = None
    experiments: Rate | None = None
    admin: Rate | None = None


class TenantTermsChange(BaseModel):
    """What is to change; the rest stays."""

    model_config = _strict(rateLimits={"events": 500})

    name: Annotated[Name, Field(min_length=1)] | None = None
    rateLimits: RateLimitsChange | None = None
    corsOrigins: list[Annotated[str, Field(pattern=f"^({ORIGIN})$")]] | None = Field(
        None, description="Origins whose pages may use the tenant's keys."
    )
    hotDays: Annotated[int, Field(ge=0, le=MAX_HOT_DAYS), WHOLE] | None = Field(
        None, description="Days that Postgres keeps its events; 0: as the installation does."
    )


class KeyCreation(BaseModel):
    """A key to be made."""

    model_config = _strict(scopes=["ingest"], name="shop frontend")

    scopes: list[ScopeName] = Field(min_length=1)
    tenant: str | None = Field(None, description="Whose key; absent: that of the key that asks.")
    name: Name = ""
    expiresInDays: Annotated[int, Field(ge=1, le=36_500), WHOLE] | None = None


class KeyRotation(BaseModel):
    """How a key is replaced."""

    model_config = _strict(graceHours=24)

    graceHours: Annotated[float, Field(ge=0, le=8_760)] = Field(
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
