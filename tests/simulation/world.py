"""One world: a cluster, a bucket, the processes between them, and what may go wrong.

Exists so that steps have something to act on. Promises: no clock and no randomness but the plan's;
the same plan gives the same trace, line by line.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from random import Random
from typing import Literal

from bench.cluster import Cluster, Snapshot
from bench.kinds import VERBS, Kind, built_in_kinds
from bench.memory_api import MemoryAPI, loop_clock
from tests.memory_store import Fault
from tests.simulation.bucket import PREFIX, WHO, Bucket
from tests.simulation.invariants import Broken, Judge
from tests.simulation.plan import Plan
from tests.simulation.processes import Processes
from tests.simulation.trace import Trace
from tests.simulation.truth import RecordedCluster, Truth
from watcher.bucket.layout import kind_segment
from watcher.cluster.api import Response
from watcher.cluster.kinds import identity
from watcher.errors import ClusterUnreachableError
from watcher.objects.ref import APIResource
from watcher.settings import Settings, load

REQUIRED = {"cluster-domain": "example.com", "cluster-name": "east", "minio-bucket": "memory"}
_FOREVER = float("inf")
_MOVES = 2.0  # seconds in which nobody answers, when an address becomes another cluster's
_LEASES = "leases.coordination.k8s.io"
_AGAIN = 5.0  # seconds until the kubelet starts anew what ended by itself
_KINDS = frozenset(
    (
        "namespaces",
        "configmaps",
        "secrets",
        "pods",
        "deployments.apps",
        "jobs.batch",
        "clusterroles.rbac.authorization.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io",
        "apiservices.apiregistration.k8s.io",
    )
)


class World:
    def __init__(self, plan: Plan, trace: Trace) -> None:
        loop = asyncio.get_running_loop()
        self.plan = plan
        self.trace = trace
        self.random = Random(~plan.seed)
        self.truth = Truth()
        self.judge = Judge(self.truth, elected=plan.sizes.elected)
        self.settings = _settings(plan)
        self.was_deceived = False  # whether a listing of either side showed what was not so
        self.left_home = -1.0  # until when another cluster answered, loop time
        self._right = loop_clock()
        self._ahead = timedelta()
        self._time = asyncio.get_running_loop().time
        self._failing: list[tuple[Fault, float, float]] = []  # what, share, until
        self._lies = 0  # pages of listings
        self.cluster = RecordedCluster(self._right, self.truth, seed=plan.seed, kinds=_kinds(plan))
        self.answering: Cluster = self.cluster
        self.moving_until = -_FOREVER
        service = {"name": "probes", "namespace": "default"}
        self.cluster.edit(
            "apiservices.apiregistration.k8s.io",
            "",
            "v1.metrics.example.com",
            lambda content: content["spec"].update(service=service),
        )
        self.bucket = self._bucket()
        self.processes = Processes(
            _Road(self),
            self.bucket,
            self.settings,
            self.judge,
            trace,
            clock=lambda: self._right() + self._ahead,
            seed=plan.seed,
            may_be_refused=lambda life: (
                self.left_home >= life.began or not self.judge.alone or plan.sizes.elected
            ),
            # Whoever lost the Lease says so, or has met a file of who has it now.
            refused=lambda instance: (
                loop.call_later(_AGAIN, self.start, instance) if plan.sizes.elected else None
            ),
        )

    def check(self) -> None:
        """Raises Broken."""
        if self.judge.breaches:
            raise Broken(self.judge.breaches[0])

    @property
    def listing_is_needed(self) -> bool:
        """Whether something happened that only a listing can show, of cluster and bucket. (Keys of
        late requests aside: they are known.)"""
        return (
            self.was_deceived
            or self.truth.restored > 0
            or self.left_home > 0
            or not self.judge.alone
        )

    # What steps ask for

    def start(self, instance: str) -> None:
        self.processes.start(instance, abroad=self.answering is not self.cluster)

    def jump(self, seconds: float) -> None:
        self._ahead = timedelta(seconds=seconds)

    def fail(self, fault: Fault, share: float, seconds: float) -> None:
        self._failing.append((fault, share, self._time() + seconds))

    def lie(self, pages: int) -> None:
        self._lies += pages

    def cut_off(self, instance: str, seconds: float) -> None:
        for process in self.processes.alive:
            if process.life.instance == instance:
                process.life.cut_off = self._time() + seconds

    def restore(self, snapshot: Snapshot) -> None:
        """etcd is put back to what it was."""
        told: dict[str, int] = {}
        for watch in self.cluster.faults.watches:
            segment = kind_segment(*identity(watch.kind.resource))
            told[segment] = min(watch.after, told.get(segment, watch.after))
        for process in self.processes.alive:
            life = process.life
            for segment, version in life.watches.items():
                life.knew[segment] = max(version, told.get(segment, 0))
        self.cluster.restore(snapshot)

    def answer_elsewhere(self) -> None:
        claimed = self.bucket.found(f"{PREFIX}_meta/owner.json")  # else the other one may claim it
        if claimed and self.answering is self.cluster:
            self.moving_until = self._time() + _MOVES
            self.answering = Cluster(self._right, seed=~self.plan.seed, kinds=_kinds(self.plan))
            self.answering.create(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "elsewhere", "namespace": "default"},
                }
            )
            self.left_home = _FOREVER
            for process in self.processes.all:
                process.life.deceived = True
            self.cluster.faults.drop_watches()

    def answer_at_home(self) -> None:
        if self.answering is not self.cluster:
            self.answering.faults.drop_watches()
            self.answering, self.left_home = self.cluster, self._time()
            self.moving_until = self._time() + _MOVES

    def heal(self) -> None:
        """All faults end; what they have broken stays broken."""
        self.answer_at_home()
        self.cluster.heal()
        self._failing.clear()
        self._lies = 0
        for life in self.judge.lives:
            life.cut_off = 0.0
        self.processes.spare()
        self.bucket.recover()
        self.bucket.choose_fault = self._choose_fault

    # Inside

    def _bucket(self) -> Bucket:
        sizes = self.plan.sizes
        bucket = Bucket(
            self.judge,
            self.random,
            self.trace.note,
            page=sizes.bucket_page,
            versioned=sizes.versioned,
        )
        bucket.slowest, bucket.late = sizes.slowest, sizes.late
        bucket.choose_fault = self._choose_fault
        if not sizes.conditional:
            bucket.ignore_conditions()
        if not sizes.md5:
            bucket.etags_are_not_md5()
        return bucket

    def _choose_fault(self, operation: str, key: str) -> Fault:
        if operation == "LIST" and self._lies:
            self._lies -= 1
            self.was_deceived = WHO.get().deceived = True
            return Fault.STALE
        now = self._time()
        for fault, share, until in self._failing:
            if now < until and self.random.random() < share:
                return fault
        return Fault.NONE


class _Road:
    """The way to whoever answers at the cluster's address."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Response]:
        if query and "watch" in query:
            WHO.get().watches[_segment(path)] = int(query["resourceVersion"])
        return self._api().get(path, query, headers)

    def send(
        self, method: Literal["POST", "PUT"], path: str, body: bytes
    ) -> AbstractAsyncContextManager[Response]:
        return self._api().send(method, path, body)

    def _api(self) -> MemoryAPI:
        """As far as it can be reached now."""
        world = self._world
        if asyncio.get_running_loop().time() < max(WHO.get().cut_off, world.moving_until):
            raise ClusterUnreachableError("the API server cannot be reached")
        return MemoryAPI(world.answering, latency=world.random.uniform(0.0005, 0.01))


def _segment(path: str) -> str:
    """The kind segment of a collection's path."""
    group, plural = path.split("/")[2], path.rpartition("/")[2]
    return kind_segment("" if path.startswith("/api/") else group, plural.removesuffix("s"))


def _kinds(plan: Plan) -> Iterator[Kind]:
    wanted = {*_KINDS, _LEASES} if plan.sizes.elected else _KINDS
    yield from (kind for kind in built_in_kinds() if kind.label in wanted)
    probes = APIResource("metrics.example.com", "v1", "probes", "Probe", True, VERBS, "probe")
    yield Kind(probes, ("v1",), built_in=False)


def _settings(plan: Plan) -> Settings:
    sizes = plan.sizes
    flags = {
        "debounce": f"{sizes.debounce}s",
        "max-delay": f"{sizes.max_delay}s",
        "memory-budget": f"{sizes.memory}",
    }
    if sizes.elected:
        flags["leader-elect"] = "true"
    if sizes.nightly:
        flags |= {"reconcile-schedule": "*/20 * * * *", "reconcile-window": "0s"}
    return load(REQUIRED | flags, {})
