"""Shapes of the metrics endpoints, for their documentation and for tests. Times are ISO 8601 in UTC, to the ms."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_HEADER: dict[str, Any] = {
    "generated_at": "2026-02-19T08:30:05.731Z",
    "window_start": "2026-02-13T00:00:00.000Z",
    "window_end": "2026-02-20T00:00:00.000Z",
    "no_data": False,
}


_TRACE: dict[str, Any] = {
    "runs": [
        {
            "run_id": "0b0f8f0e-4a8e-4a52-8c3c-0f6f3b0c9d11",
            "job_name": "daily_metrics_rollup",
            "lake_version": 412,
            "finished_at": "2026-02-19T08:27:11.204Z",
        }
    ],
    "freshness": {
        "newest_received_at": "2026-02-19T08:26:58.912Z",
        "computed_at": "2026-02-19T08:27:11.204Z",
        "lake_version": 412,
    },
}


def _example(**fields: Any) -> ConfigDict:  # noqa: ANN401 - any JSON value
    return ConfigDict(json_schema_extra={"examples": [fields]})


class RunShown(BaseModel):
    """A run that published some of the rows shown."""

    run_id: str
    job_name: str
    lake_version: int | None
    finished_at: str | None


class Freshness(BaseModel):
    """How fresh an answer is; null without data."""

    newest_received_at: str | None = Field(description="When the newest event included was received.")
    computed_at: str | None = Field(description="When the last of the runs shown ended.")
    lake_version: int | None = Field(description="The newest version of the lake that a run shown has read.")


class TracedResponse(BaseModel):
    """What every answer says about where its numbers come from: `GET /v1/runs/{run_id}` tells the rest of a run."""

    runs: list[RunShown]
    freshness: Freshness


class CatalogueMetric(BaseModel):
    """A metric in words."""

    name: str
    label: str = Field(description="Its name for people.")
    unit: str
    definition: str
    caveats: list[str] = Field(description="What to beware of when reading it.")
    table: str | None = Field(description="Where it is published; null for a figure that is derived when it is shown.")


class CatalogueResponse(BaseModel):
    """Every metric: published ones, then derived ones."""

    model_config = _example(
        metrics=[
            {
                "name": "dau",
                "label": "Daily active users",
                "unit": "users",
                "definition": "distinct users with an event that day",
                "caveats": ["Days are UTC; the current day is not over and its number still grows."],
                "table": "daily_metric_rollups",
            }
        ]
    )

    metrics: list[CatalogueMetric]


class SummaryMetric(BaseModel):
    """One metric with what it refers to."""

    metric_name: str
    value: float
    dimensions: dict[str, Any]


class SummaryResponse(TracedResponse):
    """The latest day at a glance; no metrics without data."""

    model_config = _example(
        generated_at=_HEADER["generated_at"],
        metrics=[
            {
                "metric_name": "logging_rate_24h",
                "value": 0.42,
                "dimensions": {"overall": True, "day": "2026-02-19", "window_days": 7},
            },
            {"metric_name": "dau", "value": 812, "dimensions": {"day": "2026-02-19"}},
        ],
        **_TRACE,
    )

    generated_at: str
    metrics: list[SummaryMetric]


class WindowedResponse(TracedResponse):
    """What answers about a window begin with; `window_end` is the first moment after it."""

    generated_at: str
    window_start: str
    window_end: str
    no_data: bool


class DayMetrics(BaseModel):
    """One UTC day: values by metric name, and `event_volume_by_name` with counts by event name."""

    day: str
    metrics: dict[str, float | dict[str, float]]


class DailyResponse(WindowedResponse):
    """Days that have metrics, ascending."""

    model_config = _example(
        **_HEADER,
        **_TRACE,
        days=[
            {
                "day": "2026-02-19",
                "metrics": {"dau": 812, "new_users": 41, "event_volume_by_name": {"session_submitted": 340}},
            }
        ],
    )

    days: list[DayMetrics]


class VariantSummary(BaseModel):
    """A variant as it is configured."""

    variant_id: str
    variant_name: str
    weight: float
    is_control: bool


class SeriesPoint(BaseModel):
    """One metric of one variant on one UTC day."""

    day: str
    variant_id: str
    metric_name: str
    value: float
    dimensions: dict[str, Any] | None


class ExperimentMetrics(BaseModel):
    """An experiment of any status; `latest_day` is the last day of the window with metrics."""

    experiment_id: str
    status: str
    start_at: str | None
    end_at: str | None
    targeting: Any = Field(description="Null or a non-object matches everyone.")
    variants: list[VariantSummary]
    latest_day: str | None
    latest_metrics_by_variant: dict[str, dict[str, float]]
    series: list[SeriesPoint]


class ExperimentsResponse(WindowedResponse):
    """Experiments in order of experiment_id."""

    model_config = _example(
        **_HEADER,
        **_TRACE,
        experiments=[
            {
                "experiment_id": "exp_4_achievements_density",
                "status": "RUNNING",
                "start_at": None,
                "end_at": None,
                "targeting": None,
                "variants": [{"variant_id": "A", "variant_name": "baseline", "weight": 0.5, "is_control": True}],
                "latest_day": "2026-02-19T00:00:00.000Z",
                "latest_metrics_by_variant": {"A": {"users_assigned": 1204}},
                "series": [
                    {
                        "day": "2026-02-19",
                        "variant_id": "A",
                        "metric_name": "users_assigned",
                        "value": 1204,
                        "dimensions": {"day": "2026-02-19", "cohort_size": 20},
                    }
                ],
            }
        ],
    )

    experiments: list[ExperimentMetrics]


class FunnelRow(BaseModel):
    """One step on one UTC day, overall (experiment and variant null) or of one variant."""

    day: str
    funnel_name: str
    step_name: str
    experiment_id: str | None
    variant_id: str | None
    users_count: int
    events_count: int


class FunnelsResponse(WindowedResponse):
    """Funnel rows by day, funnel, step and variant."""

    model_config = _example(
        **_HEADER,
        **_TRACE,
        rows=[
            {
                "day": "2026-02-19",
                "funnel_name": "core_journey",
                "step_name": "exercise_logged",
                "experiment_id": None,
                "variant_id": None,
                "users_count": 301,
                "events_count": 1520,
            }
        ],
    )

    rows: list[FunnelRow]


class OrderedFunnelRow(BaseModel):
    """One step of those who entered on one UTC day, overall (experiment and variant null) or with one variant."""

    day: str = Field(description="The day of entry.")
    funnel_name: str
    step_number: int = Field(description="1 is the entry.")
    step_name: str
    experiment_id: str | None
    variant_id: str | None
    users_count: int = Field(description="Users who got at least this far, each counted once.")
    median_seconds: float | None = Field(description="Median time since the step before; null for step 1 and nobody.")
    window_seconds: float = Field(description="The time from the entry in which the steps count.")
    complete: bool = Field(description="Whether everybody's window has passed, and what happened in it is included.")


class OrderedFunnelsResponse(WindowedResponse):
    """Ordered funnels by day of entry, funnel, step and variant."""

    model_config = _example(
        **_HEADER,
        **_TRACE,
        rows=[
            {
                "day": "2026-02-17",
                "funnel_name": "core_journey",
                "step_number": 2,
                "step_name": "workout_engaged",
                "experiment_id": None,
                "variant_id": None,
                "users_count": 214,
                "median_seconds": 93.5,
                "window_seconds": 86400,
                "complete": True,
            }
        ],
    )

    rows: list[OrderedFunnelRow]


class RetentionRow(BaseModel):
    """A UTC day's new users so many days later, overall (experiment and variant null) or of one variant."""

    day: str = Field(description="The day on which they were first seen.")
    days_after: int = Field(description="1, 3, 7, 14 or 30.")
    experiment_id: str | None
    variant_id: str | None
    cohort_size: int
    retained_users: int = Field(description="Those of them with an event on the day that is so many days later.")
    rate: float = Field(description="retained_users / cohort_size; 0 without new users.")
    complete: bool = Field(description="Whether that later day is over, and what happened on it is included.")


class RetentionResponse(WindowedResponse):
    """Retention by day of first sight, days after it and variant."""

    model_config = _example(
        **_HEADER,
        **_TRACE,
        rows=[
            {
                "day": "2026-02-17",
                "days_after": 1,
                "experiment_id": None,
                "variant_id": None,
                "cohort_size": 40,
                "retained_users": 13,
                "rate": 0.325,
                "complete": True,
            }
        ],
    )

    rows: list[RetentionRow]
