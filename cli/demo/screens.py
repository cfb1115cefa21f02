"""What people do in one session of the app: onboarding, workouts, the diary, the skill tree.

Yields actions in the order they happen; the caller decides who, when, and whether the network carries them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cli.demo import truth

# Chance of each activity in a session, before a variant's effect on depth.
WORKOUT = 0.46
DIARY = 0.5
SKILL_TREE = 0.36
COMPLETES_WORKOUT = 0.86
SUBMITS_DIARY = 0.7
MAKES_OWN_WORKOUT = 0.05
ACHIEVEMENT_AFTER_WORKOUT = 0.12
ACHIEVEMENT_AFTER_DIARY = 0.28

STRENGTHS = ("beginner", "intermediate", "advanced")
WORKOUTS = ("full_body", "push_day", "pull_day", "leg_day", "core_express", "mobility_flow")
EXERCISES = ("squat", "bench_press", "deadlift", "row", "pull_up", "lunge", "plank", "overhead_press", "hip_thrust")
TREES = ("strength", "endurance", "mobility")
ACHIEVEMENTS = ("first_steps", "three_in_a_row", "early_bird", "heavy_lifter", "explorer", "consistent_week")
TABS = ("workouts", "creatures", "skilltree", "diary", "profile")


@dataclass(frozen=True)
class Action:
    """One event on the phone, `pause` seconds after the one before it."""

    event_name: str
    pause: float
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Mood:
    """What decides a session: is it the first, will a diary be submitted (None: by chance), and the variants."""

    first: bool
    submits: bool | None
    variants: Mapping[str, str]

    @property
    def depth(self) -> float:
        """Factor on the chance of each activity."""
        return 1 + sum(truth.DEPTH_EFFECT.get(pair, 0.0) for pair in self.variants.items())

    @property
    def landing_tab(self) -> str:
        """The tab the app opens with."""
        return next((truth.LANDING_TAB[pair] for pair in self.variants.items() if pair in truth.LANDING_TAB), TABS[0])


def session(chance: random.Random, mood: Mood) -> Iterator[Action]:
    """Yield the actions of one session; a diary is submitted as `mood.submits` says."""
    yield Action("app_opened", 0.0, {"start": "cold" if mood.first else chance.choice(("cold", "warm", "push"))})
    if mood.first:
        yield from _onboarding(chance)
    yield Action("tab_opened", _tap(chance), {"tab": mood.landing_tab, "source": "landing"})
    if mood.landing_tab == "workouts":
        yield from _preloaded_plan(chance, mood)
    if chance.random() < WORKOUT * mood.depth:
        yield from _workout(chance)
    if mood.submits or (chance.random() < DIARY * mood.depth):
        submits = chance.random() < SUBMITS_DIARY if mood.submits is None else mood.submits
        yield from _diary(chance, submits)
    if chance.random() < SKILL_TREE * mood.depth:
        yield from _skill_tree(chance)
    if chance.random() < 0.2 * mood.depth:
        yield Action("tab_opened", _tap(chance), {"tab": chance.choice(TABS), "source": "tab_bar"})


def _onboarding(chance: random.Random) -> Iterator[Action]:
    yield Action("onboarding_started", _tap(chance), {"flow": "v2"})
    if chance.random() < 0.82:
        strength = chance.choices(STRENGTHS, (5, 4, 1))[0]
        yield Action("onboarding_strength_selected", _tap(chance), {"strength": strength})
    else:
        yield Action("onboarding_skipped", _tap(chance), {"step": chance.choice(("welcome", "strength"))})
    if chance.random() < 0.93:
        yield Action("onboarding_completed", _tap(chance), {"steps": chance.randint(2, 4)})


def _preloaded_plan(chance: random.Random, mood: Mood) -> Iterator[Action]:
    plans = [truth.PRELOADED_PLAN[pair] for pair in mood.variants.items() if pair in truth.PRELOADED_PLAN]
    if plans:
        yield Action("workouts_default_loaded", chance.uniform(0.2, 1.5), {"plan_id": plans[0]})


def _workout(chance: random.Random) -> Iterator[Action]:
    workout_id = chance.choice(WORKOUTS)
    if chance.random() < MAKES_OWN_WORKOUT:
        workout_id = f"custom_{chance.randrange(10_000)}"
        yield Action("workout_custom_created", _tap(chance), {"workout_id": workout_id})
        yield Action("workout_saved", _tap(chance) * 4, {"workout_id": workout_id, "exercises": chance.randint(3, 8)})
    yield Action("workout_started", _tap(chance), {"workout_id": workout_id})
    exercises = chance.sample(EXERCISES, chance.randint(3, 8))
    for order, exercise in enumerate(exercises, start=1):
        sets, kilograms = chance.randint(2, 5), round(chance.uniform(5, 90) * 2) / 2
        yield Action(
            "exercise_logged",
            chance.uniform(50, 240),
            {
                "workout_id": workout_id,
                "exercise": exercise,
                "order": order,
                "sets": sets,
                "reps": chance.randint(5, 15),
                "weight_kg": kilograms,
            },
        )
    if chance.random() < COMPLETES_WORKOUT:
        yield Action("workout_completed", _tap(chance), {"workout_id": workout_id, "exercises": len(exercises)})
        yield from _achievement(chance, ACHIEVEMENT_AFTER_WORKOUT)


def _diary(chance: random.Random, submits: bool) -> Iterator[Action]:
    yield Action("tab_opened", _tap(chance), {"tab": "diary", "source": "tab_bar"})
    yield Action("logging_opened", _tap(chance), {"source": chance.choice(("tab", "reminder", "workout_summary"))})
    entries = chance.randint(1, 3)
    for entry in range(1, entries + 1):
        kind = chance.choice(("strength", "cardio", "mood", "sleep"))
        yield Action("log_entry_started", _tap(chance), {"entry": entry, "kind": kind})
        yield Action("log_entry_committed", chance.uniform(6, 40), {"entry": entry, "kind": kind})
    if submits:
        yield Action("session_submitted", _tap(chance), {"entries": entries, "minutes": chance.randint(10, 80)})
        yield from _achievement(chance, ACHIEVEMENT_AFTER_DIARY)


def _skill_tree(chance: random.Random) -> Iterator[Action]:
    tree = chance.choice(TREES)
    yield Action("skilltree_opened", _tap(chance), {"tree": tree})
    for _ in range(chance.randint(1, 3)):
        node = f"{tree}_{chance.randint(1, 24):02d}"
        yield Action("node_opened", _tap(chance), {"tree": tree, "node_id": node})
        if chance.random() < 0.35:
            yield Action("node_completed", _tap(chance), {"tree": tree, "node_id": node})


def _achievement(chance: random.Random, rate: float) -> Iterator[Action]:
    if chance.random() < rate:
        achievement = chance.choice(ACHIEVEMENTS)
        yield Action("achievement_unlocked", 0.5, {"achievement_id": achievement, "points": chance.choice((5, 10, 25))})


def _tap(chance: random.Random) -> float:
    return min(chance.lognormvariate(1.6, 0.7), 60.0)
