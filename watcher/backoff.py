"""How long to wait before the next try.

Exists (beside the libraries that do the same) because tests and the simulation replay a run by
its seed, so the randomness must come from outside. Promises: pure but for that; grows by two from
`first` to `longest`, each wait jittered to between half and all of it, so that a thousand clusters
that lost the same bucket do not come back together.
"""

from dataclasses import dataclass
from random import Random


@dataclass(slots=True)
class Backoff:
    random: Random
    first: float  # seconds
    longest: float  # seconds
    failures: int = 0

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        whole = min(self.longest, self.first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return whole * self.random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It works again."""
        self.failures = 0
