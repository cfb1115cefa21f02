"""The configuration of funnels: what it may say, and that each mistake is named with its place."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.rollups.funnels import FunnelError, parse_funnels, read_funnels
from pipeline.settings import Settings
from tests.pipeline.rollups.oracle import CORE_JOURNEY

GOOD: dict[str, Any] = {
    "version": 1,
    "funnels": [
        {
            "name": "buy",
            "ordered": True,
            "window": "7d",
            "steps": [{"name": "look", "events": ["viewed", "searched"]}, {"name": "pay", "events": ["paid"]}],
        },
        {"name": "seen", "ordered": False, "steps": [{"name": "any", "events": ["viewed"]}]},
    ],
}


def changed(*path: str | int, to: object) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    place: Any = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = to
    return document


def test_the_shipped_configuration_has_the_core_journey_as_it_always_was() -> None:
    (funnel,) = read_funnels(Settings().funnels).funnels
    assert (funnel.name, funnel.ordered, funnel.window_seconds) == ("core_journey", True, 86_400)
    assert [(step.name, set(step.events)) for step in funnel.steps] == list(CORE_JOURNEY.steps.items())


def test_a_configuration_becomes_a_table_of_steps() -> None:
    funnels = parse_funnels(GOOD)
    assert funnels.deepest == 2
    assert funnels.days_after == 7
    assert funnels.steps() == (("buy", "look"), ("buy", "pay"), ("seen", "any"))
    assert funnels.steps(ordered=True) == (("buy", "look"), ("buy", "pay"))
    assert [tuple(row.values()) for row in funnels.table().to_pylist()] == [
        (1, "buy", "look", 1, "viewed", True, 604_800_000_000),
        (1, "buy", "look", 1, "searched", True, 604_800_000_000),
        (1, "buy", "pay", 2, "paid", True, 604_800_000_000),
        (2, "seen", "any", 1, "viewed", False, None),
    ]


@pytest.mark.parametrize(("text", "seconds", "days"), [("1m", 60, 1), ("36h", 129_600, 2), ("30d", 2_592_000, 30)])
def test_windows_are_minutes_hours_or_days(text: str, seconds: int, days: int) -> None:
    funnels = parse_funnels(changed("funnels", 0, "window", to=text))
    assert (funnels.funnels[0].window_seconds, funnels.days_after) == (seconds, days)


def test_the_digest_changes_with_the_meaning_and_not_with_the_spelling(tmp_path: Path) -> None:
    path = tmp_path / "funnels.json"
    path.write_text(json.dumps(GOOD, indent=8), encoding="utf-8-sig")
    assert read_funnels(path).sha256 == parse_funnels(GOOD).sha256
    assert parse_funnels(changed("funnels", 0, "window", to="168h")).sha256 == parse_funnels(GOOD).sha256
    assert parse_funnels(changed("funnels", 0, "window", to="169h")).sha256 != parse_funnels(GOOD).sha256


STEP = {"name": "look", "events": ["a"]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "the file: must be a JSON object"),
        ({"funnels": []}, "field 'version': must be 1"),
        (changed("version", to=True), "field 'version': must be 1"),
        (changed("version", to=2), "field 'version': must be 1"),
        (changed("extra", to=1), "field 'extra': unknown; known are funnels, version"),
        (changed("funnels", to={}), "field 'funnels': must be a list"),
        (changed("funnels", to=GOOD["funnels"] * 26), "field 'funnels': must not have more than 50 entries, not 52"),
        (changed("funnels", 1, "name", to="buy"), "field 'funnels': a funnel named 'buy' occurs twice"),
        (changed("funnels", 1, to="x"), "funnel 2: must be a JSON object"),
        (changed("funnels", 1, "name", to=""), "funnel 2: field 'name': must be a text of 1 to 200 characters"),
        (changed("funnels", 1, "name", to="a\nb"), "funnel 2: field 'name': must be printable text"),
        (changed("funnels", 1, "name", to="\ud800"), "funnel 2: field 'name': must be printable text"),
        (changed("funnels", 0, "windows", to="1d"), "funnel 1: field 'windows': unknown"),
        (changed("funnels", 0, "ordered", to="yes"), "funnel 'buy': field 'ordered': must be true or false"),
        (changed("funnels", 0, "steps", to=[STEP]), "funnel 'buy': field 'steps': needs at least 2"),
        (changed("funnels", 1, "steps", to=[]), "funnel 'seen': field 'steps': needs at least 1"),
        (changed("funnels", 0, "steps", 1, "name", to="look"), "field 'steps': a step named 'look' occurs twice"),
        (changed("funnels", 0, "steps", 1, "name", to=3), "funnel 'buy': step 2: field 'name': must be a text"),
        (changed("funnels", 0, "steps", 1, "event", to="a"), "funnel 'buy': step 2: field 'event': unknown"),
        (changed("funnels", 0, "steps", 1, "events", to=[]), "step 'pay': field 'events': needs at least one"),
        (changed("funnels", 0, "steps", 1, "events", to="paid"), "step 'pay': field 'events': must be a list"),
        (changed("funnels", 0, "steps", 1, "events", to=[""]), "step 'pay': field 'events': must be a text"),
        (
            changed("funnels", 0, "steps", 1, "events", to=["viewed"]),
            "funnel 'buy': step 'pay': field 'events': 'viewed' belongs to step 'look' already",
        ),
        (
            changed("funnels", 0, "steps", 1, "events", to=["a", "a"]),
            "step 'pay': field 'events': 'a' belongs to step 'pay' already",
        ),
        *(
            (changed("funnels", 0, "window", to=window), "funnel 'buy': field 'window': must be a number of minutes")
            for window in ("0h", "-1d", "7", "1.5h", "7 d", "7w", "", 24, None)
        ),
        (changed("funnels", 0, "window", to="721h"), "funnel 'buy': field 'window': must not be longer than 30d"),
    ],
)
def test_a_mistake_is_named_with_its_funnel_step_and_field(document: object, message: str) -> None:
    with pytest.raises(FunnelError) as caught:
        parse_funnels(document)
    assert message in str(caught.value)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "funnels.json"
    with pytest.raises(FunnelError, match=r"funnels.json: cannot be read \(No such file or directory\)"):
        read_funnels(path)
    for text, message in (
        ("{", "not valid JSON"),
        ('{"version": 1, "version": 1}', "field 'version' occurs twice in one object"),
        ('{"version": 1, "funnels": 3}', "funnels.json: field 'funnels': must be a list"),
    ):
        path.write_text(text)
        with pytest.raises(FunnelError, match=message):
            read_funnels(path)
