"""`kubectl get -o yaml` of all kinds that are backed up: what a cron job with kubectl costs.

Promises: one kubectl for all kinds, its output in a file; an object is one that it printed.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.measure.figures import Figures
from bench.measure.yardsticks.program import run
from tests.e2e.parts.build import binary
from watcher.objects.ref import APIResource


def measure(
    folder: Path, kubeconfig: Path, kinds: Sequence[APIResource], program: Path | None = None
) -> Figures:
    """program: None: that of the real parts. Raises RuntimeError if it fails or prints nothing."""
    words = ",".join(it.label for it in kinds)
    printed = folder / "all.yaml"
    ended = run(
        "kubectl",
        [
            *(program or binary("kubectl"), "--kubeconfig", kubeconfig),
            *("get", "--all-namespaces", "--output", "yaml", words),
        ],
        log=printed,
        env={"KUBECACHEDIR": str(folder / "cache"), "HOME": str(folder)},
    )
    with printed.open("rb") as lines:
        return ended.figures(sum(line.startswith(b"- apiVersion:") for line in lines))
