"""`kubectl get -o yaml` of all kinds that are backed up: what a cron job with kubectl costs.

Promises: one kubectl for all kinds, its output in a file; an object is one that it printed.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from bench.measure.figures import Figures
from tests.e2e.parts.build import binary
from tests.e2e.process import Process
from watcher.objects.ref import APIResource

_LONGEST = 3600.0  # seconds


def measure(
    folder: Path, kubeconfig: Path, kinds: Sequence[APIResource], program: Path | None = None
) -> Figures:
    """program: None: that of the real parts. Raises RuntimeError if it fails or prints nothing."""
    words = ",".join(it.label for it in kinds)
    began = time.monotonic()
    process = Process(
        "kubectl",
        [
            *(program or binary("kubectl"), "--kubeconfig", kubeconfig),
            *("get", "--all-namespaces", "--output", "yaml", words),
        ],
        log=folder / "all.yaml",
        env={"KUBECACHEDIR": str(folder / "cache"), "HOME": str(folder)},
    )
    try:
        code = process.wait(_LONGEST)
    finally:
        process.kill()
    seconds = time.monotonic() - began
    with process.log.open("rb") as printed:
        objects = sum(line.startswith(b"- apiVersion:") for line in printed)
    if code or not objects:
        raise RuntimeError(f"kubectl ended with {code}:\n{process.tail(5)}")
    usage = process.usage()
    return {
        "kubectl.cpu_ms": 1000 * usage.cpu / objects,
        "kubectl.wall_s": seconds,
        "kubectl.peak_mb": usage.peak_rss / 1e6,
        "kubectl.objects": objects,
    }
