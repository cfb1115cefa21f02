"""What a user gets, from what is stored for them and the running experiments: the contract's rules, without a database.

Everybody with the same variants gets the same answer: it is put together and encoded once per set of experiments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from api.assignment.bucketing import choose_variant
from api.assignment.config import merged_config
from api.assignment.experiments import RunningExperiments, Variant
from api.assignment.targeting import matches

# Distinct answers kept per set of experiments; combinations beyond are encoded again when they come.
MAX_ANSWERS = 4_096
NOT_ASSIGNED = -1


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks: a trimmed id, and what the app said of itself."""

    anonymous_user_id: str
    platform: str | None
    app_version: str | None


@dataclass(frozen=True)
class Assignment:
    """The variant of one experiment that a user has."""

    experiment_id: str
    variant: Variant


@dataclass(frozen=True)
class Answer:
    """A user's assignments in order of experiment; `members` are the JSON members "assignments" and "config"."""

    assignments: tuple[Assignment, ...]
    members: bytes


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer, and what must be stored before it is given: variants by experiment.

    `new` has no row yet; `gone` has one whose variant does not exist any more.
    """

    answer: Answer
    new: dict[str, str] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)


def decide(running: RunningExperiments, stored: Mapping[str, str], subject: Subject, now: datetime) -> Decision:
    """Decide for one user, whose `stored` variants are given by experiment.

    A stored variant is kept while its experiment runs and the variant exists, whatever became of weights, targeting and
    traffic allocation. Otherwise the user is bucketed, if the experiment's targeting matches and it enrols the user, or
    had enrolled them before. A layer comes before all of that: outside of an experiment's slice nobody is in it, also
    with a row (of an import, say), so that the experiments of a layer share no user whatever is stored.
    """
    new: dict[str, str] = {}
    gone: dict[str, str] = {}
    positions: list[int] = []
    user = subject.anonymous_user_id
    for experiment in running.experiments:
        if not experiment.variants or not experiment.is_open(now) or not experiment.allocation.reaches(user):
            positions.append(NOT_ASSIGNED)
            continue
        stored_id = stored.get(experiment.experiment_id)
        position = None if stored_id is None else experiment.positions.get(stored_id)
        if position is None:
            is_enrolled = stored_id is not None or experiment.allocation.enrols(user)
            if not is_enrolled or not matches(experiment.targeting, subject.platform, subject.app_version):
                positions.append(NOT_ASSIGNED)
                continue
            variant = choose_variant(user, experiment.experiment_id, experiment.variants, ordered=True)
            (new if stored_id is None else gone)[experiment.experiment_id] = variant.variant_id
            position = experiment.positions[variant.variant_id]
        positions.append(position)
    return Decision(_answer(running, tuple(positions)), new, gone)


def _answer(running: RunningExperiments, positions: tuple[int, ...]) -> Answer:
    answer: Answer | None = running.answers.get(positions)
    if answer is None:
        if len(running.answers) >= MAX_ANSWERS:
            running.answers.clear()
        answer = running.answers[positions] = _encode(
            tuple(
                Assignment(experiment.experiment_id, experiment.variants[position])
                for experiment, position in zip(running.experiments, positions, strict=True)
                if position != NOT_ASSIGNED
            )
        )
    return answer


def _encode(assignments: tuple[Assignment, ...]) -> Answer:
    content = {
        "assignments": [
            {
                "experiment_id": assignment.experiment_id,
                "variant_id": assignment.variant.variant_id,
                "variant_name": assignment.variant.variant_name,
            }
            for assignment in assignments
        ],
        "config": merged_config(assignment.variant.config_override for assignment in assignments),
    }
    # Not msgspec: a config of the manifest may hold integers beyond 64 bits, which it refuses.
    return Answer(assignments, json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()[1:-1])
