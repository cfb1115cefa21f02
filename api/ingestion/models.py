"""Shapes of the event endpoint, for its documentation and for tests; requests are read by `validation`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.identifiers import GIVEN_ID_PATTERN, ID_PATTERN, MAX_IDENTIFIER_CHARACTERS
from api.openapi import Absent

Identifier = Annotated[str, Field(max_length=MAX_IDENTIFIER_CHARACTERS, pattern=ID_PATTERN)]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
UUID_PATTERN = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

EXAMPLE_REQUEST: dict[str, Any] = {
    "anonymous_user_id": "3c5e81b4-0c5e-468e-84a3-406c97d63cfb",
    "session_id": "session-7",
    "platform": "ios",
    "app_version": "1.4.0",
    "sent_at": "2026-02-19T08:30:05Z",
    "events": [
        {
            "event_id": "0d9a41a2-51f3-4a6c-9f0e-0c4a7f6d3b11",
            "event_name": "session_submitted",
            "occurred_at": "2026-02-19T08:30:00.250Z",
            "properties": {"exercises": 5, "minutes": 42.5},
        }
    ],
}


class Event(BaseModel):
    """One event; unknown fields are ignored."""

    event_name: str = Field(min_length=1, max_length=80, pattern="^[A-Za-z0-9_]+$")
    occurred_at: Time = Field(
        description="ISO 8601 date or date and time, from 1970 on; UTC without an offset; at most 5 minutes ahead of "
        "the server.",
    )
    properties: dict[str, Any] = Field(default_factory=dict, description="At most 100 levels deep.")
    context: dict[str, Any] = Field(default_factory=dict, description="At most 100 levels deep.")
    event_id: Annotated[str, Field(pattern=UUID_PATTERN)] | Absent = Field(
        None, description="UUID of any version. Absent: made from the batch, the same for each retry of it."
    )


class EventsRequest(BaseModel):
    """A batch of events of one user; unknown fields are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_REQUEST]})

    anonymous_user_id: str = Field(
        min_length=1,
        max_length=MAX_IDENTIFIER_CHARACTERS,
        pattern=GIVEN_ID_PATTERN,
        description="Trimmed; must not be blank.",
    )
    session_id: Identifier | Absent = None
    install_id: Identifier | Absent = None
    app_version: Identifier | Absent = None
    platform: Literal["ios", "android"] | Absent = None
    sent_at: Time | Absent = Field(None, description="ISO 8601, as occurred_at, but of any time from 1970 to 9999.")
    events: list[Event] = Field(min_length=1, max_length=100)


class AcceptedEvent(BaseModel):
    """The event is stored, now or by an earlier delivery of the same event_id."""

    index: int
    status: Literal["accepted"]
    event_id: str


class RejectedEvent(BaseModel):
    """The event is not stored, and would not be if sent again."""

    index: int
    status: Literal["rejected"]
    error: str


class EventsResponse(BaseModel):
    """What became of each event. Everything accepted here is committed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "ok": True,
                    "received_at": "2026-02-19T08:30:05.731Z",
                    "accepted": 1,
                    "rejected": 1,
                    "results": [
                        {"index": 0, "status": "accepted", "event_id": "0d9a41a2-51f3-4a6c-9f0e-0c4a7f6d3b11"},
                        {"index": 1, "status": "rejected", "error": "event_name is required"},
                    ],
                }
            ]
        }
    )

    ok: Literal[True]
    received_at: str
    accepted: int
    rejected: int
    results: list[AcceptedEvent | RejectedEvent]
