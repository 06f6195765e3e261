"""Whether what many absent objects lived in, or were defined by, is itself gone.

Exists because a namespace of 400 objects may be deleted, and a CRD with all its objects: that is
no accident, if it is true. Promises (DESIGN.md section 8): the cluster itself says of that very
Namespace that it is not there, or names no CRD and no APIService for a kind; and its file is gone
too or about to be, else somebody doubts it. Who is only waiting for that decision is told apart.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from watcher.bucket.layout import Layout, kind_of, parse
from watcher.bucket.ledger import Ledger
from watcher.cluster import client, discovery
from watcher.cluster.api import API
from watcher.errors import ClusterError
from watcher.objects.ref import APIResource, ObjectRef

_QUESTIONS = 8  # at the same time
_NAMESPACES = APIResource("", "v1", "namespaces", "Namespace", False)
_DEFINITIONS = ("customresourcedefinition", "apiservice")


class Fate(Enum):
    """What is to become of a container's file."""

    GONE = auto()
    GOING = auto()  # if what is decided now lets it
    STAYS = auto()  # held, or kept
    OPEN = auto()  # nobody has decided yet


@dataclass(slots=True)
class Found:
    """excuses: for breaker.too_many. waiting: keys that have none only because what is to become
    of their container's file is open."""

    excuses: dict[str, list[frozenset[str]]] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)

    def grant(
        self, keys: Iterable[str], containers: Collection[str], fate: Callable[[str], Fate]
    ) -> None:
        """These containers of these keys are gone from the cluster."""
        fates = {fate(container) for container in containers}
        if Fate.OPEN in fates and Fate.STAYS not in fates:
            self.waiting.update(keys)
        elif Fate.STAYS not in fates:
            for key in keys:
                self.excuses.setdefault(key, []).append(frozenset(containers))


async def look(
    api: API,
    ledger: Ledger,
    keys: Collection[str],
    *,
    kind_is_gone: Collection[str],
    fate: Callable[[str], Fate],
) -> Found:
    """Ask for the containers of these keys. kind_is_gone: those whose kind no CRD and no
    APIService stands for any more, as the cluster said. Raises ClusterError."""
    found = Found()
    by_namespace: dict[str, list[str]] = {}
    for key in keys:
        place = parse(key)
        if place and place.namespace:
            by_namespace.setdefault(place.namespace, []).append(key)
    for namespace in await _gone(api, by_namespace):
        container = Layout.key(ObjectRef("", "Namespace", "", namespace))
        found.grant(by_namespace[namespace], {container}, fate)
    by_group: dict[str, list[str]] = {}
    for key in kind_is_gone:
        if group := kind_of(key).partition(".")[2]:  # Kubernetes' own kinds have no definition
            by_group.setdefault(group, []).append(key)
    if by_group:
        served = {*await discovery.custom_kinds(api), *await discovery.api_services(api)}
        for group, of_group in by_group.items():
            found.grant(of_group, definitions(ledger, group, besides=served), fate)
    found.waiting -= found.excuses.keys()
    return found


def definitions(ledger: Ledger, group: str, *, besides: Collection[str] = ()) -> set[str]:
    """Files of CRDs and APIServices of a group, but for those of these names."""
    return {
        key
        for kind in _DEFINITIONS
        for key in ledger.keys_of(kind)
        if (place := parse(key)) and (name := place.name)
        if name.partition(".")[2] == group and name not in besides
    }


async def _gone(api: API, namespaces: Iterable[str]) -> list[str]:
    """Those that the cluster does not have. Raises ClusterError."""
    queue = iter(namespaces)
    errors: list[ClusterError] = []

    async def ask_in_turn() -> list[str]:
        try:
            return [n for n in queue if await client.find_one(api, _NAMESPACES, "", n) is None]
        except ClusterError as error:
            errors.append(error)
            return []

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask_in_turn()) for _ in range(_QUESTIONS)]
    if errors:
        raise errors[0]
    return [namespace for task in tasks for namespace in task.result()]
