"""Shape of the analytics summary, for its documentation and for tests; requests are read by `summary`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

SHARE = "Three decimals, halves rounded up; 0 without users."


class VariantSummary(BaseModel):
    """What the events of one variant add up to. A user of two variants counts in both."""

    events: int
    users: int = Field(description="Distinct users of events of any type.")
    conversions: int = Field(description="`CONVERSION` events.")
    conversionRate: float = Field(
        ge=0, description=f"conversions / users; above 1 where users convert repeatedly. {SHARE}"
    )
    convertedUsers: int = Field(description="Distinct users with at least one `CONVERSION` event in the range.")
    convertedShare: float = Field(ge=0, le=1, description=f"convertedUsers / users. {SHARE}")


class AnalyticsSummaryResponse(BaseModel):
    """Exact counts over a range of UTC days, as of the moment of the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "totalEvents": 1200,
                    "uniqueUsers": 428,
                    "convertedUsers": 91,
                    "convertedShare": 0.213,
                    "variants": {
                        "A": {
                            "events": 580,
                            "users": 215,
                            "conversions": 45,
                            "conversionRate": 0.209,
                            "convertedUsers": 41,
                            "convertedShare": 0.191,
                        },
                        "B": {
                            "events": 604,
                            "users": 210,
                            "conversions": 56,
                            "conversionRate": 0.267,
                            "convertedUsers": 51,
                            "convertedShare": 0.243,
                        },
                    },
                }
            ]
        }
    )

    totalEvents: int
    uniqueUsers: int = Field(description="Distinct users over the whole range, not a sum of days.")
    convertedUsers: int = Field(description="Distinct users with at least one `CONVERSION` event in the range.")
    convertedShare: float = Field(ge=0, le=1, description=f"convertedUsers / uniqueUsers. {SHARE}")
    variants: dict[str, VariantSummary] = Field(
        description="By the variant that events name; events without one count in the totals alone."
    )
