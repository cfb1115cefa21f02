"""Which experiment's variants a page compares: `?by=EXPERIMENT`, one of the tenant's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection
from starlette.requests import Request

from api.dashboard.charts.time_series import variant_colors
from api.errors import InvalidRequestError
from api.json_text import text_problem
from pipeline.statements import statement


@dataclass(frozen=True)
class Experiment:
    """An experiment that can be chosen: its id, its status, and its variants' names by id."""

    experiment_id: str
    status: str
    variants: Mapping[str, str]
    control: str | None

    @property
    def colors(self) -> dict[str, int]:
        """The number of a color for each of its variants."""
        return variant_colors([(variant_id, variant_id == self.control) for variant_id in self.variants])

    def ordered(self) -> list[str]:
        """Return the ids of its variants, the control first."""
        return sorted(self.variants, key=lambda variant_id: (variant_id != self.control, variant_id))


async def read_choices(connection: AsyncConnection, tenant_id: str) -> Sequence[Experiment]:
    """Return the tenant's experiments with their variants: running ones first, then by id."""
    cursor = await connection.execute(statement("api/experiments"), {"tenant_id": tenant_id, "experiment_id": None})
    found = [
        Experiment(
            experiment_id,
            status,
            {variant["variant_id"]: variant["variant_name"] for variant in variants},
            next((variant["variant_id"] for variant in variants if variant["is_control"]), None),
        )
        for experiment_id, status, _, _, _, variants in await cursor.fetchall()
    ]
    return sorted(found, key=lambda experiment: (experiment.status != "RUNNING", experiment.experiment_id))


def chosen_name(request: Request, parameter: str) -> str | None:
    """Return a name that the query chooses, None for none. Raises InvalidRequestError for an impossible one."""
    name = request.query_params.get(parameter) or None
    if name is not None and (text_problem(name) or len(name) > 512):
        raise InvalidRequestError(f"Query parameter '{parameter}' must be a name.")
    return name
