"""The cluster that is measured against: a simulated one in a process of its own, or a real one.

Exists so that scenarios don't care which. Promises: one of ours is gone afterwards, and the
simulated one tells what it cost; into somebody's nothing is ever written.
"""

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.control import PATH
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fill import fill
from tests.e2e.process import Process, until


@dataclass(frozen=True, slots=True)
class Cluster:
    """process: None for a real one, which only reading scenarios may use."""

    kubeconfig: Path
    process: Process | None = None
    url: str = ""

    @property
    def simulated(self) -> bool:
        return self.process is not None

    @property
    def cpu(self) -> float:
        """Seconds that the simulation took so far; 0 of a real one, which we can't ask."""
        return self.process.usage().cpu if self.process else 0.0

    def ask(self, **asked: float) -> dict[str, Any]:
        """See bench/control.py. Only of a simulated one."""
        request = urllib.request.Request(f"{self.url}{PATH}?{urlencode(asked)}", method="POST")
        with urllib.request.urlopen(request, timeout=600) as answer:
            told: dict[str, Any] = json.load(answer)
            return told


@contextmanager
def simulated(folder: Path, objects: int, *, crds: int = 0) -> Iterator[Cluster]:
    """One in which so many objects are backed up (one in twenty more is left out)."""
    kubeconfig = folder / "kubeconfig"
    size = ("--objects", str(objects * 20 // 19), "--crds", str(crds))
    server = Process(
        "simulated API server",
        [sys.executable, "-m", "bench.server", *size, "--kubeconfig", kubeconfig],
        log=folder / "server.log",
    )
    try:
        until(
            lambda: "http" in server.log.read_text(), "simulated cluster", needs=server, timeout=300
        )
        url = next(it for it in server.log.read_text().splitlines() if it.startswith("http"))
        yield Cluster(kubeconfig, server, url)
    finally:
        server.stop()


@contextmanager
def filled(folder: Path, namespaces: int) -> Iterator[Cluster]:
    """A real control plane with controllers, and some 55 objects in each of so many namespaces."""
    plane = ControlPlane(folder / "control-plane", controllers=True)
    try:
        fill(plane, namespaces=namespaces, for_kubectl=True)
        yield Cluster(plane.kubeconfig())
    finally:
        plane.close()
