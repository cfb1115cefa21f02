"""The experiments that the simulated people take part in: those of the manifest, bucketed by the API's own rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from api.assignment.bucketing import choose_variant
from api.assignment.targeting import matches
from cli.demo.plan import Plan
from pipeline.clock import day_start
from pipeline.manifest import ManifestExperiment, read_manifest


@dataclass(frozen=True)
class Experiments:
    """Experiments that run during the whole of a plan."""

    running: tuple[ManifestExperiment, ...]

    def assign(self, anonymous_user_id: str, platform: str, app_version: str) -> Mapping[str, str]:
        """Return {experiment_id: variant_id} of a user at the first visit, as POST /v1/assignment would serve it."""
        return {
            experiment.experiment_id: choose_variant(
                anonymous_user_id, experiment.experiment_id, experiment.variants
            ).variant_id
            for experiment in self.running
            if matches(experiment.targeting, platform, app_version)
        }

    @property
    def names(self) -> Mapping[tuple[str, str], str]:
        """variant_name by (experiment_id, variant_id)."""
        return {
            (experiment.experiment_id, variant.variant_id): variant.variant_name
            for experiment in self.running
            for variant in experiment.variants
        }


def read_experiments(manifest: Path, plan: Plan) -> Experiments:
    """Read the manifest's running experiments, without those that start or end within the plan.

    Raises ManifestError when the manifest is not right.
    """
    return Experiments(
        tuple(
            experiment
            for experiment in read_manifest(manifest).experiments
            if experiment.status == "RUNNING"
            and experiment.variants
            and (experiment.start_at is None or experiment.start_at <= day_start(plan.first_day))
            and (experiment.end_at is None or experiment.end_at >= plan.now)
        )
    )
