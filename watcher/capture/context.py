"""What one run was given: its two edges, its settings, its time and its chance.

Exists so that the parts which are put together from it take one value instead of ten. Promises:
nothing in it changes, and no part reaches the outside by anything else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random

from watcher.bucket.layout import Layout
from watcher.bucket.store import Store
from watcher.cluster.api import API
from watcher.logs import Log
from watcher.metrics import Metrics
from watcher.objects.clean import Cleaner
from watcher.settings import Settings
from watcher.status import About


@dataclass(frozen=True, slots=True)
class Context:
    api: API
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
