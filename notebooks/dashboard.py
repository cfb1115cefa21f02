"""What the dashboard shows, asked of the API as the dashboard asks, and compared with what a notebook computed.

The API is that of `./tidemark demo` or `./tidemark up` on this machine: PORT and TIDEMARK_HOME (where its token lies),
or TIDEMARK_URL and DASHBOARD_TOKEN, say otherwise.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from pipeline.settings import Settings

Cells = Mapping[tuple[str, ...], float]
OLDEST_VALID, AHEAD_VALID = timedelta(days=180), timedelta(minutes=5)


class DashboardError(Exception):
    """The API does not answer, or refuses."""


def published(path: str, **parameters: str | int) -> dict[str, Any]:
    """Return the answer of GET /v1/{path}. Raises DashboardError with what to do."""
    settings = Settings()
    address = os.environ.get("TIDEMARK_URL", f"http://127.0.0.1:{settings.port}").rstrip("/")
    file = settings.home / "dashboard_token"
    given = settings.dashboard_token.get_secret_value() if settings.dashboard_token else ""
    token = given or (file.read_text(encoding="utf-8").strip() if file.exists() else "")
    request = Request(f"{address}/v1/{path}?{urlencode(parameters)}", headers={"x-dashboard-token": token})
    try:
        with urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except HTTPError as error:
        raise DashboardError(f"{address} answered {error.code}: {error.read().decode(errors='replace')}") from error
    except URLError as error:
        raise DashboardError(f"nothing answers at {address}; start it with `./tidemark demo`") from error


def lake_version(*answers: Mapping[str, Any]) -> int | None:
    """Return the newest lake version that the numbers of some answers come from; None when there are none."""
    versions = (answer["freshness"]["lake_version"] for answer in answers)
    return max((version for version in versions if version is not None), default=None)


def valid_times(*answers: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Return from when to when events counted in the newest run behind some answers, both included."""
    runs = [run for answer in answers for run in answer["runs"]]
    if not runs:
        raise DashboardError("nothing is published yet; `./tidemark refresh` computes it")
    newest = max(runs, key=lambda run: run["finished_at"])
    as_of = datetime.fromisoformat(published(f"runs/{newest['run_id']}")["as_of"])
    return as_of - OLDEST_VALID, as_of + AHEAD_VALID


def differences(shown: Cells, computed: Cells) -> list[str]:
    """Return a line for each cell that only one side has, or that differs by more than rounding."""
    return [
        f"{' '.join(key)}: the dashboard shows {shown.get(key)}, the lake has {computed.get(key)}"
        for key in sorted(shown.keys() | computed.keys())
        if key not in shown or key not in computed or not math.isclose(shown[key], computed[key], rel_tol=1e-9)
    ]


def daily_cells(answer: Mapping[str, Any]) -> dict[tuple[str, ...], float]:
    """Return {(day, metric_name, dimension_key): value} of GET /v1/metrics/daily."""
    cells: dict[tuple[str, ...], float] = {}
    for day in answer["days"]:
        for name, value in day["metrics"].items():
            if isinstance(value, Mapping):
                cells.update({(day["day"], name, key): number for key, number in value.items()})
            else:
                cells[day["day"], name, "overall"] = value
    return cells


def experiment_cells(answer: Mapping[str, Any]) -> dict[tuple[str, ...], float]:
    """Return {(day, experiment_id, variant_id, metric_name): value} of GET /v1/metrics/experiments.

    `cohort_size` counts as a metric. `users_assigned` is left out: it counts assignments, not events.
    """
    cells: dict[tuple[str, ...], float] = {}
    for experiment in answer["experiments"]:
        for point in experiment["series"]:
            key = (point["day"], experiment["experiment_id"], point["variant_id"])
            cells[*key, "cohort_size"] = point["dimensions"]["cohort_size"]
            if point["metric_name"] != "users_assigned":
                cells[*key, point["metric_name"]] = point["value"]
    return cells


def funnel_cells(answer: Mapping[str, Any]) -> dict[tuple[str, ...], float]:
    """Return {(day, step_name, dimension_key, users or events): count} of GET /v1/metrics/funnels, for one funnel."""
    cells: dict[tuple[str, ...], float] = {}
    for row in answer["rows"]:
        variant = f"{row['experiment_id']}:{row['variant_id']}" if row["experiment_id"] else "overall"
        cells[row["day"], row["step_name"], variant, "users"] = row["users_count"]
        cells[row["day"], row["step_name"], variant, "events"] = row["events_count"]
    return cells
