"""Is it still our cluster that answers at this address?

Exists because an address outlives the cluster behind it: an API server comes back on an empty etcd,
a load balancer or a name points elsewhere. What another cluster tells is true there, and would be
stored here as if it were ours. Promises: `confirm` never returns where another cluster answered;
many who doubt at the same moment cost one request; one that nobody doubted is noticed in a minute.
"""

import asyncio
import math
from contextlib import suppress

from watcher.cluster import client
from watcher.cluster.api import API
from watcher.errors import ClusterError, RefusedError

_INTERVAL = 60.0  # seconds


class SameCluster:
    """uid: of the namespace kube-system of the cluster that the backup is of."""

    def __init__(self, api: API, uid: str) -> None:
        self._api = api
        self._uid = uid
        self._asking = asyncio.Lock()
        self._confirmed = -math.inf  # loop time of the last question that was answered well

    async def confirm(self, since: float = math.inf) -> None:
        """Ask, unless a question from after `since` (loop time) was answered well.

        Raises RefusedError where another cluster answers, ClusterError where nobody tells.
        """
        async with self._asking:
            if self._confirmed >= since:
                return
            asked = asyncio.get_running_loop().time()
            found = await client.cluster_uid(self._api)
            if found != self._uid:
                raise RefusedError(
                    f"another cluster answers at this address: its UID is {found}, the backup is"
                    f" of the one with UID {self._uid}",
                    hint="if this cluster replaces that one: watcher claim --take-over",
                )
            self._confirmed = asked

    async def watch(self) -> None:
        """Ask each minute. Never returns; raises RefusedError."""
        while True:
            await asyncio.sleep(_INTERVAL)
            with suppress(ClusterError):  # whoever needs an answer says so
                await self.confirm()
