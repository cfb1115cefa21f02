"""Shapes of the campaign endpoints for events, for their documentation and for tests; requests are read elsewhere."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.identifiers import GIVEN_ID_PATTERN, MAX_IDENTIFIER_CHARACTERS
from api.ingestion.models import UUID_PATTERN

EXAMPLE_EVENT: dict[str, Any] = {
    "userId": "user-7",
    "eventType": "CONVERSION",
    "properties": {"experimentId": "6f0d6a52-9a54-4f0e-8a43-6d3b1f0f7a11", "variant": "A", "value": 42.5},
    "timestamp": "2026-02-19T08:30:00.250Z",
}


class CampaignHealthResponse(BaseModel):
    """The process is up."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok"]


class CampaignEventRequest(BaseModel):
    """One event; unknown fields are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_EVENT]})

    userId: str = Field(
        min_length=1,
        max_length=MAX_IDENTIFIER_CHARACTERS,
        pattern=GIVEN_ID_PATTERN,
        description="Trimmed; must not be blank.",
    )
    eventType: Literal["PAGE_VIEW", "CLICK", "CONVERSION"]
    properties: dict[str, Any] | None = Field(
        None,
        description="At most 100 levels deep. `experimentId` and `variant`, both texts, say what the user was shown.",
    )
    timestamp: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = Field(
        None,
        description="ISO 8601 date or date and time, from 1970 on; UTC without an offset; at most 5 minutes ahead of "
        "the server. Absent: the time of receipt.",
    )
    eventId: Annotated[str, Field(pattern=UUID_PATTERN)] | None = Field(
        None, description="UUID; sent again, it is stored once. Absent: an event of its own, whatever was sent before."
    )


class CampaignBatchRequest(BaseModel):
    """A batch of events; unknown fields are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"events": [EXAMPLE_EVENT]}]})

    events: list[CampaignEventRequest] = Field(min_length=1, max_length=100)


class CampaignEventResponse(BaseModel):
    """The event is committed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "0198c7a1-51f3-7a6c-9f0e-0c4a7f6d3b11", "status": "accepted"}]}
    )

    id: str
    status: Literal["accepted"]
