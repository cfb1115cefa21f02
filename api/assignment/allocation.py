"""Who may be in an experiment at all: layers keep experiments apart, a traffic allocation enrols a share of the users.

Each asks a hash of its own, beside the one that chooses the variant: with one hash for two questions, those who are
enrolled would all have the first variants. Equal on every machine and in every version, as the bucketing is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


def layer_point(anonymous_user_id: str, layer: str) -> float:
    """Map a user and a layer to a number in [0, 1), evenly: SHA-256 of `layer:<layer>:<user>`, first 32 bits.

    Raises UnicodeEncodeError for a lone surrogate, which callers refuse beforehand.
    """
    return _point(f"layer:{layer}:{anonymous_user_id}")


def enrolment_point(anonymous_user_id: str, salt: str) -> float:
    """Map a user and an experiment's salt to a number in [0, 1), evenly: SHA-256 of `enrolment:<salt>:<user>`."""
    return _point(f"enrolment:{salt}:{anonymous_user_id}")


def _point(text: str) -> float:
    return float(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32)


@dataclass(frozen=True)
class Allocation:
    """What part of the users an experiment may have.

    `share` of them are enrolled, by `salt`. In a `layer`, only those whose point of it lies in [layer_from, layer_to);
    names of layers hold no colon. As it is without arguments, everybody may be in.
    """

    share: float = 1.0
    salt: str = ""
    layer: str | None = None
    layer_from: float = 0.0
    layer_to: float = 1.0

    def enrols(self, anonymous_user_id: str) -> bool:
        """Say whether a user without an assignment gets one. Who is in at a share is in at every larger one."""
        return self.share >= 1 or enrolment_point(anonymous_user_id, self.salt) < self.share

    def reaches(self, anonymous_user_id: str) -> bool:
        """Say whether a user falls into the experiment's slice of its layer, as everybody does without a layer."""
        if self.layer is None:
            return True
        return self.layer_from <= layer_point(anonymous_user_id, self.layer) < self.layer_to


EVERYBODY = Allocation()
