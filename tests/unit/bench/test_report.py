"""The report: every figure is in it, and what is drawn is what was measured."""

from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest
from rich.console import Console

from bench.measure import report
from bench.measure.figures import Measured, Results
from bench.measure.floors import Floor, judge

RESULTS = Results(
    machine={"cores": "2"},
    failed=["soak at 10 objects: no more memory"],
    sizes=[
        Measured(
            10,
            {"first-sync.sink.per_second": 2712.4, "stage.yaml_us": 31.2, "restart.wall_s": 0.0123},
            {"lag p99 (s)": [(0.0, 2.0), (5.0, 2.5)]},
        ),
        Measured(100, {"first-sync.sink.per_second": 2500.0}),
    ],
)
VERDICTS = judge(
    [Floor("restart.wall_s", "because", at_most=1.0, aim=0.5)], RESULTS.sizes, {}, short=False
)
ACROSS = {"ratio.cost-of-growth": 1.05}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (3.0, "3"), (2712.4, "2,712"), (31.24, "31.2"), (0.01234, "0.0123")],
)
def test_a_number_has_as_many_digits_as_mean_something(value: float, text: str) -> None:
    assert report.number(value) == text


def test_markdown_has_every_figure_of_every_size_and_what_failed() -> None:
    lines = report.markdown(RESULTS, ACROSS, VERDICTS, {"Lag": "lag.svg"}).splitlines()
    assert "| figure | 10 objects | 100 objects |" in lines
    assert "| first-sync.sink.per_second | 2,712 | 2,500 |" in lines
    assert "| restart.wall_s | 0.0123 |  |" in lines
    assert "| ratio.cost-of-growth |  | 1.05 |" in lines
    assert "| restart.wall_s <= 1 | 0.5 | 0.0123 | holds |" in lines
    assert "![Lag](lag.svg)" in lines
    assert "- FAILED: soak at 10 objects: no more memory" in lines


def test_json_holds_it_all_and_plots_are_there_for_what_was_measured(tmp_path: Path) -> None:
    written = report.write(tmp_path, RESULTS, ACROSS, VERDICTS)
    told = orjson.loads((tmp_path / "report.json").read_bytes())
    assert told["sizes"][0]["figures"]["restart.wall_s"] == 0.0123
    assert told["across"] == ACROSS
    assert told["floors"][0]["outcome"] == "holds"
    assert {it.name for it in tmp_path.glob("*.svg")} == {"rate.svg", "stages.svg", "lag.svg"}
    for plot in tmp_path.glob("*.svg"):
        assert ElementTree.parse(plot).getroot().tag.endswith("svg")
        assert f"]({plot.name})" in written.read_text()


def test_the_same_figures_draw_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        report.write(tmp_path / name, RESULTS, ACROSS, VERDICTS)
    for plot in (tmp_path / "a").glob("*.svg"):
        assert plot.read_bytes() == (tmp_path / "b" / plot.name).read_bytes()


def test_people_see_the_same_figures() -> None:
    shown = StringIO()
    report.show(Console(file=shown, width=200), RESULTS, ACROSS, VERDICTS)
    for text in ("2,712", "2,500", "31.2", "1.05", "restart.wall_s <= 1", "holds"):
        assert text in shown.getvalue()
