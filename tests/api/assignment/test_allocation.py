"""Layers and traffic allocation over 100,000 users: nobody in two experiments, shares as set, no link between hashes.

Ids are fixed, in three styles that real clients have, so that each outcome is the same every time.
"""

from __future__ import annotations

import json
import math
import random
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations, pairwise

import pytest

from api.assignment.allocation import Allocation, enrolment_point, layer_point
from api.assignment.bucketing import choose_variant, unit_interval
from api.assignment.decision import Decision, Subject, decide
from api.assignment.experiments import Experiment, RunningExperiments, Variant
from tests.makers import NOW

USERS = 100_000
_chance = random.Random(20)
IDS = {
    "numbers": [str(number) for number in range(USERS)],
    "uuids": [str(uuid.UUID(int=_chance.getrandbits(128), version=4)) for _ in range(USERS)],
    "emails": [f"user.{number}@example.org" for number in range(USERS)],
}
EVERY_STYLE = [IDS["numbers"][number] if number % 3 == 0 else IDS["uuids"][number] if number % 3 == 1 else
               IDS["emails"][number] for number in range(USERS)]  # fmt: skip
HALVES = (Variant("A", "A", 0.5, {}), Variant("B", "B", 0.5, {}))


def experiment(experiment_id: str, allocation: Allocation) -> Experiment:
    return Experiment.of(experiment_id, None, None, None, HALVES, allocation=allocation)


def decided(experiments: Sequence[Experiment], user: str, stored: dict[str, str] | None = None) -> Decision:
    return decide(RunningExperiments(tuple(experiments)), stored or {}, Subject(user, None, None), NOW)


def members(users: Sequence[str], is_member: Callable[[str], bool]) -> int:
    """Those of the users who are members, as the bits of one number: two sets are compared at once."""
    return int("".join("1" if is_member(user) else "0" for user in users), 2)


def chi_square(one: int, other: int, users: int = USERS) -> float:
    """Pearson's statistic of the 2 x 2 table of two sets, one degree of freedom."""
    both, first, second = (one & other).bit_count(), one.bit_count(), other.bit_count()
    observed = (both, first - both, second - both, users - first - second + both)
    shares = (first / users, 1 - first / users), (second / users, 1 - second / users)
    expected = [users * row * column for row in shares[0] for column in shares[1]]
    return sum((seen - wanted) ** 2 / wanted for seen, wanted in zip(observed, expected, strict=True))


def probability(statistic: float) -> float:
    """How likely independent sets have at least this statistic."""
    return math.erfc(math.sqrt(statistic / 2))


def is_within_three_sigma(count: int, share: float, users: int = USERS) -> bool:
    return abs(count - users * share) <= 3 * math.sqrt(users * share * (1 - share))


@pytest.mark.parametrize("style", IDS)
def test_a_layer_gives_each_user_one_experiment_at_most_in_the_shares_of_its_slices(style: str) -> None:
    slices = {"a": (0.0, 0.5), "b": (0.5, 0.6), "c": (0.6, 0.85)}
    experiments = [experiment(name, Allocation(layer="checkout", layer_from=low, layer_to=high))
                   for name, (low, high) in slices.items()]  # fmt: skip
    running = RunningExperiments(tuple(experiments))
    count = dict.fromkeys((*slices, "none"), 0)
    for user in IDS[style]:
        given = decide(running, {}, Subject(user, None, None), NOW).answer.assignments
        assert len(given) <= 1, user
        count[given[0].experiment_id if given else "none"] += 1
    for name, (low, high) in {**slices, "none": (0.85, 1.0)}.items():
        assert is_within_three_sigma(count[name], high - low), (name, count[name])


def test_slices_that_touch_leave_nobody_out_and_take_nobody_twice() -> None:
    """At the very points where one slice ends and the next begins, too."""
    bounds = [0.0, *sorted(layer_point(user, "checkout") for user in IDS["numbers"][:200]), 1.0]
    slices = [
        Allocation(layer="checkout", layer_from=low, layer_to=high) for low, high in pairwise(bounds) if low < high
    ]
    for user in IDS["numbers"][:400]:
        assert sum(allocation.reaches(user) for allocation in slices) == 1


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5, 0.9])
def test_a_share_of_the_users_is_enrolled(share: float) -> None:
    allocation = Allocation(share, "salt")
    enrolled = members(EVERY_STYLE, allocation.enrols)
    assert is_within_three_sigma(enrolled.bit_count(), share), enrolled.bit_count()


def test_a_share_that_grows_takes_nobody_out() -> None:
    users = EVERY_STYLE[:20_000]
    before = 0
    for share in (0.0, 0.001, 0.2, 0.5, 0.999, 1.0):
        enrolled = members(users, Allocation(share, "salt").enrols)
        assert enrolled & before == before
        before = enrolled
    assert before.bit_count() == len(users)
    assert members(users, Allocation(0.0, "salt").enrols) == 0


def test_twenty_experiments_have_nothing_to_do_with_each_other() -> None:
    """190 pairs: with a probability of 5 % in all, one of independent ones would be below 0.05 / 190."""

    def has_b(user: str, name: str) -> bool:
        return choose_variant(user, name, HALVES, ordered=True) is HALVES[1]

    given = [members(EVERY_STYLE, partial(has_b, name=f"exp_{number}")) for number in range(20)]
    assert all(is_within_three_sigma(users.bit_count(), 0.5) for users in given)
    least = min(probability(chi_square(one, other)) for one, other in combinations(given, 2))
    assert least > 0.05 / 190, least


def test_enrolment_layer_and_variant_of_an_experiment_have_nothing_to_do_with_each_other() -> None:
    """Also when a person gave the salt, the layer and the experiment one name."""
    name = "checkout"
    questions = {
        "variant": members(EVERY_STYLE, lambda user: unit_interval(user, name) < 0.5),
        "enrolment": members(EVERY_STYLE, lambda user: enrolment_point(user, name) < 0.2),
        "other salt": members(EVERY_STYLE, lambda user: enrolment_point(user, "search") < 0.2),
        "layer": members(EVERY_STYLE, lambda user: layer_point(user, name) < 0.3),
        "other layer": members(EVERY_STYLE, lambda user: layer_point(user, "search") < 0.3),
    }
    found = {
        (one, other): probability(chi_square(questions[one], questions[other]))
        for one, other in combinations(questions, 2)
    }
    assert min(found.values()) > 0.05 / len(found), found
    # The test itself: with one hash for two questions, as some systems have it, all enrolled users have one variant.
    same_hash = members(EVERY_STYLE, lambda user: unit_interval(user, name) < 0.2)
    assert probability(chi_square(questions["variant"], same_hash)) == 0


def test_without_an_allocation_everybody_is_reached_and_enrolled() -> None:
    everybody = Experiment.of("exp", None, None, None, HALVES)
    for user in EVERY_STYLE[:1_000]:
        (given,) = decided([everybody], user).answer.assignments
        assert given.variant is choose_variant(user, "exp", HALVES)


def test_an_assignment_outlives_a_smaller_share_and_a_deleted_variant() -> None:
    nobody = experiment("exp", Allocation(0.0, "salt"))
    assert decided([nobody], "user").answer.assignments == ()
    assert decided([nobody], "user", {"exp": "B"}).answer.assignments[0].variant.variant_id == "B"
    moved = decided([nobody], "user", {"exp": "gone"})
    assert moved.gone == {"exp": choose_variant("user", "exp", HALVES).variant_id}, "enrolled users stay enrolled"


def test_a_row_outside_of_the_slice_does_not_put_a_user_into_a_second_experiment() -> None:
    """As an import might bring it: what is stored cannot break a layer."""
    experiments = [
        experiment("a", Allocation(layer="checkout", layer_from=0.0, layer_to=0.5)),
        experiment("b", Allocation(layer="checkout", layer_from=0.5, layer_to=1.0)),
    ]
    for user in EVERY_STYLE[:1_000]:
        for stored in ({"a": "A", "b": "A"}, {"a": "gone", "b": "gone"}, {"a": "A"}, {"b": "A"}):
            decision = decided(experiments, user, stored)
            (given,) = decision.answer.assignments
            inside = "a" if layer_point(user, "checkout") < 0.5 else "b"
            assert given.experiment_id == inside
            assert {*decision.new, *decision.gone} <= {inside}


def test_a_config_may_hold_numbers_of_any_size() -> None:
    variant = Variant("A", "A", 1.0, {"n": [10**40, 1e22, 0.5]})
    answer = decided([Experiment.of("exp", None, None, None, [variant])], "user").answer
    assert json.loads(b"{" + answer.members + b"}")["config"]["n"] == [10**40, 1e22, 0.5]
