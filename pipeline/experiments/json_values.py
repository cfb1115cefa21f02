"""JSON values that people give: whether Postgres can hold them, and whether two of them are the same.

Values are those of the standard library's json: dict, list, str, int, float, bool, None.
"""

from __future__ import annotations

import json
import math
import re

MAX_DEPTH = 100
# Beyond it Postgres shows a number with all its digits, as an integer that readers of 64 bits refuse.
MAX_NUMBER = 2**63
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def text_problem(text: str) -> str | None:
    """Say why Postgres cannot hold a text; None when it can."""
    found = _UNSTORABLE.search(text)
    if found is None:
        return None
    return "must not hold U+0000" if found[0] == "\0" else "must not hold a lone surrogate"


def value_problem(value: object, depth: int = 1) -> str | None:
    """Say why a JSON value cannot be kept (text, number out of range, too deep); None when it can."""
    if isinstance(value, str):
        return text_problem(value)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        fits = -MAX_NUMBER < value < MAX_NUMBER
        return None if fits else "must not hold a number beyond 64 bits"
    if not isinstance(value, (dict, list)):
        return f"must not hold a {type(value).__name__}"
    if depth > MAX_DEPTH:
        return f"must not be nested more than {MAX_DEPTH} levels deep"
    items = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return next((problem for item in items if (problem := value_problem(item, depth + 1))), None)


def encoded_size(value: object) -> int:
    """Return the bytes of a value's shortest JSON text; it must have no `value_problem`."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def same(one: object, other: object) -> bool:
    """Say whether two values are the same JSON: 1 is 1.0, and neither is true.

    Integers are compared digit by digit, other numbers as the doubles that they are.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if _is_number(one) and _is_number(other):
        return one == other or (float in (type(one), type(other)) and _double(one) == _double(other))
    return type(one) is type(other) and one == other


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _double(number: object) -> float:
    assert isinstance(number, (int, float))
    try:
        return float(number)
    except OverflowError:
        return math.inf
