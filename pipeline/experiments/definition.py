"""What an experiment is: values that people decide on, and what is stored of them. Nothing here changes anything.

Times are aware datetimes; both ends of an experiment's time are included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

from pipeline.clock import iso_millis

Status = Literal["DRAFT", "RUNNING", "PAUSED", "ENDED"]
STATUSES: tuple[Status, ...] = get_args(Status)

Json = dict[str, Any]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Variant:
    """A variant; `weight` is its share of new users relative to the others, `config` a JSON object."""

    key: str
    name: str
    weight: float
    is_control: bool
    config: Any

    def shown(self) -> Json:
        """Return the variant as JSON shows it."""
        return {
            "key": self.key,
            "name": self.name,
            "weight": self.weight,
            "isControl": self.is_control,
            "config": self.config,
        }


@dataclass(frozen=True)
class LayerSlice:
    """Which users of a layer an experiment may have: those whose point of the layer lies in [start, end)."""

    name: str
    start: float
    end: float

    def shown(self) -> Json:
        """Return the slice as JSON shows it."""
        return {"name": self.name, "from": self.start, "to": self.end}

    def __str__(self) -> str:
        return f"[{self.start:g}, {self.end:g}) of layer '{self.name}'"


@dataclass(frozen=True)
class Definition:
    """All that people decide about an experiment. Variants are in their order, which bucketing does not follow."""

    variants: tuple[Variant, ...]
    name: str | None = None
    description: str | None = None
    status: Status = "DRAFT"
    targeting: Any = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    traffic_allocation: float = 1.0
    layer: LayerSlice | None = None
    allocation_version: int = 1

    def with_status(self, status: Status) -> Definition:
        """Return the same experiment in another status."""
        return replace(self, status=status)

    def fields(self) -> Json:
        """Return the definition's fields under their JSON names, as the log and the API show them."""
        return {
            "name": self.name,
            "description": self.description,
            "status": self.status,
            "variants": [variant.shown() for variant in self.variants],
            "targeting": self.targeting,
            "startDate": self.start_at and iso_millis(self.start_at),
            "endDate": self.end_at and iso_millis(self.end_at),
            "trafficAllocation": self.traffic_allocation,
            "layer": self.layer and self.layer.shown(),
            "allocationVersion": self.allocation_version,
        }


@dataclass(frozen=True)
class StoredExperiment:
    """An experiment as it is stored. `revision` rises with every change, `version` with those to its variants."""

    experiment_id: str
    definition: Definition
    version: int
    revision: int
    started_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of_row(cls, row: Row) -> StoredExperiment:
        """Make it from a row of experiments/read or experiments/list."""
        layer = row["layer"] and LayerSlice(row["layer"], row["layer_from"], row["layer_to"])
        definition = Definition(
            variants=tuple(
                Variant(one["key"], one["name"], float(one["weight"]), one["isControl"], one["config"])
                for one in row["variants"]
            ),
            name=row["name"],
            description=row["description"],
            status=row["status"],
            targeting=row["targeting"],
            start_at=row["start_at"],
            end_at=row["end_at"],
            traffic_allocation=row["traffic_allocation"],
            layer=layer,
            allocation_version=row["allocation_version"],
        )
        own = ("experiment_id", "version", "revision", "started_at", "created_at", "updated_at")
        return cls(definition=definition, **{name: row[name] for name in own})

    @property
    def has_started(self) -> bool:
        """Whether it has ever left DRAFT: then it can have users."""
        return self.started_at is not None or self.definition.status != "DRAFT"

    @property
    def etag(self) -> str:
        """The strong entity tag of this revision, with its quotes."""
        return f'"{self.revision}"'

    def shown(self) -> Json:
        """Return the experiment as the API shows it; without a name of its own it shows its id."""
        fields = self.definition.fields()
        del fields["allocationVersion"]
        return {
            "id": self.experiment_id,
            **fields,
            "name": fields["name"] or self.experiment_id,
            "version": self.version,
            "createdAt": iso_millis(self.created_at),
            "updatedAt": iso_millis(self.updated_at),
        }
