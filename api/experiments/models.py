"""Shapes of the Experiments API's answers, for their documentation and for tests; requests are in pipeline."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

Status = Literal["DRAFT", "RUNNING", "PAUSED", "ENDED"]

EXAMPLE_VARIANTS: list[dict[str, Any]] = [
    {"key": "A", "name": "As it was", "weight": 0.5, "isControl": True, "config": {}},
    {"key": "B", "name": "Green", "weight": 0.5, "isControl": False, "config": {"button": {"color": "green"}}},
]
EXAMPLE_REQUEST: dict[str, Any] = {
    "name": "Green button",
    "description": "Does a green button sell more?",
    "variants": EXAMPLE_VARIANTS,
    "targeting": {"platform": ["ios"], "min_app_version": "1.4"},
    "startDate": "2026-03-01T00:00:00Z",
    "endDate": None,
    "trafficAllocation": 0.5,
    "layer": {"name": "checkout", "from": 0, "to": 0.5},
}
EXAMPLE: dict[str, Any] = {
    "id": "6f0d6a52-9a54-4f0e-8a43-6d3b1f0f7a11",
    **EXAMPLE_REQUEST,
    "status": "DRAFT",
    "startDate": "2026-03-01T00:00:00.000Z",
    "version": 1,
    "createdAt": "2026-02-19T08:30:05.731Z",
    "updatedAt": "2026-02-19T08:30:05.731Z",
}
EXAMPLE_VERSION: dict[str, Any] = {"version": 1, "since": "2026-02-19T08:30:05.731Z", "variants": EXAMPLE_VARIANTS}


class ExperimentVariant(BaseModel):
    """A variant. One with weight 0 takes no new users: it may be there for those who have it."""

    key: str
    name: str
    weight: float
    isControl: bool
    config: Any


class LayerSlice(BaseModel):
    """The experiment may have users of the layer whose point of it lies in [from, to)."""

    name: str
    start: float = Field(alias="from")
    end: float = Field(alias="to")


class ExperimentResponse(BaseModel):
    """An experiment. Its ETag is that of its present revision."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    name: str
    description: str | None
    status: Status
    variants: list[ExperimentVariant]
    targeting: Any
    startDate: str | None
    endDate: str | None
    trafficAllocation: float
    layer: LayerSlice | None
    version: int = Field(description="Rises when the variants of an experiment change that has left DRAFT.")
    createdAt: str
    updatedAt: str


class ExperimentList(RootModel[list[ExperimentResponse]]):
    """A page of experiments; `Link` leads to the next one, `X-Total-Count` counts all of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [[EXAMPLE]]})


class BulkStatusResult(BaseModel):
    """What became of one experiment; `status` is the one it has now, `message` says why it was refused."""

    id: str
    result: Literal["changed", "unchanged", "refused", "unknown"]
    status: Status | None
    message: str | None


class BulkStatusResponse(BaseModel):
    """What became of each experiment, in the order given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "changed": 1,
                    "results": [
                        {"id": EXAMPLE["id"], "result": "changed", "status": "PAUSED", "message": None},
                        {
                            "id": "c2a4a4a0-5a5e-4f57-9d0c-0d1c6d3e7a42",
                            "result": "refused",
                            "status": "DRAFT",
                            "message": "A DRAFT experiment cannot become PAUSED; it can become RUNNING.",
                        },
                    ],
                }
            ]
        }
    )

    changed: int
    results: list[BulkStatusResult]


class FieldChange(BaseModel):
    """A field before and after a change; before is null when the experiment was created."""

    before: Any
    after: Any


class ExperimentChange(BaseModel):
    """One entry of the log. `by` is a key's id, `manifest` or `dashboard`."""

    id: str
    at: str
    by: str
    revision: int
    version: int
    changes: dict[str, FieldChange]
    note: str | None


class ExperimentChanges(RootModel[list[ExperimentChange]]):
    """A page of an experiment's log, the latest change first; `Link` leads to earlier ones."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                [
                    {
                        "id": "0b0f8f0e-4a8e-4a52-8c3c-0f6f3b0c9d11",
                        "at": "2026-02-20T09:00:00.000Z",
                        "by": "k7ds0q2m",
                        "revision": 2,
                        "version": 1,
                        "changes": {"status": {"before": "DRAFT", "after": "RUNNING"}},
                        "note": None,
                    }
                ]
            ]
        }
    )


class ExperimentVersion(BaseModel):
    """The variants of an experiment from a moment on."""

    version: int
    since: str
    variants: list[ExperimentVariant]


class ExperimentVersions(RootModel[list[ExperimentVersion]]):
    """All versions of an experiment, the first one first."""

    model_config = ConfigDict(json_schema_extra={"examples": [[EXAMPLE_VERSION]]})
