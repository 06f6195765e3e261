"""Shares of all files, so that reading everything back can be spread over many nights.

Exists so that a reconcile and an audit mean the same by `7/30`. Promises: a key is in exactly one
of t slices, the same one on every run and machine; t slices one after the other are everything.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

_NIGHTS = 30


@dataclass(frozen=True, slots=True)
class Slice:
    """The number-th (from 1) of so many."""

    number: int
    of: int

    def __contains__(self, key: str) -> bool:
        digest = blake2b(key.encode(), digest_size=8).digest()
        return int.from_bytes(digest) % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def of_night(at: datetime) -> Slice:
    """The slice of this date: every file has its turn within 30 nights."""
    return Slice(at.toordinal() % _NIGHTS + 1, _NIGHTS)
