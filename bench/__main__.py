"""`python -m bench` (`make bench`): how `watcher` does, beside what people use today.

    python -m bench                                      10,000 objects, all but the soak
    python -m bench --objects 1000,10000,100000          and how it grows
    python -m bench --scenario first-sync --bucket sink  one thing
    python -m bench --scenario soak                      an hour
    python -m bench --kubeconfig FILE                    a real cluster; nothing is written to it
    python -m bench --namespaces 200                     a real control plane of its own
    python -m bench --short --check                      what CI holds (make bench-check)

Prints tables for people; `report.json`, `report.md` and its plots are in bench/out/.
docs/performance.md says what each figure means.
"""

import argparse
import compileall
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

import watcher
from bench.measure import clusters, floors, report, session
from bench.measure.buckets import WORDS
from bench.measure.clusters import Cluster
from bench.measure.figures import across
from bench.measure.place import Plan

_OUT = Path(__file__).parent / "out"


def _sizes(text: str) -> list[int]:
    return [int(size.replace("_", "")) for size in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="How watcher does.")
    add = parser.add_argument
    add("--objects", type=_sizes, default=[10_000], metavar="N[,N…]", help="of simulated clusters")
    add("--kubeconfig", type=Path, help="a real cluster instead; it is only read")
    add("--namespaces", type=int, default=0, help="of a real control plane, 55 objects in each")
    add("--scenario", action="append", choices=session.SCENARIOS, help="this one; may be repeated")
    add("--bucket", choices=WORDS, default="", help="for all scenarios  [each its own]")
    add(
        "--rounds",
        type=int,
        default=3,
        help="of first sync, restart and yardsticks; the best counts  [3]",
    )
    add("--seconds", type=float, default=45, help="of each scenario that goes on  [45]")
    add("--soak-seconds", type=float, default=3600, help="[3600]")
    add("--outage-seconds", type=float, default=120, help="of the bucket, in recovery  [120]")
    add("--katafygio", type=Path, help="its program, to be measured too")
    add("--short", action="store_true", help="what CI runs: fewer rounds, shorter, fewer scenarios")
    add("--check", action="store_true", help="exit with 1 if a floor (bench/floors.toml) is missed")
    add("--out", type=Path, default=_OUT, help="folder of the report  [bench/out]")
    return parser


def _cluster_of(given: argparse.Namespace) -> session.ClusterOf:
    if given.kubeconfig:
        return lambda folder, objects: nullcontext(Cluster(given.kubeconfig))
    if given.namespaces:
        return lambda folder, objects: clusters.filled(folder, given.namespaces)
    return clusters.simulated


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    given = _parser().parse_args(arguments)
    usual = session.SHORT if given.short else session.USUAL
    real = bool(given.kubeconfig or given.namespaces)
    scenarios = session.possible(given.scenario or usual, real=real)
    plan = Plan(
        seconds=10 if given.short else given.seconds,
        rounds=1 if given.short else given.rounds,
        soak=given.soak_seconds,
        outage=given.outage_seconds,
        burst=1000 if given.short else 5000,
        bucket=given.bucket,
        crds=200 if given.short else 1000,
        katafygio=given.katafygio,
    )
    # As it is in the images: compiling at each start takes 0.2 s of what is measured.
    compileall.compile_dir(Path(watcher.__file__).parent, quiet=1)
    console, progress = Console(), Console(stderr=True)
    results = session.run(
        given.objects[:1] if real else given.objects,
        scenarios,
        plan,
        cluster_of=_cluster_of(given),
        say=progress.log,
    )
    grown = across(results.sizes)
    verdicts = floors.judge(floors.load(), results.sizes, grown, real=real, short=given.short)
    report.show(console, results, grown, verdicts)
    console.print(f"The report is {report.write(given.out, results, grown, verdicts)}")
    for line in results.failed:
        progress.print(f"failed: {line}", style="red")
    missed = floors.fallen_short(verdicts, short=given.short) if given.check else []
    for verdict in missed:
        progress.print(str(verdict), style="red")
    return 1 if results.failed or missed else 0


if __name__ == "__main__":
    sys.exit(main())
