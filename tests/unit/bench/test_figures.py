"""What is made of figures: ratios, and what two sizes tell together."""

import pytest

from bench.measure.figures import Measured, across, with_ratios


def test_a_ratio_is_there_if_both_its_figures_are() -> None:
    figures = {"first-sync.sink.cpu_ms": 0.5, "kubectl.cpu_ms": 1.25}
    assert with_ratios(figures) == {**figures, "ratio.cpu-to-kubectl": 0.4}


def test_a_ratio_to_nothing_is_none() -> None:
    figures = {"first-sync.sink.cpu_ms": 0.5, "kubectl.cpu_ms": 0.0}
    assert with_ratios(figures) == figures


def test_the_least_of_a_restart_is_a_start_both_lists_and_what_the_objects_take() -> None:
    stages = {"stage.parse_us": 20.0, "stage.clean_us": 15.0, "stage.fingerprint_us": 5.0}
    lists = {"raw-lists.wall_s": 0.4, "paged-gets.wall_s": 0.5, "paged-gets.objects": 10_000}
    told = with_ratios({"start.wall_s": 0.7, "restart.wall_s": 3.0, **lists, **stages})
    assert told["restart.least_s"] == pytest.approx(0.7 + 0.4 + 0.5 + 0.4)
    assert told["ratio.restart-to-least"] == pytest.approx(1.5)
    assert "restart.least_s" not in with_ratios({"start.wall_s": 1.1, "restart.wall_s": 3.0})


def test_the_cost_of_growth_is_that_of_the_biggest_against_the_smallest() -> None:
    sizes = [
        Measured(100_000, {"first-sync.sink.cpu_ms": 0.66}),
        Measured(1_000, {"first-sync.sink.cpu_ms": 0.6}),
        Measured(10_000, {"first-sync.sink.cpu_ms": 0.5}),
        Measured(300_000),  # its first sync failed
    ]
    assert across(sizes) == {"ratio.cost-of-growth": pytest.approx(1.1)}


def test_a_long_run_is_held_against_the_puts_alone_of_the_smallest() -> None:
    rate = "first-sync.sink.per_second"
    sizes = [
        Measured(
            10_000, {"first-sync.sink.cpu_ms": 0.5, rate: 2000, "signed-puts.per_second": 6000}
        ),
        Measured(100_000, {"first-sync.sink.cpu_ms": 0.5, rate: 3000}),
    ]
    assert across(sizes)["ratio.sustained-rate-to-signed-puts"] == 0.5


def test_one_size_tells_nothing_of_growth() -> None:
    assert across([Measured(1_000, {"first-sync.sink.cpu_ms": 0.6})]) == {}
