"""GET /health: says that the process serves requests, whatever the state of its database."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response


class HealthResponse(BaseModel):
    """The process is up."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ok": True}]})

    ok: Literal[True]


router = APIRouter(tags=["health"])


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="Is the process up?", response_model=HealthResponse)
async def health() -> Response:
    """Answer at once, without asking the database: a restart of this process would not bring that back."""
    return JSONResponse({"ok": True})
