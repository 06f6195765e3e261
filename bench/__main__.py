"""`python -m bench` (`make bench`): the figures of the README.

    python -m bench                               some 10,000 objects of a simulated cluster
    python -m bench --objects 100000
    python -m bench --kubeconfig ~/.kube/config   a real cluster
    python -m bench --reconcile                   a reconcile beside changes that go on

Prints a table for people and ends with one line of JSON for programs.
"""

import argparse
import json
import os
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from bench import reconcile
from bench.first_sync import Figures, best_of, simulated

_CHANGES = 10.0  # a second, beside a reconcile


def _table(figures: Figures) -> str:
    objects = figures.objects
    rows = [
        ("objects", f"{objects:,} ({figures.stored_bytes / 1e6:.1f} MB stored)"),
        ("first sync", f"{figures.first_sync:.1f} s, {objects / figures.first_sync:,.0f} a second"),
        ("raw PUTs", f"{figures.raw_puts:.1f} s, {objects / figures.raw_puts:,.0f} a second"),
        ("ratio", f"{figures.first_sync / figures.raw_puts:.2f}"),
        ("CPU", f"{figures.cpu:.1f} s, {1000 * figures.cpu / objects:.2f} ms an object"),
        ("peak RSS", f"{figures.peak_rss / 1e6:.0f} MB"),
        ("restart", f"{figures.restart:.1f} s, {figures.restart_requests} requests"),
    ]
    return "\n".join(f"{name:<12}{value}" for name, value in rows)


def _reconcile_table(figures: reconcile.Figures) -> str:
    requests = ", ".join(f"{count} {name}" for name, count in figures.requests.items())
    rows = [
        ("objects", f"{figures.objects:,}"),
        ("reconcile", f"{figures.seconds:.1f} s, drift {figures.drift}"),
        ("requests", requests),
        ("CPU", f"{figures.cpu:.1f} s beyond capture's own"),
        ("memory", f"{figures.extra_rss / 1e6:.0f} MB more at its peak"),
        ("lag p99", f"{figures.lag_before:g} s before, {figures.lag_during:g} s during"),
    ]
    return "\n".join(f"{name:<12}{value}" for name, value in rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="The README's figures.")
    parser.add_argument(
        "--objects",
        type=int,
        default=10_600,
        help="of the simulated cluster; one in twenty is left out",
    )
    parser.add_argument("--kubeconfig", type=Path, help="a real cluster instead")
    parser.add_argument("--rounds", type=int, default=3, help="the best one counts")
    parser.add_argument("--reconcile", action="store_true", help="measure a reconcile instead")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with (
        nullcontext(options.kubeconfig)
        if options.kubeconfig
        else simulated(options.objects, changes=_CHANGES * options.reconcile) as kubeconfig
    ):
        figures: Figures | reconcile.Figures
        if options.reconcile:
            figures = reconcile.measure(kubeconfig)
            print(_reconcile_table(figures))
        else:
            figures = best_of(options.rounds, kubeconfig)
            print(_table(figures))
    print(json.dumps({**asdict(figures), "load_before": round(load, 2), "cpus": os.cpu_count()}))


if __name__ == "__main__":
    main()
