"""Experiments as the rules of assignment see them: values read from Postgres at one moment, nothing that changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from api.assignment.allocation import EVERYBODY, Allocation
from api.assignment.bucketing import bucketing_order


@dataclass(frozen=True)
class Variant:
    """A variant; `config_override` is any JSON value, of which only objects have an effect."""

    variant_id: str
    variant_name: str
    weight: float
    config_override: Any


@dataclass(frozen=True)
class Experiment:
    """A running experiment; times are aware, None leaves a side open. Variants in bucketing order, perhaps none."""

    experiment_id: str
    start_at: datetime | None
    end_at: datetime | None
    targeting: Any
    variants: tuple[Variant, ...]
    allocation: Allocation = EVERYBODY

    @classmethod
    def of(
        cls,
        experiment_id: str,
        start_at: datetime | None,
        end_at: datetime | None,
        targeting: object,
        variants: Iterable[Variant],
        *,
        allocation: Allocation = EVERYBODY,
    ) -> Experiment:
        """Make an experiment from variants in any order."""
        return cls(experiment_id, start_at, end_at, targeting, tuple(bucketing_order(tuple(variants))), allocation)

    def is_open(self, now: datetime) -> bool:
        """Say whether `now` lies in the experiment's time, both ends included."""
        return (self.start_at is None or self.start_at <= now) and (self.end_at is None or now <= self.end_at)

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where each variant stands in `variants`, by its id."""
        return {variant.variant_id: position for position, variant in enumerate(self.variants)}


@dataclass(frozen=True)
class RunningExperiments:
    """All experiments of a tenant with status RUNNING, in order of id, as of a moment.

    `revision` is None or changes with every change to an experiment or a variant. `answers` keeps what
    `api.assignment.decision` made of these experiments: it goes when they do.
    """

    experiments: tuple[Experiment, ...]
    revision: str | None = None
    answers: dict[tuple[int, ...], Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Ids of the experiments, also of those that have no variant or are not in their time."""
        return tuple(experiment.experiment_id for experiment in self.experiments)
