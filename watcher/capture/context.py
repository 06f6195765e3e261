"""What one run was given: its two edges, its settings, its time and its chance.

Exists so that the parts which are put together from it take one value instead of ten. Promises:
nothing in it changes, and no part reaches the outside by anything else.
"""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from watcher.bucket.layout import Layout
from watcher.bucket.opening import open_store
from watcher.bucket.store import Store
from watcher.cluster.api import WritableAPI
from watcher.cluster.connection import connect
from watcher.logs import Log
from watcher.metrics import Metrics
from watcher.objects.clean import Cleaner, load_rules
from watcher.objects.secrets import SecretPolicy
from watcher.settings import Settings
from watcher.status import About


@dataclass(frozen=True, slots=True)
class Context:
    api: WritableAPI
    store: Store
    settings: Settings
    cleaner: Cleaner
    about: About
    metrics: Metrics
    log: Log
    random: Random
    clock: Callable[[], datetime]

    @property
    def layout(self) -> Layout:
        return Layout(self.settings.cluster_domain, self.settings.cluster_name)


@asynccontextmanager
async def opened(settings: Settings, metrics: Metrics, log: Log) -> AsyncIterator[Context]:
    """The real thing: the cluster and the bucket of the settings, this host, true time and chance.

    Nothing is asked of either yet. Raises UsageError.
    """
    async with (
        connect(settings.kubeconfig, settings.context) as api,
        open_store(settings, metrics.observe_request, _utc_now) as store,
    ):
        about = about_of(settings, store, metrics, socket.gethostname(), _utc_now())
        cleaner = cleaner_of(settings)
        yield Context(api, store, settings, cleaner, about, metrics, log, Random(), _utc_now)


def about_of(
    settings: Settings, store: Store, metrics: Metrics, instance: str, started: datetime
) -> About:
    return About(
        domain=settings.cluster_domain,
        cluster=settings.cluster_name,
        bucket=store.name,
        version=metrics.version,
        instance=instance,
        started=started,
    )


def cleaner_of(settings: Settings) -> Cleaner:
    """Raises UsageError for rules that cannot be read."""
    key = settings.fingerprint_key.reveal().encode() or None
    place = settings.cluster_domain, settings.cluster_name
    return Cleaner(load_rules(settings.clean_rules), SecretPolicy(settings.secrets, key, *place))


def _utc_now() -> datetime:
    return datetime.now(UTC)
