"""The app's configuration: a baseline, changed by the variants a user is assigned to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

BASELINE: Mapping[str, Any] = {
    "navigation": {"default_landing_tab": "workouts"},
    "workouts": {"preload_default_plan": False},
    "creatures": {"recommended_creature_id": None},
    "achievements": {"ui_mode": "baseline"},
}


def merged_config(overrides: Iterable[object]) -> dict[str, Any]:
    """Return the baseline with the overrides merged in, in their order; what is no object is ignored."""
    config: dict[str, Any] = merge(BASELINE, {})
    for override in overrides:
        if isinstance(override, dict):
            config = merge(config, override)
    return config


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Merge objects into objects at every level; everything else (lists, null, texts) replaces. Changes neither."""
    merged: dict[str, Any] = {
        key: merge(value, {}) if isinstance(value, Mapping) else value for key, value in base.items()
    }
    for key, value in override.items():
        before = merged.get(key)
        if isinstance(value, Mapping):
            merged[key] = merge(before if isinstance(before, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged
