"""Another program, run once to its end: what it took."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure.figures import Figures
from tests.e2e.process import Process

_LONGEST = 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Ended:
    process: Process
    code: int
    seconds: float

    def figures(self, objects: int) -> Figures:
        """Of so many objects. Raises RuntimeError if it failed or did nothing."""
        process, name = self.process, self.process.name
        if self.code or not objects:
            raise RuntimeError(f"{name} ended with {self.code}:\n{process.tail(5)}")
        usage = process.usage()
        return {
            f"{name}.cpu_ms": 1000 * usage.cpu / objects,
            f"{name}.wall_s": self.seconds,
            f"{name}.peak_mb": usage.peak_rss / 1e6,
            f"{name}.objects": objects,
        }


def run(
    name: str, words: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None
) -> Ended:
    """log: gets what it prints."""
    began = time.monotonic()
    process = Process(name, words, log=log, env=env)
    try:
        code = process.wait(_LONGEST)
    finally:
        process.kill()
    return Ended(process, code, time.monotonic() - began)
