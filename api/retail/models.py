"""Shapes of the retail endpoints, for their documentation and for tests; requests are read by `visits` and `stats`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.retail.visits import (
    MAX_EVENT_TYPE_CHARACTERS,
    MAX_PATH_CHARACTERS,
    MAX_SITE_ID_CHARACTERS,
    MAX_USER_ID_CHARACTERS,
)

NO_CONTROLS = r"^[^\u0000-\u001f\u007f]*$"
QUEUED: dict[str, Any] = {"status": "queued", "message": "Event received and queued for processing"}


class VisitRequest(BaseModel):
    """One event of a web shop; unknown fields are ignored. A `page_view` counts as a view of its path."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "site_id": "shop-1",
                    "event_type": "page_view",
                    "path": "/products/42",
                    "user_id": "user-7",
                    "timestamp": "2026-02-19T08:30:00.250Z",
                }
            ]
        }
    )

    site_id: str = Field(min_length=1, max_length=MAX_SITE_ID_CHARACTERS, pattern=NO_CONTROLS)
    event_type: str = Field(min_length=1, max_length=MAX_EVENT_TYPE_CHARACTERS, pattern=NO_CONTROLS)
    path: str = Field(min_length=1, max_length=MAX_PATH_CHARACTERS, pattern=r"^[^\u0000]*$")
    user_id: Annotated[str, Field(max_length=MAX_USER_ID_CHARACTERS, pattern=NO_CONTROLS)] | int | None = Field(
        None, description="An integer is taken as its digits. Absent, null or empty: no user."
    )
    timestamp: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | Literal[""] | None = Field(
        None,
        description="ISO 8601 date or date and time, of the years 1970 to 9999; UTC without an offset. Absent, null or "
        "empty: the time of receipt.",
    )


class QueuedResponse(BaseModel):
    """The event is durable, and reaches the statistics within seconds."""

    model_config = ConfigDict(json_schema_extra={"examples": [QUEUED]})

    status: Literal["queued"]
    message: str


class VisitErrors(BaseModel):
    """Everything that is wrong with the event, or why it cannot be taken now. Nothing of it was kept."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"errors": ["site_id is required", "event_type is required"]}]}
    )

    errors: list[str] = Field(min_length=1)


class PathViews(BaseModel):
    """A path and its `page_view` events."""

    path: str
    views: int


class StatsResponse(BaseModel):
    """Statistics of a site on one UTC day, or over its whole history when `date` is null."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "site_id": "shop-1",
                    "date": None,
                    "total_views": 3,
                    "unique_users": 2,
                    "top_paths": [{"path": "/", "views": 2}, {"path": "/products/42", "views": 1}],
                }
            ]
        }
    )

    site_id: str
    date: str | None
    total_views: int = Field(description="`page_view` events.")
    unique_users: int = Field(description="Distinct users of events of any type.")
    top_paths: list[PathViews] = Field(max_length=10, description="Most `page_view` events first, then by path.")


class StatsError(BaseModel):
    """What is wrong with the query."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"error": "site_id is required"}]})

    error: str
