"""The guide to the limits names every one of them, with the value it has in the code."""

from __future__ import annotations

import importlib
import re

import pytest

from pipeline.settings import REPOSITORY

UNITS = {"": 1, "s": 1, "KiB": 2**10, "MiB": 2**20}
ROWS: dict[str, str] = {
    constant: value
    for value, constant in re.findall(
        r"^\| [^|]+ \| ([^|]+) \|[^|]*\|[^|]+\| `(api\.[a-z_.]+\.[A-Z_]+)` \|$",
        (REPOSITORY / "docs/guides/limits.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
}
MODULES = [
    "api.bodies", "api.http_protocol", "api.identifiers", "api.json_text", "api.ingestion.timestamps",
    "api.ingestion.validation", "api.retail.visits", "api.retail.routes",
]  # fmt: skip
# A duration that the text gives in words.
ELSEWHERE = {"api.ingestion.validation.MAX_AHEAD"}


@pytest.mark.parametrize("constant", ROWS)
def test_the_guide_has_the_value_of_the_code(constant: str) -> None:
    module, _, name = constant.rpartition(".")
    number, _, unit = ROWS[constant].partition(" ")
    assert getattr(importlib.import_module(module), name) == int(number) * UNITS[unit]


@pytest.mark.parametrize("module", MODULES)
def test_the_guide_has_every_limit(module: str) -> None:
    own = importlib.import_module(module)
    names = {name for name in vars(own) if re.fullmatch("MAX_[A-Z_]+|MIN_[A-Z_]+|LARGE_[A-Z_]+|[A-Z]+_SECONDS", name)}
    source = (REPOSITORY / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    limits = {f"{module}.{name}" for name in names if re.search(rf"^{name} = ", source, re.MULTILINE)}
    assert limits
    assert limits - ELSEWHERE <= set(ROWS)
