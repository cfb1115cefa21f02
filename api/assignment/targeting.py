"""Targeting: whether an experiment's rule matches the app that asks."""

from __future__ import annotations

import re

# npm semver's coercion: the first one to three dotted numbers, not part of a longer run of digits.
_VERSION = re.compile(r"(?:^|[^0-9])([0-9]{1,16})(?:\.([0-9]{1,16}))?(?:\.([0-9]{1,16}))?(?:$|[^0-9])")
MAX_SAFE_INTEGER = 2**53 - 1

Version = tuple[int, int, int]


def matches(targeting: object, platform: str | None, app_version: str | None) -> bool:
    """Say whether a targeting rule matches; anything that is not an object matches everyone.

    Keys: `platform` (one or a list), `min_app_version` and `max_app_version` (both inclusive); others, and keys that
    are null, are ignored. A rule on what the app did not say, or said unreadably, does not match.
    """
    if not isinstance(targeting, dict):
        return True
    wanted = targeting.get("platform")
    if wanted is not None and (platform is None or platform not in (wanted if isinstance(wanted, list) else [wanted])):
        return False
    lowest, highest = targeting.get("min_app_version"), targeting.get("max_app_version")
    if lowest is None and highest is None:
        return True
    version = coerce_version(app_version)
    if version is None:
        return False
    at_least = (0, 0, 0) if lowest is None else coerce_version(lowest)
    at_most = version if highest is None else coerce_version(highest)
    return at_least is not None and at_most is not None and at_least <= version <= at_most


def coerce_version(text: object) -> Version | None:
    """Read a version as npm's semver `coerce` does: missing parts are 0; None when there is none to be read."""
    found = _VERSION.search(text) if isinstance(text, str) else None
    if found is None:
        return None
    parts = [part or "0" for part in found.groups()]
    if any((len(part) > 1 and part[0] == "0") or int(part) > MAX_SAFE_INTEGER for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])
