"""Which of many inferred deletions are too many to be believed.

Exists because a cluster whose objects are really gone and one that lost them by accident answer
alike: only the number tells them apart. Promises (DESIGN.md section 8): of a kind, or of all, no
more than a ratio goes in one go, what went within the last hour counted in; up to 20 always may;
what went with its Namespace, CRD or APIService neither counts nor is held, but only where that one
was not held itself. Pure: who goes, who is excused and how many there are is given.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from watcher.bucket.layout import kind_of

LEAST = 20  # deletions that are never too many
_WINDOW = 3600.0  # seconds that make one go of several

# A key's ways to be excused. Each names the keys on which it rests: one of them held, it is void.
Excuses = Mapping[str, Collection[frozenset[str]]]


def too_many(
    suspects: Iterable[str],
    *,
    ratio: float,
    files: Mapping[str, int],
    recent: Iterable[str] = (),
    excuses: Excuses | None = None,
) -> frozenset[str]:
    """Those of the suspects, keys that are about to be deleted by inference, that are to be held.

    files: how many the bucket holds of each kind segment, suspects and `recent` counted in.
    recent: keys that went by inference within the last hour.
    """
    suspects, earlier = list(suspects), Counter(map(kind_of, recent))
    held: frozenset[str] = frozenset()
    while True:
        # A container that turns out to be held excuses nothing: look again until nothing changes.
        counted = [key for key in suspects if not _excused(key, excuses or {}, held)]
        now = Counter(map(kind_of, counted))
        if _exceeds(len(counted) + earlier.total(), ratio, sum(files.values())):
            doubted = frozenset(counted)
        else:
            kinds = {
                kind
                for kind, count in now.items()
                if _exceeds(count + earlier[kind], ratio, files.get(kind, 0))
            }
            doubted = frozenset(key for key in counted if kind_of(key) in kinds)
        if doubted <= held:
            return held
        held |= doubted


def _excused(key: str, excuses: Excuses, held: frozenset[str]) -> bool:
    return any(not rests_on & held for rests_on in excuses.get(key, ()))


def _exceeds(count: int, ratio: float, files: int) -> bool:
    return count > max(LEAST, ratio * files)


@dataclass(slots=True)
class Recent:
    """Keys that went by inference within the last hour."""

    _gone: deque[tuple[float, str]] = field(default_factory=deque)

    def add(self, keys: Iterable[str], now: float) -> None:
        """now: seconds, monotonic."""
        self._gone.extend((now, key) for key in keys)

    def keys(self, now: float) -> list[str]:
        while self._gone and self._gone[0][0] < now - _WINDOW:
            self._gone.popleft()
        return [key for _, key in self._gone]
