"""From results to what people and programs read: JSON, Markdown with plots, a table on stdout.

Exists so that a run can be compared with the next one, and shown. Promises: every figure that was
measured is in all three; nothing is computed here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from bench.measure import machine
from bench.measure.figures import Figures, Results
from bench.measure.floors import Verdict
from bench.measure.plots import draw


def write(folder: Path, results: Results, across: Figures, verdicts: Sequence[Verdict]) -> Path:
    """Into `report.json`, `report.md` and the plots beside them; the path of the second."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {**asdict(results), "across": across, "floors": [_as_json(it) for it in verdicts]}
    folder.joinpath("report.json").write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    plots = draw(folder, results.sizes)
    report = folder / "report.md"
    report.write_text(markdown(results, across, verdicts, plots))
    return report


def markdown(
    results: Results,
    across: Figures,
    verdicts: Sequence[Verdict],
    plots: Mapping[str, str],
) -> str:
    sizes = [f"{size.objects:,} objects" for size in results.sizes]
    parts = [
        "# Report",
        machine.as_markdown(results.machine).rstrip(),
        *(f"![{title}]({name})" for title, name in plots.items()),
        _table(["floor", "aim", "figure", ""], [_judged(it) for it in verdicts]),
        _table(["figure", *sizes], _rows(results, across)),
    ]
    if results.failed:
        parts.insert(1, "\n".join(f"- FAILED: {line}" for line in results.failed))
    return "\n\n".join(parts) + "\n"


def show(console: Console, results: Results, across: Figures, verdicts: Sequence[Verdict]) -> None:
    figures = Table("figure", title="Figures")
    for size in results.sizes:
        figures.add_column(f"{size.objects:,} objects", justify="right")
    for row in _rows(results, across):
        figures.add_row(*row)
    judged = Table("floor", "aim", "figure", "", title="Floors")
    for verdict in verdicts:
        judged.add_row(*_judged(verdict))
    console.print(figures)
    console.print(judged)


def number(value: float) -> str:
    """As many digits as mean something: 12,345; 12.3; 0.0123."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _rows(results: Results, across: Figures) -> Iterator[list[str]]:
    names = dict.fromkeys(name for size in results.sizes for name in size.figures)
    for name in sorted(names, key=lambda it: (not it.startswith("ratio."), it.split(".")[0])):
        yield [
            name,
            *(number(it.figures[name]) if name in it.figures else "" for it in results.sizes),
        ]
    for name, value in across.items():
        yield [name, *[""] * (len(results.sizes) - 1), number(value)]


def _judged(verdict: Verdict) -> list[str]:
    floor = verdict.floor
    aim = "" if floor.aim is None else f"{floor.aim:g}"
    value = "" if verdict.value is None else number(verdict.value)
    return [floor.text, aim, value, verdict.outcome]


def _table(head: Sequence[str], rows: Iterator[list[str]] | Sequence[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _as_json(verdict: Verdict) -> dict[str, object]:
    return {**asdict(verdict.floor), "value": verdict.value, "outcome": verdict.outcome}
