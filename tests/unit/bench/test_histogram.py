"""Quantiles of a histogram's buckets, as Prometheus computes them."""

from math import inf

import pytest

from bench.measure import histogram
from watcher.metrics import Metrics

LAG = {1.0: 0.0, 2.0: 50.0, 3.0: 100.0, inf: 100.0}


@pytest.mark.parametrize(("share", "value"), [(0.5, 2.0), (0.75, 2.5), (0.99, 2.98), (1.0, 3.0)])
def test_within_a_bucket_the_line_is_straight(share: float, value: float) -> None:
    assert histogram.quantile(LAG, share) == pytest.approx(value)


def test_beyond_the_last_bound_it_is_that_bound() -> None:
    assert histogram.quantile({1.0: 1.0, 2.0: 1.0, inf: 10.0}, 0.99) == 2.0


def test_of_nothing_there_is_none() -> None:
    nothing = dict.fromkeys(LAG, 0.0)
    assert histogram.quantile(nothing, 0.5) is None
    assert histogram.highest(nothing) is None


def test_the_highest_is_the_bound_that_all_lie_below() -> None:
    assert histogram.highest(LAG) == 3.0
    assert histogram.highest({1.0: 1.0, inf: 2.0}) == inf


def test_what_was_there_before_does_not_count() -> None:
    later = {1.0: 7.0, 2.0: 57.0, 3.0: 107.0, inf: 107.0}
    before = dict.fromkeys(LAG, 7.0)
    assert histogram.between(before, later) == LAG


def test_it_is_read_from_the_programs_own_page() -> None:
    metrics = Metrics("test")
    metrics.capture_lag.observe(2.1)
    lines = metrics.render()[0].decode().splitlines()
    page = {k: float(v) for k, _, v in (it.rpartition(" ") for it in lines if it[0] != "#")}
    buckets = histogram.read(page, "watcher_capture_lag_seconds")
    assert (buckets[2.0], buckets[2.25], histogram.count(buckets)) == (0.0, 1.0, 1.0)
