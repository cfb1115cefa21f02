"""JSON as sent: strict reading that keeps every number's own text, and the checks for what Postgres cannot hold.

This is the definition of what the API accepts. Faster readers elsewhere may only accept what this one accepts.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import NoReturn

MAX_DEPTH = 100
MAX_NUMBER_CHARACTERS = 400
# Deeper than any event's limit (envelope, list and event come on top) and far below Python's recursion limit.
_CUT_DEPTH = MAX_DEPTH + 20
# Possessive, and with a closing quote that may be missing: else a string that never ends costs quadratic time.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class MalformedJsonError(ValueError):
    """The bytes are not one JSON text in UTF-8."""


@dataclass(slots=True)  # not frozen: made by the hundred thousand when a hostile body is read
class JsonNumber:
    """A number as it was written: no digit is lost on the way to the database."""

    text: str


def decode_json(body: bytes) -> object:
    """Read one JSON text: objects as dicts (the last of equal keys wins), numbers as JsonNumber.

    A byte order mark is skipped. What is nested more than 120 levels deep is replaced by null: still deeper than any
    check allows, so that one such event is refused and its neighbours are not. Raises MalformedJsonError.
    """
    try:
        text = body.decode("utf-8-sig")
        try:
            return _load(text)
        except RecursionError:
            return _load(_cut(text))
    except (ValueError, RecursionError) as error:
        raise MalformedJsonError("not one JSON text in UTF-8") from error


def encode_json(value: object) -> str:
    """Write what `decode_json` read, numbers as they were."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_string(key)}:{encode_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encode_json, value)) + "]"
    return value.text if isinstance(value, JsonNumber) else _string(value)


def type_name(value: object) -> str:
    """Name a JSON value's type as error messages do: string, number, boolean, array, object, null."""
    if value is None:
        return "null"
    names = {str: "string", JsonNumber: "number", bool: "boolean", list: "array", dict: "object"}
    return names[type(value)]


def text_problem(text: str) -> str | None:
    """Say why Postgres cannot hold a text; None when it can."""
    found = _UNSTORABLE.search(text)
    if found is None:
        return None
    return "contains U+0000, which cannot be stored" if found[0] == "\0" else "contains a lone surrogate"


def value_problem(value: object, path: str) -> str | None:
    """Say what in a JSON value Postgres cannot hold, and where; None when it can hold all of it.

    More than 100 levels are refused, the value itself being the first.
    """
    flaw = _flaw(value, 1)
    if flaw is None:
        return None
    return f"{path}{flaw.reason}" if flaw.whole else f"{_short(path + ''.join(reversed(flaw.trail)))}{flaw.reason}"


@dataclass(slots=True)
class _Flaw:
    """What is wrong, and the way there from the inside out: no path is put together for values that are right."""

    reason: str
    trail: list[str] = field(default_factory=list)
    whole: bool = False


def _flaw(value: object, depth: int) -> _Flaw | None:
    if isinstance(value, str):
        problem = text_problem(value)
        return _Flaw(f" {problem}") if problem else None
    if isinstance(value, JsonNumber):
        return None if _number_fits(value.text) else _Flaw(" is a number out of range")
    if not isinstance(value, (dict, list)):
        return None
    if depth > MAX_DEPTH:
        return _Flaw(f" is nested more than {MAX_DEPTH} levels deep", whole=True)
    return _list_flaw(value, depth + 1) if isinstance(value, list) else _dict_flaw(value, depth + 1)


def _list_flaw(items: list[object], depth: int) -> _Flaw | None:
    for position, item in enumerate(items):
        flaw = _flaw(item, depth)
        if flaw is not None:
            flaw.trail.append(f"[{position}]")
            return flaw
    return None


def _dict_flaw(members: dict[str, object], depth: int) -> _Flaw | None:
    for key, item in members.items():
        problem = text_problem(key)
        if problem:
            return _Flaw(f": a key {problem}")
        flaw = _flaw(item, depth)
        if flaw is not None:
            flaw.trail.append(f".{key}")
            return flaw
    return None


def _short(path: str) -> str:
    return path if len(path) <= 100 else f"{path[:97]}..."


def _load(text: str) -> object:
    return json.loads(text, parse_int=JsonNumber, parse_float=JsonNumber, parse_constant=_refuse_constant)


def _string(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _number_fits(text: str) -> bool:
    """A number fits when it is short, and a double is neither infinite nor rounds it to zero."""
    if len(text) < 16 and "e" not in text and "E" not in text:
        return True
    if len(text) > MAX_NUMBER_CHARACTERS:
        return False
    number = float(text)
    return math.isfinite(number) and (number != 0 or not re.search("[1-9]", re.split("[eE]", text)[0]))


def _cut(text: str) -> str:
    """Replace every value below _CUT_DEPTH by null, without recursion."""
    kept: list[str] = []
    depth = start = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth == _CUT_DEPTH:
                kept.append(text[start : token.start()])
        elif token[0] in "]}":
            if depth == _CUT_DEPTH:
                kept.append("null")
                start = token.end()
            depth -= 1
    if depth:
        raise MalformedJsonError("brackets do not match")
    return "".join((*kept, text[start:]))
