"""The report's plots, as SVG.

Exists because a table does not show a trend. Promises: the same figures draw the same bytes; what
was not measured has no plot.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.measure import stages
from bench.measure.buckets import WORDS
from bench.measure.figures import Figures, Measured, Points

_SIZE = (7.0, 3.5)  # inches


def draw(folder: Path, sizes: Sequence[Measured]) -> dict[str, str]:
    """Title -> file name, in the order of the report."""
    drawn: dict[str, str] = {}

    def save(title: str, name: str, figure: Figure) -> None:
        figure.axes[0].set_title(title)
        figure.tight_layout()
        with mpl.rc_context({"svg.hashsalt": "bench"}):
            figure.savefig(folder / name, format="svg", metadata={"Date": None})
        drawn[title] = name

    for title, name, figure, unit in (
        ("Objects a second", "rate.svg", "per_second", "objects/s"),
        ("Peak memory", "memory.svg", "peak_mb", "MB"),
    ):
        if any(f"first-sync.{word}.{figure}" in it.figures for it in sizes for word in WORDS):
            save(f"{title}, by size of the cluster", name, _by_size(sizes, figure, unit))
    for size in sizes:
        if split := _stages(size.figures):
            save("CPU of an object, by stage", "stages.svg", _bars(split, "us"))
        for begin, title, name, unit in (
            ("lag", "Lag at 100 changes a second", "lag.svg", "s"),
            ("memory under churn", "Memory under status noise", "churn.svg", "MB"),
            ("memory in the soak", "Memory in the soak", "soak.svg", "MB"),
        ):
            series = {k: v for k, v in size.series.items() if k.startswith(begin) and v}
            if series and title not in drawn:
                save(title, name, _over_time(series, unit))
    return drawn


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE)
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return figure, axes


def _by_size(sizes: Sequence[Measured], name: str, unit: str) -> Figure:
    figure, axes = _axes("objects", unit)
    for word in WORDS:
        points = [
            (size.objects, size.figures[f"first-sync.{word}.{name}"])
            for size in sorted(sizes, key=lambda it: it.objects)
            if f"first-sync.{word}.{name}" in size.figures
        ]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=word)
    axes.set_xscale("log")
    _from_zero(axes)
    axes.legend()
    return figure


def _over_time(series: Mapping[str, Points], unit: str) -> Figure:
    figure, axes = _axes("seconds", unit)
    for label, points in series.items():
        axes.plot(*zip(*points, strict=True), label=label)
    _from_zero(axes)
    axes.legend()
    return figure


def _from_zero(axes: Axes) -> None:
    """With air above: what all but stands still would touch the frame."""
    axes.set_ylim(0, 1.1 * axes.get_ylim()[1])


def _bars(values: Mapping[str, float], unit: str) -> Figure:
    figure, axes = _axes(unit, "")
    bars = axes.barh(list(values), list(values.values()))
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.margins(x=0.1)
    axes.invert_yaxis()
    return figure


def _stages(figures: Figures) -> dict[str, float]:
    names = {name: f"stage.{name}_us" for name in stages.NAMES}
    return {name: figures[figure] for name, figure in names.items() if figure in figures}
