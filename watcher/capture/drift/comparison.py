"""Two pictures of the same objects, the cluster's and the bucket's, held against each other.

Exists so that a reconcile of 100,000 objects needs 5 MB and not 50: each picture is a column of
16-byte digests beside the sorted keys of the ledger (whose strings are shared), and only keys that
the ledger does not know take an entry of their own. Pure. Promises: a key counts as different only
if both digests are known; what is not comparable is never drift.

The digest of a file is its MD5, where the bucket's ETags tell it, else its fingerprint.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from enum import Enum

from watcher.bucket.layout import kind_of

_DIGEST = 16  # bytes
_NONE = bytes(_DIGEST)  # there is such a file, but nothing is known of it; no digest is all zeros


class Drift(Enum):
    """A difference between bucket and cluster."""

    MISSING = "missing"  # in the cluster, not in the bucket
    CHANGED = "changed"  # in both, with other content
    ORPHANED = "orphaned"  # in the bucket, not in the cluster


class Column:
    """What one side has, by key."""

    def __init__(self, keys: Sequence[str]) -> None:
        """keys: sorted; most of those that will be set."""
        self._keys = keys
        self._digests = bytearray(_DIGEST * len(keys))
        self._there = bytearray(len(keys))
        self._others: dict[str, bytes] = {}

    def set(self, key: str, digest: bytes | None) -> None:
        """It has this key. digest: None where it cannot be told."""
        at = bisect_left(self._keys, key)
        if at < len(self._keys) and self._keys[at] == key:
            self._there[at] = 1
            self._digests[at * _DIGEST : (at + 1) * _DIGEST] = digest or _NONE
        else:
            self._others[key] = digest or _NONE

    def get(self, key: str) -> bytes | None:
        """The digest, empty where it cannot be told; None: it has no such key."""
        at = bisect_left(self._keys, key)
        if at < len(self._keys) and self._keys[at] == key:
            if not self._there[at]:
                return None
            digest = bytes(self._digests[at * _DIGEST : (at + 1) * _DIGEST])
        elif (other := self._others.get(key)) is not None:
            digest = other
        else:
            return None
        return b"" if digest == _NONE else digest

    @property
    def others(self) -> Collection[str]:
        """Keys that it has beside those that it was made with."""
        return self._others.keys()


class Comparison:
    """Both sides. `keys`: those of the ledger when it began, sorted."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self.cluster = Column(keys)
        self.bucket = Column(keys)

    def keys(self) -> Iterator[str]:
        """All keys of both sides, sorted."""
        others = {*self.cluster.others, *self.bucket.others}
        yield from sorted((*self._keys, *others)) if others else self._keys

    def differences(self, unread: Collection[str]) -> Iterator[tuple[Drift, str]]:
        """What differs at first sight. unread: kind segments that could not be listed."""
        for key in self.keys():
            if kind_of(key) in unread:
                continue
            wanted, found = self.cluster.get(key), self.bucket.get(key)
            if wanted is None and found is not None:
                yield Drift.ORPHANED, key
            elif wanted is not None and found is None:
                yield Drift.MISSING, key
            elif wanted and found and wanted != found:
                yield Drift.CHANGED, key
