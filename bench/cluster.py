"""One model of a cluster: its kinds, its objects, its resourceVersions and their history.

Exists so that simulation, tests, benchmarks and the demo agree on what Kubernetes does; the fronts
(memory_api.py, server.py) only carry it. Promises: what the real API server was seen to do
(REAL_PARTS.md); nothing that is handed out can alter the truth; no I/O, no waiting, no clock but
the one given. What may go wrong is in `faults`. Kinds are named in kubectl's words: `configmaps`,
`deployments.apps`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import orjson

from bench.faults import Failure, Faults
from bench.kinds import Kind, built_in_kinds, custom_kind
from bench.managed_fields import managed
from bench.selectors import Selection
from bench.table import Body, Table
from bench.watch import Ending, Watch

Object = dict[str, Any]

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
API_SERVICES = "apiservices.apiregistration.k8s.io"

# The real one's order of metadata, where it is not sorted.
_FIRST = ("name", "generateName", "namespace", "uid", "resourceVersion", "generation")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a copy of etcd holds. Opaque; from `Cluster.snapshot`, for `Cluster.restore`."""

    version: int
    tables: Mapping[str, tuple[Kind, dict[str, Body]]] = field(repr=False)


class Cluster:
    """`window`: changes of a kind that watches can go back to. `seed`: of the uids. `kinds`: what
    is served from birth, among it namespaces and APIServices; None: all that the real one has."""

    custom_kind_lag = 0.2  # seconds from a CRD's creation until its objects are served

    def __init__(
        self,
        clock: Callable[[], datetime],
        *,
        seed: int = 0,
        window: int = 10_000,
        kinds: Iterable[Kind] | None = None,
    ) -> None:
        self.version = 0  # the newest resourceVersion
        self.floor = 0  # compaction: older ones are "too old"
        self.aggregated_discovery = True  # False: a server older than 1.27
        self.requests: Counter[tuple[str, str]] = Counter()  # (verb, kind or path)
        self.faults = Faults()
        self._clock = clock
        self._random = Random(seed)
        self._window = window
        self._kinds: dict[str, Kind] = {}
        self._tables: dict[str, Table] = {}
        self._served_from: dict[str, datetime] = {}
        for kind in built_in_kinds() if kinds is None else kinds:
            self._kinds[kind.label] = kind
            self._tables[kind.label] = Table(window)
        if "events" in self._tables:  # one storage, two names
            self._tables["events.events.k8s.io"] = self._tables["events"]
        for name in ("default", "kube-node-lease", "kube-public", "kube-system"):
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for group, version in self._served():
            self._announce(group, version)

    # -- reading

    @property
    def uid(self) -> str:
        """Who this cluster is: the uid of the namespace kube-system."""
        return str(self.get("namespaces", "", "kube-system")["metadata"]["uid"])

    def kinds(self) -> list[Kind]:
        return list(self._kinds.values())

    def kind(self, label: str) -> Kind:
        """As it is served. Raises Failure 404, as text: the answer to an unknown path."""
        served = self._served_from.get(label)
        if label not in self._kinds or (served and self._clock() < served):
            raise Failure(404, "NotFound", "404 page not found", plain=True)
        return self._kinds[label]

    def table(self, label: str) -> Table:
        return self._tables[label]

    def get(self, label: str, namespace: str, name: str) -> Object:
        """A copy, with kind and apiVersion. Raises Failure 404."""
        kind = self._kinds[label]
        key = _key(namespace, name)
        body = self._tables[label].bodies.get(key)
        if body is None:
            raise Failure(404, "NotFound", f'{label} "{name}" not found')
        return _object(kind, body)

    def objects(self, label: str) -> Iterator[Object]:
        """Copies of all objects of a kind."""
        kind = self._kinds[label]
        for body in list(self._tables[label].bodies.values()):
            yield _object(kind, body)

    def __len__(self) -> int:
        return sum(len(self._tables[label].bodies) for label in self._kinds if label != "events")

    # -- changing

    def create(self, content: Object, *, manager: str = "kubectl-create") -> Object:
        """Returns a copy of what is stored. A given uid or creationTimestamp is kept, so that a
        cluster can have a past. Raises Failure."""
        content = deepcopy(content)
        kind = self._kind_of(content)
        metadata = content.setdefault("metadata", {})
        if "name" not in metadata:
            metadata["name"] = f"{metadata['generateName']}{self._random.getrandbits(25):05x}"
        namespace = metadata.get("namespace", "")
        if kind.resource.namespaced and not self._has("namespaces", namespace):
            raise Failure(404, "NotFound", f'namespaces "{namespace}" not found')
        if self._has(kind.label, _key(namespace, metadata["name"])):
            message = f'{kind.label} "{metadata["name"]}" already exists'
            raise Failure(409, "AlreadyExists", message)
        metadata.setdefault("uid", str(UUID(int=self._random.getrandbits(128), version=4)))
        metadata.setdefault("creationTimestamp", self._now())
        if "spec" in content:
            metadata.setdefault("generation", 1)
        if kind.label == "namespaces":
            metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]
            content.setdefault("spec", {})["finalizers"] = ["kubernetes"]
            content["status"] = {"phase": "Active"}
        if "managedFields" not in metadata:
            metadata["managedFields"] = managed(None, content, manager=manager, now=self._now())
        stored = self._put(kind, content)
        if kind.label == CRDS:
            self._define(content)
        return stored

    def update(self, content: Object, *, manager: str = "kubectl-edit") -> Object:
        """Replace an object; with a resourceVersion only if it is the current one. One that does
        not differ stays as it is. Raises Failure."""
        content = deepcopy(content)
        kind = self._kind_of(content)
        metadata = content["metadata"]
        before = self.get(kind.label, metadata.get("namespace", ""), metadata["name"])
        if metadata.get("resourceVersion", "") not in ("", before["metadata"]["resourceVersion"]):
            message = (
                "the object has been modified; please apply your changes to the latest version"
            )
            raise Failure(409, "Conflict", message)
        for name in ("uid", "creationTimestamp", "generation", "resourceVersion", "managedFields"):
            if name in before["metadata"]:
                metadata[name] = before["metadata"][name]
        if content == before:
            return before
        if content.get("spec") != before.get("spec"):
            metadata["generation"] = metadata.get("generation", 1) + 1
        metadata["managedFields"] = managed(before, content, manager=manager, now=self._now())
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self._remove(kind, _key(metadata.get("namespace", ""), metadata["name"]))
            return content
        stored = self._put(kind, content)
        if kind.label == CRDS:
            self._define(content)
        return stored

    def edit(
        self,
        label: str,
        namespace: str,
        name: str,
        change: Callable[[Object], object],
        *,
        manager: str = "kubectl-edit",
    ) -> Object:
        """Read, change in place, update. Raises Failure."""
        content = self.get(label, namespace, name)
        change(content)
        return self.update(content, manager=manager)

    def delete(self, label: str, namespace: str, name: str) -> Object:
        """Returns the last state. An object with finalizers is only marked. Raises Failure."""
        content = self.get(label, namespace, name)
        kind = self._kinds[label]
        if label == "namespaces":
            return self._delete_namespace(content)
        if label == CRDS:
            self._withdraw(content)
        if content["metadata"].get("finalizers"):
            content["metadata"].setdefault("deletionTimestamp", self._now())
            return self._put(kind, content)
        self._remove(kind, _key(namespace, name))
        return content

    def load(self, bodies: Iterable[tuple[str, str, Callable[[int], Body]]]) -> None:
        """Many objects at once, from before the watch cache's time: their kind, their key
        (`namespace/name`) and what makes the body for a resourceVersion."""
        for label, key, make in bodies:
            self.version += 1
            self._tables[label].put(key, make(self.version), self.version)
        for table in self._tables.values():
            table.forget()

    # -- watching

    def watch(
        self, label: str, version: str, selection: Selection, after: int, *, initial: bool = False
    ) -> Watch:
        """A place in the history of a kind; to be in `faults.watches` while it is open.
        Raises Failure 410."""
        table = self.table(label)
        if not initial and after < max(self.floor, table.forgotten):
            message = f"too old resource version: {after} ({self.version})"
            raise Failure(410, "Expired", message)
        return Watch(self.kind(label), version, table, selection, after, initial=initial)

    # -- etcd's own turns of fate (all others: faults.py)

    def compact(self) -> None:
        """All history is gone, as after a compaction and a restart of the API server: 410 to
        watches from an older resourceVersion and to older continue tokens. Open watches go on."""
        self.floor = self.version
        for table in self._tables.values():
            table.forget()

    def snapshot(self) -> Snapshot:
        tables = {
            label: (kind, dict(self._tables[label].bodies)) for label, kind in self._kinds.items()
        }
        return Snapshot(self.version, tables)

    def restore(self, snapshot: Snapshot) -> None:
        """etcd is put back: objects and resourceVersions go back in time, open watches break."""
        self.faults.drop_watches()
        self.version = self.floor = snapshot.version
        self._kinds = {label: kind for label, (kind, _) in snapshot.tables.items()}
        for label, (_, bodies) in snapshot.tables.items():
            self._tables.setdefault(label, Table(self._window)).replace(bodies)

    def heal(self) -> None:
        """All faults end, and what had to wait for that goes on."""
        self.faults.end()
        for namespace in self.objects("namespaces"):
            if "deletionTimestamp" in namespace["metadata"]:
                self._delete_namespace(namespace)

    # -- inside

    def _has(self, label: str, key: str) -> bool:
        return key in self._tables[label].bodies

    def _now(self) -> str:
        return self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _kind_of(self, content: Object) -> Kind:
        group = content["apiVersion"].rpartition("/")[0]
        for kind in self._kinds.values():
            if (kind.resource.group, kind.resource.kind) == (group, content["kind"]):
                return kind
        message = "the server could not find the requested resource"
        raise Failure(404, "NotFound", message)

    def _put(self, kind: Kind, content: Object) -> Object:
        self.version += 1
        metadata = content["metadata"]
        metadata["resourceVersion"] = str(self.version)
        body = {key: value for key, value in content.items() if key not in ("apiVersion", "kind")}
        option = None if kind.built_in else orjson.OPT_SORT_KEYS
        key = _key(metadata.get("namespace", ""), metadata["name"])
        body["metadata"] = {name: metadata[name] for name in _FIRST if name in metadata} | metadata
        self._tables[kind.label].put(key, orjson.dumps(body, option=option), self.version)
        return content

    def _remove(self, kind: Kind, key: str) -> None:
        self.version += 1
        self._tables[kind.label].remove(key, self.version)

    def _delete_namespace(self, content: Object) -> Object:
        """DELETED for all that is in it, then itself; the latter waits for stale groups."""
        name = content["metadata"]["name"]
        content["metadata"].setdefault("deletionTimestamp", self._now())
        content["status"] = {"phase": "Terminating"}
        self._put(self._kinds["namespaces"], content)
        for label, kind in self._kinds.items():
            if kind.resource.namespaced and kind.resource.group not in self.faults.stale_groups:
                for key in [k for k in self._tables[label].bodies if k.startswith(f"{name}/")]:
                    self._remove(kind, key)
        if not self.faults.stale_groups:
            self._remove(self._kinds["namespaces"], name)
        return content

    def _define(self, definition: Object) -> None:
        kind = custom_kind(definition)
        if kind.label not in self._kinds:
            self._tables[kind.label] = Table(self._window)
            self._served_from[kind.label] = self._clock() + timedelta(seconds=self.custom_kind_lag)
        self._kinds[kind.label] = kind
        for version in kind.versions:
            self._announce(kind.resource.group, version)

    def _withdraw(self, definition: Object) -> None:
        """DELETED for its objects; then lists are 404 and open watches end."""
        label = custom_kind(definition).label
        kind, table = self._kinds[label], self._tables[label]
        for key in list(table.bodies):
            self._remove(kind, key)
        del self._kinds[label], self._tables[label]
        for watch in self.faults.open_watches(label):
            watch.end(Ending.CLEAN)
        for version in kind.versions:
            if (kind.resource.group, version) not in self._served():
                self._remove(self._kinds[API_SERVICES], f"{version}.{kind.resource.group}")

    def _served(self) -> list[tuple[str, str]]:
        return list(dict.fromkeys((k.resource.group, v) for k in self.kinds() for v in k.versions))

    def _announce(self, group: str, version: str) -> None:
        name = f"{version}.{group}"
        if self._has(API_SERVICES, name):
            return
        spec = {"group": group, "version": version, "groupPriorityMinimum": 1000}
        self.create(
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {
                    "name": name,
                    "labels": {"kube-aggregator.kubernetes.io/automanaged": "true"},
                },
                "spec": {**spec, "versionPriority": 100},
                "status": {"conditions": [{"type": "Available", "status": "True"}]},
            },
            manager="kube-apiserver",
        )


def _key(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _object(kind: Kind, body: Body) -> Object:
    content: Object = orjson.loads(kind.named(bytes(body), kind.versions[0]))
    return content
