"""Tenants and API keys over HTTP, for keys with the scope `admin`: those of their own tenant, or of all.

An admin key of tenant `default` acts for the operator: it makes tenants, sets their terms and manages everybody's keys.
Any other manages the keys of its own tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from api.access.admin_models import (
    AdminKey,
    AdminKeys,
    AdminTenant,
    AdminTenants,
    KeyCreation,
    KeyRotation,
    NewAdminKey,
    TenantCreation,
    TenantTermsChange,
)
from api.access.caller import Caller
from api.access.guard import caller_of, documented_key
from api.answers import JsonAnswer
from api.bodies import read_body, read_json
from api.campaign.route import CampaignError, CampaignRoute, campaign_failures
from api.errors import ForbiddenError
from api.identifiers import DEFAULT_TENANT
from api.json_text import encode_json, value_problem
from api.openapi import json_body, path_parameters
from api.state import services
from pipeline.access import keys, tenants
from pipeline.clock import iso_millis
from pipeline.database import Connection

MAX_ADMIN_BODY_BYTES = 64 * 2**10

router = APIRouter(
    prefix="/api/admin",
    tags=["administration"],
    route_class=CampaignRoute,
    dependencies=[documented_key],
    responses=campaign_failures(400, 404, 409),
)
Model = TypeVar("Model", bound=BaseModel)
Result = TypeVar("Result")


@router.get("/tenants", summary="Tenants", response_model=AdminTenants)
async def list_tenants(request: Request) -> Response:
    """Return all tenants and their terms."""
    _operator(request)
    found = await services(request).owner.run(tenants.list_tenants)
    return _answer({"tenants": [_tenant(tenant) for tenant in found]})


@router.post(
    "/tenants",
    summary="Make a tenant",
    status_code=201,
    response_model=AdminTenant,
    openapi_extra=json_body(TenantCreation),
)
async def create_tenant(request: Request) -> Response:
    """Make a tenant; it gets keys next."""
    _operator(request)
    wanted = await _read(request, TenantCreation)
    return _answer(_tenant(await _run(request, lambda at: tenants.create_tenant(at, wanted.id, wanted.name))), 201)


@router.patch(
    "/tenants/{tenant_id}",
    summary="Change a tenant's terms",
    response_model=AdminTenant,
    openapi_extra=json_body(TenantTermsChange) | path_parameters(tenant_id="The tenant."),
)
async def update_tenant(request: Request) -> Response:
    """Change what is given; every API process follows within two seconds."""
    _operator(request)
    tenant_id = request.path_params["tenant_id"]
    wanted = await _read(request, TenantTermsChange)

    def change(connection: Connection) -> tenants.Tenant:
        return tenants.update_tenant(
            connection,
            tenant_id,
            name=wanted.name,
            rate_limits=None if wanted.rateLimits is None else wanted.rateLimits.model_dump(exclude_unset=True),
            cors_origins=wanted.corsOrigins,
            hot_days=wanted.hotDays,
        )

    return _answer(_tenant(await _run(request, change)))


@router.get("/keys", summary="API keys", response_model=AdminKeys)
async def list_keys(request: Request) -> Response:
    """Return the tenant's keys, for the operator everybody's; never what would let anybody use them."""
    caller = caller_of(request, "admin")
    found = await services(request).owner.run(lambda at: keys.list_keys(at, _own_tenant(caller)))
    return _answer({"keys": [_key(key) for key in found]})


@router.post(
    "/keys",
    summary="Make an API key",
    status_code=201,
    response_model=NewAdminKey,
    openapi_extra=json_body(KeyCreation),
)
async def create_key(request: Request) -> Response:
    """Make a key and return it: the only time that it can be read."""
    caller = caller_of(request, "admin")
    wanted = await _read(request, KeyCreation)
    tenant = wanted.tenant or caller.tenant_id
    if _own_tenant(caller) not in (None, tenant):
        raise ForbiddenError("Keys of another tenant are made by the operator.")

    def create(connection: Connection) -> keys.NewKey:
        days = wanted.expiresInDays
        expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
        return keys.create_key(connection, tenant, wanted.scopes, name=wanted.name, expires_at=expires_at)

    return _answer(_new_key(await _run(request, create)), 201)


@router.post(
    "/keys/{key_id}/rotate",
    summary="Replace an API key",
    status_code=201,
    response_model=NewAdminKey,
    openapi_extra=json_body(KeyRotation, required=False) | path_parameters(key_id="The key's public id."),
)
async def rotate_key(request: Request) -> Response:
    """Make a key in the place of another; for a time of grace both are valid."""
    caller = caller_of(request, "admin")
    key_id = request.path_params["key_id"]
    wanted = await _read(request, KeyRotation, b"{}")
    grace = timedelta(hours=wanted.graceHours)
    rotated = await _run(request, lambda at: keys.rotate_key(at, key_id, tenant_id=_own_tenant(caller), grace=grace))
    return _answer(_new_key(rotated), 201)


@router.delete(
    "/keys/{key_id}",
    summary="Revoke an API key",
    response_model=AdminKey,
    openapi_extra=path_parameters(key_id="The key's public id."),
)
async def revoke_key(request: Request) -> Response:
    """End a key; every API process refuses it within five seconds."""
    caller = caller_of(request, "admin")
    key_id = request.path_params["key_id"]
    return _answer(_key(await _run(request, lambda at: keys.revoke_key(at, key_id, tenant_id=_own_tenant(caller)))))


def _operator(request: Request) -> None:
    if caller_of(request, "admin").tenant_id != DEFAULT_TENANT:
        raise ForbiddenError("Tenants are managed with an admin key of tenant 'default'.")


def _own_tenant(caller: Caller) -> str | None:
    """Return the tenant whose keys a caller manages, None for all."""
    return None if caller.tenant_id == DEFAULT_TENANT else caller.tenant_id


async def _run(request: Request, work: Callable[[Connection], Result]) -> Result:
    try:
        return await services(request).owner.run(work)
    except (keys.UnknownKeyError, tenants.UnknownTenantError) as error:
        raise CampaignError(404, str(error)) from error
    except (keys.KeyStateError, tenants.TenantExistsError) as error:
        raise CampaignError(409, str(error)) from error
    except (keys.KeyValueError, tenants.TenantValueError) as error:
        raise CampaignError(400, [str(error)]) from error


async def _read(request: Request, model: type[Model], absent: bytes = b"") -> Model:
    """Read a body, `absent` in the place of none. Raises CampaignError, one message per wrong field."""
    body = await read_body(request, MAX_ADMIN_BODY_BYTES)
    document = read_json(body or absent)
    if not isinstance(document, dict):
        raise CampaignError(400, ["the body must be an object"])
    problem = value_problem(document, "the body")
    if problem:
        raise CampaignError(400, [problem])
    try:
        return model.model_validate_json(encode_json(document))
    except ValidationError as error:
        _refuse(error)


def _refuse(error: ValidationError) -> NoReturn:
    messages = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
    raise CampaignError(400, messages) from error


def _tenant(tenant: tenants.Tenant) -> Mapping[str, Any]:
    return {
        "id": tenant.tenant_id,
        "name": tenant.name,
        "createdAt": iso_millis(tenant.created_at),
        "rateLimits": {**tenants.RATE_LIMITS, **tenant.rate_limits},
        "corsOrigins": tenant.cors_origins,
        "hotDays": tenant.hot_days,
    }


def _new_key(key: keys.NewKey) -> Mapping[str, Any]:
    return {
        "keyId": key.key_id,
        "key": key.key,
        "tenant": key.tenant,
        "scopes": key.scopes,
        "name": key.name,
        "expiresAt": key.expires_at and iso_millis(key.expires_at),
    }


def _key(key: keys.StoredKey) -> Mapping[str, Any]:
    return {
        "keyId": key.key_id,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": key.scopes,
        "createdAt": iso_millis(key.created_at),
        "expiresAt": key.expires_at and iso_millis(key.expires_at),
        "revokedAt": key.revoked_at and iso_millis(key.revoked_at),
        "successor": key.successor,
    }


def _answer(content: Mapping[str, Any], status: int = 200) -> Response:
    return JsonAnswer(msgspec.json.encode(content), status)
