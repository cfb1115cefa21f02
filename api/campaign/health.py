"""GET /api/health: the campaign protocol's name for `/health`; the one endpoint of it that needs no key."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from api.campaign.models import CampaignHealthResponse

router = APIRouter(tags=["health"])


@router.get("/api/health", summary="Is the process up? (campaign)", response_model=CampaignHealthResponse)
async def campaign_health() -> Response:
    """Answer at once, without asking the database."""
    return JSONResponse({"status": "ok"})
