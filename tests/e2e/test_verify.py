"""`watcher verify` by somebody who may only read: three clusters in one real bucket.

The three backups are those of one small cluster under three names, each made by the real program.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.changes import Restless
from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fill import fill
from tests.e2e.minio import Bucket, Minio
from tests.e2e.watcher_process import DOMAIN, command
from watcher.bucket.heartbeat import Heartbeat
from watcher.bucket.metadata import Writer

HEALTHY, STALE, DAMAGED = (f"{DOMAIN}/{name}" for name in ("healthy", "stale", "damaged"))


@pytest.fixture(scope="module")
def plane(scratch: Path) -> Iterator[ControlPlane]:
    """Some 250 objects, and no controller that changes them."""
    started = ControlPlane(scratch / "verify")
    try:
        fill(started, namespaces=1)
        yield started
    finally:
        started.close()


@pytest.fixture
def three(plane: ControlPlane, minio: Minio, start_watcher: StartWatcher) -> Bucket:
    """Three sound backups, each with a reconcile that found it so."""
    bucket = minio.new_bucket(versioned=True)
    for cluster in (HEALTHY, STALE, DAMAGED):
        name = cluster.rpartition("/")[2]
        for words in (("run", "--once"), ("reconcile",)):
            watcher = start_watcher(plane.kubeconfig(), bucket, *words, cluster_name=name)
            assert watcher.wait() == 0, watcher.log
    return bucket


def _beat(bucket: Bucket, cluster: str, *, ago: timedelta) -> None:
    """As the only sign of life, that long ago, of a writer that did not say goodbye."""
    folder = f"{cluster}/_meta/heartbeat/"
    for key in bucket.keys(folder):
        bucket.remove(key)
    at = datetime.now(UTC) - ago
    beat = Heartbeat(at, Writer("pod", 1), last_healthy=at)
    bucket.write(f"{folder}{at:%Y-%m-%d}.json", beat.encode())


@pytest.fixture
def reader(minio: Minio, three: Bucket) -> dict[str, str]:
    """Keys that may list and read, and nothing else."""
    return minio.new_user(command(None, three, "policy", "s3", "--role=verify").stdout)


def verified(
    start_watcher: StartWatcher, plane: ControlPlane, bucket: Bucket, *arguments: str
) -> tuple[int, dict[str, Any]]:
    """Exit code, and the outcome of each cluster by its name."""
    watcher = start_watcher(
        plane.kubeconfig(server="http://127.0.0.1:1"),  # nobody is there: no cluster is needed
        bucket,
        "verify",
        "--output=json",
        *arguments,
    )
    code = watcher.wait(timeout=200)
    document, _ = json.JSONDecoder().raw_decode(watcher.log[watcher.log.rindex('{\n  "format"') :])
    return code, {it["cluster"]: it for it in document["clusters"]}


def test_of_three_clusters_the_stale_and_the_damaged_one_are_named_with_why(
    three: Bucket, reader: dict[str, str], plane: ControlPlane, start_watcher: StartWatcher
) -> None:
    auditor = replace(three, **reader)
    code, found = verified(start_watcher, plane, auditor, "--all-clusters")
    assert code == 0, found
    for it in found.values():
        assert it["files"] == it["read"] > 200
        assert it["hash_root"] == "proven"
        assert it["unchecked"] == []

    _beat(three, STALE, ago=timedelta(days=3))
    victim = next(key for key in three.keys(f"{DAMAGED}/") if "/configmap/" in key)
    three.write(victim, three.read(victim)[:-20])
    key = victim.removeprefix(f"{DAMAGED}/")
    before = three.etags()
    code, found = verified(start_watcher, plane, auditor, "--all-clusters")
    assert code == 1
    assert found.keys() == {HEALTHY, STALE, DAMAGED}
    assert found[HEALTHY]["findings"] == []
    assert [it["type"] for it in found[STALE]["findings"]] == ["silent"]
    assert {(it["type"], it["key"]) for it in found[DAMAGED]["findings"]} == {
        ("damaged", key),
        ("changed", key),
    }
    assert three.etags() == before

    watcher = start_watcher(plane.kubeconfig(), auditor, "verify", "--all-clusters")
    assert watcher.wait() == 1
    assert "the last heartbeat is 3 days old" in watcher.log
    assert f"{key} is not the version that was written last" in watcher.log
    assert "watcher: 3 findings in 2 of 3 clusters" in watcher.log


@pytest.mark.timeout(300)  # verify waits more than a minute for the journal
def test_a_process_that_writes_all_the_time_is_no_finding(
    plane: ControlPlane, bucket: Bucket, start_watcher: StartWatcher
) -> None:
    quick = {"debounce": "100ms", "max_delay": "1s"}
    start_watcher(plane.kubeconfig(), bucket, **quick).wait_ready()
    with Restless(plane.api(), "default"):
        code, found = verified(start_watcher, plane, bucket)
    (cluster,) = found.values()
    assert (cluster["findings"], code) == ([], 0)
    assert cluster["files"] > 200
