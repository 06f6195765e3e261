"""What was measured: named numbers, and series of them over time.

Exists because ratios, floors, tables and plots all want the same thing: a number by its name.
Promises: names read as paths (`first-sync.sink.cpu_ms`), the last word says the unit where there is
one (`_s`, `_ms`, `_us`, `_mb`, `per_second`); what was not measured has no name. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

Figures = dict[str, float]
Points = list[tuple[float, float]]  # seconds since the start of the scenario, value


@dataclass(slots=True)
class Measured:
    """At one size. objects: that were asked for, or that a real cluster has."""

    objects: int
    figures: Figures = field(default_factory=dict)
    series: dict[str, Points] = field(default_factory=dict)


@dataclass(slots=True)
class Results:
    """Of one run. machine: what it was measured on and with, in words. failed: scenarios and
    yardsticks that did not come to their end, and why."""

    machine: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    sizes: list[Measured] = field(default_factory=list)


# What is divided by what; a name for each ratio.
_RATIOS = {
    "ratio.first-sync-to-raw-puts": ("first-sync.minio.wall_s", "raw-puts.wall_s"),
    "ratio.cpu-to-kubectl": ("first-sync.sink.cpu_ms", "kubectl.cpu_ms"),
    "ratio.cpu-to-obvious-way": ("first-sync.sink.cpu_ms", "obvious-way.cpu_ms"),
    "ratio.cpu-to-katafygio": ("first-sync.directory.cpu_ms", "katafygio.cpu_ms"),
    "ratio.wall-to-katafygio": ("first-sync.directory.wall_s", "katafygio.wall_s"),
    "ratio.rate-to-signed-puts": (
        "first-sync.sink.per_second",
        "signed-puts.per_second",
    ),
    "ratio.status-event-to-loads": ("status-event.cpu_us", "status-event.loads_us"),
    "ratio.restart-to-paged-gets": ("restart.wall_s", "paged-gets.wall_s"),
    "ratio.restart-to-least": ("restart.wall_s", "restart.least_s"),
    "ratio.soak-memory": ("soak.end_mb", "soak.begin_mb"),
}


def with_ratios(figures: Figures) -> Figures:
    """The same, and each ratio both of whose figures are there."""
    figures = {**figures, **_least_of_a_restart(figures)}
    ratios = {
        name: figures[above] / figures[below]
        for name, (above, below) in _RATIOS.items()
        if above in figures and figures.get(below)
    }
    return {**figures, **ratios}


def _least_of_a_restart(figures: Figures) -> Figures:
    """Seconds of what no restart can do without: a start that finds nothing to do, the listing of
    the bucket, every list read from the API server, and each of its objects decoded, cleaned and
    fingerprinted."""
    waits = [f"{name}.wall_s" for name in ("start", "raw-lists", "paged-gets")]
    stages = [f"stage.{name}_us" for name in ("parse", "clean", "fingerprint")]
    if not {*waits, *stages} <= figures.keys():
        return {}
    work = sum(figures[stage] for stage in stages) / 1e6 * figures["paged-gets.objects"]
    return {"restart.least_s": sum(figures[wait] for wait in waits) + work}


def across(sizes: Sequence[Measured]) -> Figures:
    """What only two sizes together tell: the cost of an object in the biggest against one in the
    smallest cluster, and how fast objects come where a process's start is no part of it."""
    cost, rate = "first-sync.sink.cpu_ms", "first-sync.sink.per_second"
    known = sorted((it for it in sizes if cost in it.figures), key=lambda it: it.objects)
    if len(known) < 2:
        return {}
    small, big = known[0].figures, known[-1].figures
    found = {"ratio.cost-of-growth": big[cost] / small[cost]}
    if alone := small.get("signed-puts.per_second"):
        found["ratio.sustained-rate-to-signed-puts"] = big[rate] / alone
    return found
