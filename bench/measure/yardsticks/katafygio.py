"""katafygio: the tool that people use today for this, into a local directory.

Promises: its own dump of the whole cluster, once, without git; measured where a binary is given.
"""

import time
from pathlib import Path

from bench.measure.figures import Figures
from tests.e2e.process import Process

_LONGEST = 3600.0  # seconds


def measure(program: Path, folder: Path, kubeconfig: Path) -> Figures:
    """Raises RuntimeError if it fails or writes nothing."""
    files = folder / "files"
    began = time.monotonic()
    process = Process(
        "katafygio",
        [
            *(program, "--kube-config", kubeconfig, "--local-dir", files),
            *("--no-git", "--dump-only"),
        ],
        log=folder / "katafygio.log",
    )
    try:
        code = process.wait(_LONGEST)
    finally:
        process.kill()
    seconds = time.monotonic() - began
    objects = sum(1 for _ in files.rglob("*.yaml")) if files.exists() else 0
    if code or not objects:
        raise RuntimeError(f"katafygio ended with {code}:\n{process.tail()}")
    usage = process.usage()
    return {
        "katafygio.cpu_ms": 1000 * usage.cpu / objects,
        "katafygio.wall_s": seconds,
        "katafygio.peak_mb": usage.peak_rss / 1e6,
        "katafygio.objects": objects,
    }
