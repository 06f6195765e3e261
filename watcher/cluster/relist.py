"""One complete list of a kind, beside the informer that follows it.

Exists because a reconcile asks the cluster anew instead of believing what it was told. Promises: a
list that broke off is begun again from its beginning, so what was seen between the last `begin` and
the return is one consistent whole.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from watcher.backoff import Backoff
from watcher.cluster import client
from watcher.cluster.api import API
from watcher.cluster.client import Item
from watcher.cluster.phases import Failed, Listing, Page, step
from watcher.errors import ClusterError
from watcher.objects.ref import APIResource

_TRIES = 5


async def relist(
    api: API,
    resource: APIResource,
    *,
    begin: Callable[[], None],
    take: Callable[[list[Item]], None],
    random: Random,
    selector: str = "",
) -> None:
    """Hand all objects of a kind to `take`, in batches. begin: called before the first one, and
    again where it all begins anew. Raises ClusterError after some tries."""
    backoff = Backoff(random, first=0.8, longest=30.0)
    selecting: Mapping[str, str] = {"labelSelector": selector} if selector else {}
    phase = Listing()
    for _ in range(_TRIES):
        begin()
        while True:
            try:
                query = {**selecting, **client.paging(token=phase.token, paged=phase.paged)}
                page = Page(*await client.list_page(api, resource.path, query, take))
            except ClusterError as error:
                taken, failure = step(phase, Failed(error)), error
                break
            taken = step(phase, page)
            if taken.complete:
                return
            assert isinstance(taken.phase, Listing)
            phase = taken.phase
        paged = isinstance(taken.phase, Listing) and taken.phase.paged
        phase = replace(Listing(), paged=paged)
        await asyncio.sleep(max(taken.at_least, backoff.next()))
    raise failure
