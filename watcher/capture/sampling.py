"""Which files of many are read: all, each of n/t once in t runs, or some per cent by chance.

Exists so that a bucket too large to be read every night is read in turns. Promises: whether a key
is in a part depends on the key alone, so the parts 1/t to t/t are all files and overlap nowhere;
a percentage draws by a seed, and the same seed draws the same files again.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b

EXPECTED = "n/t such as 7/30, or a percentage such as 5% or 5%@seed"

_SLICE = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%(?:@(.+))?")


@dataclass(frozen=True, slots=True)
class Slice:
    """The n-th of t parts of about the same size; 1 <= n <= t."""

    n: int = 1
    t: int = 1

    def has(self, key: str) -> bool:
        return self.t == 1 or _hash("", key) % self.t == self.n - 1

    def __str__(self) -> str:
        return f"{self.n}/{self.t}"


@dataclass(frozen=True, slots=True)
class Share:
    """About so many per cent, drawn by a seed."""

    percent: float
    seed: str

    def has(self, key: str) -> bool:
        return _hash(self.seed, key) < self.percent / 100 * 2**64

    def __str__(self) -> str:
        return f"{self.percent:g}%@{self.seed}"


Subset = Slice | Share
ALL = Slice()


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


def _hash(seed: str, key: str) -> int:
    digest = blake2b(f"{seed}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
