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


def _example(**fields: Any) -> ConfigDict:  # noqa: ANN401 - any JSON value
    return ConfigDict(json_schema_extra={"examples": [fields]})


class SummaryMetric(BaseModel):
    """One metric with what it refers to."""

    metric_name: str
    value: float
    dimensions: dict[str, Any]


class SummaryResponse(BaseModel):
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
    )

    generated_at: str
    metrics: list[SummaryMetric]


class WindowedResponse(BaseModel):
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
