"""Which of the objects that the cluster does not have any more are believed to be gone.

Exists so that all that were asked for are judged as one, with what went shortly before and with
what is known of their Namespaces and kinds. Promises: the cluster is asked for those only where
there is a doubt; who only waits until its Namespace or definition is decided on is not held yet.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from watcher.bucket.layout import kind_of
from watcher.bucket.ledger import Ledger
from watcher.capture.deletes import excuses
from watcher.capture.deletes.breaker import Recent, too_many
from watcher.capture.deletes.excuses import Fate, Found
from watcher.capture.deletes.holds import Holds
from watcher.cluster.api import API


@dataclass(frozen=True, slots=True)
class Verdict:
    """Keys; all others go."""

    held: frozenset[str]
    waiting: frozenset[str]


class Judge:
    def __init__(self, api: API, ledger: Ledger, holds: Holds, ratio: float) -> None:
        self._api = api
        self._ledger = ledger
        self._holds = holds
        self._ratio = ratio
        self._recent = Recent()
        self._time = asyncio.get_running_loop().time

    async def judge(
        self, suspects: Mapping[str, bool], *, tired_of_waiting: Collection[str]
    ) -> Verdict:
        """suspects: keys that are about to go, and whether their kind is gone too. Raises
        ClusterError."""
        found = Found()
        held = self._too_many(suspects, found)
        if held:
            found = await excuses.look(
                self._api,
                self._ledger,
                suspects,
                kind_is_gone=[key for key, kind_is_gone in suspects.items() if kind_is_gone],
                fate=lambda container: self._fate(container, suspects),
            )
            found.waiting.difference_update(tired_of_waiting)
            held = self._too_many([key for key in suspects if key not in found.waiting], found)
        waiting = frozenset(found.waiting)
        uncounted = held | waiting | found.excuses.keys()
        self._recent.add((key for key in suspects if key not in uncounted), self._time())
        return Verdict(held, waiting)

    def _too_many(self, suspects: Collection[str], found: Found) -> frozenset[str]:
        recent = self._recent.keys(self._time())
        files = Counter({kind: self._ledger.count(kind) for kind in self._ledger.kinds()})
        files.update(kind_of(key) for key in recent if self._ledger.get(key).holds(None))
        return too_many(
            suspects,
            ratio=self._ratio,
            files=files,
            recent=recent,
            excuses=found.excuses,
        )

    def _fate(self, container: str, going: Collection[str]) -> Fate:
        if self._ledger.get(container).holds(None):
            return Fate.GONE
        if self._holds.stays(container):
            return Fate.STAYS
        return Fate.GOING if container in going else Fate.OPEN
