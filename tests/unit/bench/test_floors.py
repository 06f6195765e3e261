"""Floors: which hold, which fall short, and what the file of them must be like."""

from pathlib import Path

import pytest

from bench.measure import floors
from bench.measure.figures import Measured
from bench.measure.floors import Floor, fallen_short, judge

MEMORY = Floor("peak_mb", "a budget", at_most=130, objects=10_000, short=True)
RATE = Floor("rate", "a prototype", at_least=0.45)
SIZES = [
    Measured(10_000, {"peak_mb": 131, "rate": 0.5}),
    Measured(100_000, {"peak_mb": 200, "rate": 0.44}),
]


def test_what_is_said_of_a_size_is_asked_of_that_one_alone() -> None:
    [verdict] = judge([MEMORY], SIZES, {}, short=False)
    assert (verdict.outcome, verdict.value) == ("falls short", 131)


@pytest.mark.parametrize(("objects", "asked"), [(11_404, True), (12_001, False), (1_852, False)])
def test_a_real_cluster_is_hardly_ever_of_that_very_size(objects: int, asked: bool) -> None:
    [verdict] = judge([MEMORY], [Measured(objects, {"peak_mb": 131})], {})
    assert verdict.outcome == ("falls short" if asked else "not measured")


def test_of_several_sizes_the_worst_counts() -> None:
    [verdict] = judge([RATE], SIZES, {}, short=False)
    assert (verdict.outcome, verdict.value) == ("falls short", 0.44)


@pytest.mark.parametrize(
    ("floor", "value", "holds"),
    [
        (MEMORY, 130, True),
        (MEMORY, 130.1, False),
        (RATE, 0.45, True),
        (RATE, 0.449, False),
    ],
)
def test_the_bound_itself_holds(floor: Floor, value: float, holds: bool) -> None:
    sizes = [Measured(10_000, {floor.figure: value})]
    verdicts = judge([floor], sizes, {}, short=False)
    assert [it.outcome for it in verdicts] == ["holds" if holds else "falls short"]
    assert bool(fallen_short(verdicts, short=False)) is not holds


def test_what_is_said_of_real_clusters_is_not_asked_of_a_simulated_one() -> None:
    floor = Floor("rate", "a real list takes its time", at_least=0.45, real=True)
    assert [it.outcome for it in judge([floor], SIZES, {}, real=True)] == ["falls short"]
    assert judge([floor], SIZES, {}) == []


def test_the_short_form_asks_only_for_what_is_marked() -> None:
    assert [it.floor for it in judge([MEMORY, RATE], SIZES, {}, short=True)] == [MEMORY]


def test_what_the_short_form_did_not_measure_fails_it() -> None:
    verdicts = judge([MEMORY, RATE], [Measured(10_000)], {}, short=True)
    assert [it.floor for it in fallen_short(verdicts, short=True)] == [MEMORY]


def test_the_full_form_may_leave_scenarios_out() -> None:
    verdicts = judge([MEMORY, RATE], [Measured(10_000)], {}, short=False)
    assert [it.outcome for it in verdicts] == ["not measured", "not measured"]
    assert not fallen_short(verdicts, short=False)


def test_what_falls_short_says_its_name_its_bound_and_why() -> None:
    [verdict] = judge([MEMORY], SIZES, {}, short=True)
    assert str(verdict) == ("falls short: peak_mb <= 130 at 10,000 objects (it is 131); a budget")


def test_every_floor_of_the_file_has_one_bound_and_a_reason() -> None:
    found = floors.load()
    assert found
    assert all(floor.why for floor in found)


def test_no_floor_of_the_short_form_is_a_time() -> None:
    names = [floor.figure for floor in floors.load() if floor.short]
    assert not [it for it in names if it.endswith(("_s", "_ms", "_us", "per_second"))]


@pytest.mark.parametrize("bounds", ["", "at_most = 1\nat_least = 2"])
def test_no_bound_or_two_are_refused(tmp_path: Path, bounds: str) -> None:
    file = tmp_path / "floors.toml"
    file.write_text(f'[[floor]]\nfigure = "x"\nwhy = "y"\n{bounds}\n')
    with pytest.raises(ValueError, match="x: one of"):
        floors.load(file)
