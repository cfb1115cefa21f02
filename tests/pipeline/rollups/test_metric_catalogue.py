"""The catalogue has every published metric, in the words of its definition."""

from __future__ import annotations

import pytest

from pipeline.rollups.metric_catalogue import catalogue, entry
from pipeline.rollups.metric_definitions import METRICS


def test_every_published_metric_is_in_it_with_its_own_words() -> None:
    published = {found.name: found for found in catalogue() if found.table is not None}
    assert published.keys() == METRICS.keys()
    for name, found in published.items():
        metric = METRICS[name]
        assert (found.unit, found.definition, found.table) == (metric.unit, metric.definition, metric.table)


def test_names_and_labels_occur_once_and_everything_has_a_caveat() -> None:
    found = catalogue()
    assert len({metric.name for metric in found}) == len(found)
    assert len({metric.label for metric in found}) == len(found)
    for metric in found:
        assert metric.caveats
        assert all(caveat.endswith(".") for caveat in metric.caveats)
        assert metric.definition.count("`") % 2 == 0


def test_derived_figures_name_the_published_ones_they_are_made_of() -> None:
    for metric in catalogue():
        if metric.table is None:
            quoted = metric.definition.split("`")[1::2]
            assert set(quoted) <= METRICS.keys(), metric.name


def test_an_entry_is_found_by_its_name_alone() -> None:
    assert entry("dau").label == "Daily active users"
    with pytest.raises(KeyError):
        entry("nothing")
