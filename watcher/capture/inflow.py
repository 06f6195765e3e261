"""The half of capture that begins at the cluster: states -> pending changes, absences -> doubts.

Exists because it is the same whatever becomes of the changes: whoever may write hands them to the
bucket (outflow.py), a standby (standby.py) only keeps them until it hears that another did.
Promises: writes nothing; what it holds is bounded, whether somebody takes it away or not.
"""

import asyncio
from collections.abc import Callable

from watcher.bucket.held import Loaded
from watcher.bucket.layout import parse
from watcher.bucket.ledger import Ledger
from watcher.capture.change import Change, Deleted
from watcher.capture.context import Context
from watcher.capture.debounce import Pending
from watcher.capture.deletes.absence import Absence
from watcher.capture.deletes.decisions import known_holds
from watcher.capture.deletes.judge import Judge
from watcher.capture.intake import Flow
from watcher.capture.served import Kinds
from watcher.cluster.client import Item
from watcher.cluster.same import SameCluster
from watcher.errors import BucketError
from watcher.objects.ref import APIResource
from watcher.objects.selection import Selection
from watcher.objects.stored import name_of


class Inflow:
    def __init__(
        self,
        context: Context,
        cluster_uid: str,
        ledger: Ledger,
        deletes: Loaded,
        *,
        kinds: Callable[[], Kinds],
    ) -> None:
        settings = context.settings
        self._context = context
        self._time = asyncio.get_running_loop().time
        self.kinds = kinds
        self.ledger = ledger
        self.pending = Pending(settings.debounce, settings.max_delay, settings.memory_budget)
        self.holds = known_holds(deletes, ledger, context.clock)
        self.same = SameCluster(context.api, cluster_uid)
        self.absence = Absence(
            context.api,
            self.same,
            self.holds,
            Judge(context.api, ledger, self.holds, settings.max_delete_ratio),
            resource_of=lambda segment: kinds().resource_of(segment),
            told=lambda resource: kinds().told(resource),
            identify=self.identify,
            delete=self._delete,
            found=self._found,
            log=context.log,
            random=context.random,
        )
        self.flow = Flow(
            context.layout,
            context.cleaner,
            _selection(context),
            ledger,
            self.pending,
            self.absence,
            context.metrics,
            context.log,
        )

    async def identify(self, key: str) -> tuple[str, str]:
        """Namespace and name of the object that a file holds. Raises BucketError."""
        place = parse(key)
        if place is None:  # an aggregated API may have namespaces that are no DNS labels
            raise BucketError(f"{key} does not tell which object it holds")
        if place.name is not None:
            return place.namespace, place.name
        body, _ = await self._context.store.get(self._context.layout.prefix + key)
        try:
            return place.namespace, name_of(body)
        except ValueError as error:
            raise BucketError(f"{key} is {error}") from error

    def _delete(self, key: str, resource: APIResource, how: Deleted) -> None:
        self.pending.offer(Change(key, resource, how), self._time(), at_once=True)

    def _found(self, key: str, resource: APIResource, item: Item) -> None:
        intake = self.kinds().intake_of(resource)
        if intake is None or self._context.settings.label_selector:
            # It left the selection, by itself or by a change of settings: that cannot be told.
            self.absence.left_out(key)
        else:
            intake.listed_late(item)


def _selection(context: Context) -> Selection:
    settings = context.settings
    return Selection(
        settings.include_namespaces,
        settings.exclude_namespaces,
        settings.include_cluster_scoped,
        settings.exclude_owned,
        settings.secrets == "exclude",
    )
