"""The bucketing rule: which variant of an experiment a user falls into, as a pure function of ids and weights.

Equal on every machine and in every version: a change here would move users between variants.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Protocol, TypeVar


class Weighted(Protocol):
    """What the rule needs to know of a variant."""

    @property
    def variant_id(self) -> str:
        """Id, unique within the experiment."""
        ...

    @property
    def weight(self) -> float:
        """Share of users, relative to the other variants; zero or less takes no new users."""
        ...


AnyVariant = TypeVar("AnyVariant", bound=Weighted)

# Order of the characters that come before digits and letters where JavaScript compares strings by locale.
_PUNCTUATION = "\t\n\v\f\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$"


def unit_interval(anonymous_user_id: str, experiment_id: str) -> float:
    """Map a user and an experiment to a number in [0, 1), evenly: SHA-256 of `<user>:<experiment>`, first 32 bits.

    Raises UnicodeEncodeError for a lone surrogate, which callers refuse beforehand.
    """
    digest = hashlib.sha256(f"{anonymous_user_id}:{experiment_id}".encode()).digest()
    return float(int.from_bytes(digest[:4], "big") / 2**32)


def choose_variant(
    anonymous_user_id: str, experiment_id: str, variants: Sequence[AnyVariant], *, ordered: bool = False
) -> AnyVariant:
    """Return the variant that the rule gives a user: the first whose cumulated weight exceeds the user's point.

    `ordered` says that the variants already are in `bucketing_order`. Weights of zero or less count as nothing;
    without any positive weight the last variant wins. Raises ValueError when there are no variants.
    """
    if not variants:
        raise ValueError(f"experiment {experiment_id} has no variants")
    in_order = variants if ordered else bucketing_order(variants)
    # Sums of floats depend on their order: total and cumulation both follow the variants' order.
    total = 0.0
    for variant in in_order:
        total += max(variant.weight, 0.0)
    point = unit_interval(anonymous_user_id, experiment_id) * total
    cumulated = 0.0
    for variant in in_order:
        if variant.weight > 0:
            cumulated += variant.weight
            if point < cumulated:
                return variant
    return in_order[-1]


def bucketing_order(variants: Sequence[AnyVariant]) -> list[AnyVariant]:
    """Return the variants by id, compared as JavaScript's localeCompare does: a < b < B < c."""
    return sorted(variants, key=lambda variant: _collation_key(variant.variant_id))


def _collation_key(text: str) -> tuple[list[tuple[int, int]], str, list[bool], str]:
    """Compare letters first, then accents, then case (lower first): exact for ASCII ids, close for others."""
    decomposed = unicodedata.normalize("NFD", text)
    letters = [character for character in decomposed if not unicodedata.combining(character)]
    accents = "".join(character for character in decomposed if unicodedata.combining(character))
    return [_rank(letter) for letter in letters], accents, [letter != letter.lower() for letter in letters], text


def _rank(character: str) -> tuple[int, int]:
    position = _PUNCTUATION.find(character)
    if position >= 0:
        return 0, position
    return 1, ord(character.lower()[0])
