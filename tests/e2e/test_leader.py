"""Two replicas, a real Lease: one writes, and what happens to it is not noticed.

Leases are short here, so that a round takes seconds; LEASE=15s by hand has the durations that
people run with. What a takeover took is printed (`pytest -s`), never judged.
"""

import os
import random
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.api import API
from tests.e2e.by_hand import reconcile
from tests.e2e.changes import Restless
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fill import fill
from tests.e2e.minio import Bucket, Minio
from tests.e2e.oracle import wait_until_equal
from tests.e2e.process import until
from tests.e2e.scene import QUICK
from tests.e2e.watcher_process import PREFIX, Watcher

SECONDS = float(os.environ.get("LEASE", "3s").removesuffix("s"))
ELECTED = {
    **QUICK,
    "leader_elect": "true",
    "lease_namespace": "default",
    "lease_duration": f"{SECONDS}s",
    "renew_deadline": f"{SECONDS * 2 / 3:.2f}s",
    "retry_period": f"{SECONDS * 2 / 15:.2f}s",
}
EVERY = 0.02  # seconds between two changes, less what one takes
PATIENCE = SECONDS + 60


@pytest.fixture
def plane(bare_api: ControlPlane) -> ControlPlane:
    """Some 250 objects, and no controller that changes them. Each test's own: one stops it."""
    fill(bare_api, namespaces=1)
    return bare_api


@pytest.fixture
def api(plane: ControlPlane) -> API:
    return plane.api()


@pytest.fixture
def versioned(minio: Minio) -> Bucket:
    return minio.new_bucket(versioned=True)


class Replicas:
    """Watchers with one Lease, each with a log of its own."""

    def __init__(self, folder: Path, plane: ControlPlane, bucket: Bucket) -> None:
        self._folder, self._plane, self._bucket = folder, plane, bucket
        self._numbers = count(1)
        self.alive: list[Watcher] = []
        self.all: list[Watcher] = []

    def start(self) -> Watcher:
        """Another one, and it is ready."""
        folder = self._folder / f"replica-{next(self._numbers)}"
        one = Watcher(folder, self._plane.kubeconfig(), self._bucket, settings=ELECTED)
        self.alive.append(one)
        self.all.append(one)
        one.wait_ready()
        return one

    @property
    def leaders(self) -> list[Watcher]:
        return [one for one in self.alive if one.metric("watcher_leader")]

    @property
    def processes(self) -> list[object]:
        return [process for one in self.all for process in one.processes]

    def leader(self) -> Watcher:
        until(lambda: len(self.leaders) == 1, "one leader", timeout=PATIENCE)
        (found,) = self.leaders
        return found


@pytest.fixture
def replicas(tmp_path: Path, plane: ControlPlane, versioned: Bucket) -> Iterator[Replicas]:
    found = Replicas(tmp_path, plane, versioned)
    try:
        found.start()
        found.start()
        yield found
    finally:
        for one in found.all:
            for process in one.processes:
                process.kill()


def takeover_by(*candidates: Watcher) -> float:
    """Seconds from now until one of them has claimed the prefix and listed it: then it writes."""
    began = time.monotonic()
    until(
        lambda: any("the prefix is ours" in one.log for one in candidates),
        "a takeover",
        timeout=PATIENCE,
        poll=0.02,
    )
    return time.monotonic() - began


def gone_back(bucket: Bucket) -> list[str]:
    """Keys in whose versions, in the order in which they were written, an older state of an
    object follows on a newer one."""
    client = bucket.client()
    versions: dict[str, list[str]] = defaultdict(list)
    for it in client.list_objects(bucket.name, PREFIX, recursive=True, include_version=True):
        if not it.is_delete_marker and "/_meta/" not in str(it.object_name):
            versions[str(it.object_name)].append(str(it.version_id))  # the newest first
    found = []
    for key, ids in versions.items():
        heads = [client.stat_object(bucket.name, key, version_id=one) for one in reversed(ids)]
        states = [int((head.metadata or {})[RESOURCE_VERSION]) for head in heads]
        if states != sorted(states):
            found.append(f"{key}: {states}")
    return found


RESOURCE_VERSION = "x-amz-meta-watcher-resource-version"


def test_kill_9_of_the_leader_under_changes_loses_nothing(
    replicas: Replicas, api: API, versioned: Bucket, rounds: int
) -> None:
    took = []
    with Restless(api, "default", pause=EVERY):
        for _ in range(rounds):
            leader = replicas.leader()
            (other,) = (one for one in replicas.alive if one is not leader)
            time.sleep(random.uniform(0.5, 4.0))
            replicas.alive.remove(leader)
            leader.kill()
            took.append(takeover_by(other))
            replicas.start()
    wait_until_equal(api, versioned, timeout=90)
    assert gone_back(versioned) == []
    print(
        f"\ntakeover after kill -9, lease {SECONDS:g} s, {rounds} rounds: median"
        f" {statistics.median(took):.2f} s, max {max(took):.2f} s"
    )


def test_a_leader_that_was_stopped_writes_nothing_that_stays(
    replicas: Replicas, plane: ControlPlane, api: API, versioned: Bucket
) -> None:
    leader = replicas.leader()
    (other,) = (one for one in replicas.alive if one is not leader)
    (process,) = leader.processes
    with Restless(api, "default", pause=EVERY):
        time.sleep(2)
        process.signal(signal.SIGSTOP)
        time.sleep(3 * SECONDS)
        takeover_by(other)
        process.signal(signal.SIGCONT)
        assert leader.wait() == 3
        assert "is lost to" in leader.log
        replicas.alive.remove(leader)
        time.sleep(1)
    replicas.start()
    assert replicas.leader() is other
    reconcile(plane, versioned)
    wait_until_equal(api, versioned, timeout=60)


def test_an_api_server_away_for_two_leases_makes_no_two_leaders(
    replicas: Replicas, plane: ControlPlane, api: API, versioned: Bucket
) -> None:
    leader = replicas.leader()
    with Restless(api, "default", pause=EVERY):
        time.sleep(1)
    plane.stop_apiserver()
    until(lambda: not replicas.leaders, "the end of the lease", timeout=PATIENCE)
    back = time.monotonic() + SECONDS
    while time.monotonic() < back:
        assert not replicas.leaders
        assert all(one.processes[0].running for one in replicas.alive)
        time.sleep(0.1)
    plane.start_apiserver()
    seen = 0
    for _ in range(100):
        running_ones = [one for one in replicas.alive if one.processes[0].running]
        leaders = [one for one in running_ones if one.metric("watcher_leader")]
        assert len(leaders) <= 1
        seen += len(leaders)
        time.sleep(0.1)
    assert seen
    replicas.alive = [one for one in replicas.alive if one.processes[0].running]
    with Restless(api, "default", pause=EVERY):
        time.sleep(1)
    wait_until_equal(api, versioned, timeout=90)
    assert gone_back(versioned) == []
    assert leader in replicas.alive or leader.wait() == 3


def test_an_orderly_end_hands_over_and_a_rollout_leaves_no_gap(
    replicas: Replicas, api: API, versioned: Bucket
) -> None:
    for _ in range(2):
        leader = replicas.leader()
        new = replicas.start()
        (other,) = (one for one in replicas.alive if one not in (leader, new))
        with Restless(api, "default", pause=EVERY):
            time.sleep(1)
            replicas.alive.remove(leader)
            leader.processes[0].signal(signal.SIGTERM)
            print(f"\ntakeover after SIGTERM: {takeover_by(other, new):.2f} s")
            assert leader.wait() == 0
    wait_until_equal(api, versioned, timeout=60)
    assert gone_back(versioned) == []
