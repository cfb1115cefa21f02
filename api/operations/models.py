"""Shapes of the readiness endpoint, for its documentation and for tests."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SpoolState(BaseModel):
    """The spool of the process that answers."""

    usable: bool = Field(description="Whether events could be kept there now.")
    deliveries: int = Field(description="Requests kept there that Postgres does not have yet.")
    bytes: int


class ReadyResponse(BaseModel):
    """Events can be made durable: in Postgres, in the spool, or in both."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "ready": True,
                    "database": True,
                    "spool": {"usable": True, "deliveries": 0, "bytes": 0},
                    "reasons": [],
                }
            ]
        }
    )

    ready: Literal[True]
    database: bool = Field(description="Whether Postgres answers within a second.")
    spool: SpoolState
    reasons: list[str] = Field(description="What is wrong with the way that cannot be used.")
