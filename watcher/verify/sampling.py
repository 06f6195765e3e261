"""Which files of many are read: all, one slice of so many, or some per cent by chance.

Exists so that a bucket too large to be read every night is read in turns (bucket/slices.py), or
looked into here and there. Promises: a percentage draws by a seed, and the same seed draws the same
files again.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b

from watcher.bucket.slices import Slice

EXPECTED = "n/t such as 7/30, or a percentage such as 5% or 5%@seed"

_SLICE = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%(?:@(.+))?")


@dataclass(frozen=True, slots=True)
class Share:
    """About so many per cent, drawn by a seed."""

    percent: float
    seed: str

    def __contains__(self, key: str) -> bool:
        digest = blake2b(f"{self.seed}\0{key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.percent / 100 * 2**64

    def __str__(self) -> str:
        return f"{self.percent:g}%@{self.seed}"


Subset = Slice | Share
ALL = Slice(1, 1)


def parse(text: str, *, seed: str) -> Subset:
    """seed: of a percentage that names none. Raises ValueError."""
    if match := _SLICE.fullmatch(text):
        n, t = int(match[1]), int(match[2])
        if 1 <= n <= t:
            return Slice(n, t)
    if match := _SHARE.fullmatch(text):
        percent = float(match[1])
        if 0 < percent <= 100:
            return Share(percent, match[2] or seed)
    raise ValueError(text)
