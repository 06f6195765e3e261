"""Floors: what a figure must not fall short of, and whether it did.

Exists so that a change which makes `watcher` slower, hungrier or chattier fails by name. Promises:
all bounds are in one file (bench/floors.toml), each with where it comes from; the short form's are
ratios and counts alone, and one of them that was not measured counts as fallen short. Pure but for
reading that file.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.measure.figures import Figures, Measured

FILE = Path(__file__).parents[1] / "floors.toml"

Outcome = Literal["holds", "falls short", "not measured"]


@dataclass(frozen=True, slots=True)
class Floor:
    """at_most, at_least: one of them. aim: what would be better still. objects: the size of cluster
    that it is said of, give or take a fifth; 0: any. real: whether it is said of real clusters
    alone. short: whether the short form holds it, too. why: where the bound comes from."""

    figure: str
    why: str
    at_most: float | None = None
    at_least: float | None = None
    aim: float | None = None
    objects: int = 0
    real: bool = False
    short: bool = False

    @property
    def bound(self) -> float:
        bound = self.at_most if self.at_most is not None else self.at_least
        assert bound is not None
        return bound

    @property
    def text(self) -> str:
        sign = "<=" if self.at_most is not None else ">="
        size = f" at {self.objects:,} objects" if self.objects else ""
        return f"{self.figure} {sign} {self.bound:g}{size}"

    def holds(self, value: float) -> bool:
        return value <= self.bound if self.at_most is not None else value >= self.bound


@dataclass(frozen=True, slots=True)
class Verdict:
    floor: Floor
    outcome: Outcome
    value: float | None = None

    def __str__(self) -> str:
        value = "" if self.value is None else f" (it is {self.value:.4g})"
        return f"{self.outcome}: {self.floor.text}{value}; {self.floor.why}"


def load(path: Path = FILE) -> list[Floor]:
    """Raises ValueError for a floor of no or two bounds, TypeError for unknown words."""
    with path.open("rb") as file:
        floors = [Floor(**entry) for entry in tomllib.load(file)["floor"]]
    for floor in floors:
        if (floor.at_most is None) == (floor.at_least is None):
            raise ValueError(f"{floor.figure}: one of at_most and at_least")
    return floors


def judge(
    floors: Sequence[Floor],
    sizes: Sequence[Measured],
    across: Figures,
    *,
    real: bool = False,
    short: bool = False,
) -> list[Verdict]:
    """One verdict for each floor that is said of such a cluster; of several sizes the worst value
    counts."""
    held = [it for it in floors if (it.short or not short) and (real or not it.real)]
    return [_verdict(it, sizes, across) for it in held]


def fallen_short(verdicts: Sequence[Verdict], *, short: bool) -> list[Verdict]:
    """What makes a check fail. The full form may leave scenarios out, the short form may not."""
    bad = {"falls short", "not measured"} if short else {"falls short"}
    return [verdict for verdict in verdicts if verdict.outcome in bad]


def _verdict(floor: Floor, sizes: Sequence[Measured], across: Figures) -> Verdict:
    found = [
        size.figures
        for size in sizes
        if not floor.objects or abs(size.objects - floor.objects) <= floor.objects / 5
    ]
    values = [it[floor.figure] for it in (*found, across) if floor.figure in it]
    if not values:
        return Verdict(floor, "not measured")
    worst = max(values) if floor.at_most is not None else min(values)
    return Verdict(floor, "holds" if floor.holds(worst) else "falls short", worst)
