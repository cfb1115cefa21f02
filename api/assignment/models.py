"""Shapes of the assignment endpoint, for its documentation and for tests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.identifiers import GIVEN_ID_PATTERN, ID_PATTERN, MAX_IDENTIFIER_CHARACTERS

Identifier = Annotated[str, Field(max_length=MAX_IDENTIFIER_CHARACTERS, pattern=ID_PATTERN)]


class AssignmentRequest(BaseModel):
    """Who asks; unknown fields are ignored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "anonymous_user_id": "3c5e81b4-0c5e-468e-84a3-406c97d63cfb",
                    "platform": "ios",
                    "app_version": "1.4.0",
                }
            ]
        }
    )

    anonymous_user_id: str = Field(
        min_length=1,
        max_length=MAX_IDENTIFIER_CHARACTERS,
        pattern=GIVEN_ID_PATTERN,
        description="Trimmed; must not be blank.",
    )
    platform: Literal["ios", "android"] | None = None
    app_version: Identifier | None = None
    session_id: Identifier | None = None
    install_id: Identifier | None = None


class AssignedVariant(BaseModel):
    """The user's variant in one experiment."""

    experiment_id: str
    variant_id: str
    variant_name: str


class AssignmentResponse(BaseModel):
    """The user's assignments in order of experiment, and the configuration that follows from them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "anonymous_user_id": "3c5e81b4-0c5e-468e-84a3-406c97d63cfb",
                    "assignment_version": 1,
                    "generated_at": "2026-02-19T08:30:05.731Z",
                    "assignments": [
                        {
                            "experiment_id": "exp_4_achievements_density",
                            "variant_id": "B",
                            "variant_name": "minimal_achievements",
                        }
                    ],
                    "config": {
                        "navigation": {"default_landing_tab": "workouts"},
                        "workouts": {"preload_default_plan": False},
                        "creatures": {"recommended_creature_id": None},
                        "achievements": {"ui_mode": "minimal"},
                    },
                }
            ]
        }
    )

    anonymous_user_id: str
    assignment_version: int
    generated_at: str
    assignments: list[AssignedVariant]
    config: dict[str, Any]
