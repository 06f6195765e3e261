"""katafygio: the tool that people use today for this, into a local directory.

Promises: its own dump of the whole cluster, once, without git; measured where a binary is given.
"""

from pathlib import Path

from bench.measure.figures import Figures
from bench.measure.yardsticks.program import run


def measure(program: Path, folder: Path, kubeconfig: Path) -> Figures:
    """Raises RuntimeError if it fails or writes nothing."""
    files = folder / "files"
    ended = run(
        "katafygio",
        [
            *(program, "--kube-config", kubeconfig, "--local-dir", files),
            *("--no-git", "--dump-only"),
        ],
        log=folder / "katafygio.log",
    )
    return ended.figures(sum(1 for _ in files.rglob("*.yaml")) if files.exists() else 0)
