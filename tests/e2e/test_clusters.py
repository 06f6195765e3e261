"""A thousand clusters in one real bucket: the bad ones are found, by the command and by git-sync.

The clusters are simulated by what each would write of itself.
"""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest

from tests.e2e.minio import Bucket, Minio
from tests.e2e.process import until
from tests.e2e.proxy import Proxy
from tests.e2e.watcher_process import Watcher, command, running
from tests.memory_store import MemoryStore
from tests.unit.fleet.samples import DAY, SEVEN
from tests.unit.fleet.samples import Bucket as Simulated

CLUSTERS = 1000
DOMAINS = 10
GONE = "d0.example.com/cluster-0000"


@pytest.fixture(scope="module")
def bad() -> dict[str, str]:
    """Cluster -> what is wrong with it."""
    numbers = (137 * each + 5 for each in range(len(SEVEN)))
    names = (f"d{number % DOMAINS}.example.com/cluster-{number:04}" for number in numbers)
    return dict(zip(names, SEVEN, strict=True))


@pytest.fixture(scope="module")
def fleet(minio: Minio, bad: dict[str, str]) -> Bucket:
    simulated = Simulated(MemoryStore(), datetime.now(UTC).replace(microsecond=0))
    for number in range(CLUSTERS):
        cluster = f"d{number % DOMAINS}.example.com/cluster-{number:04}"
        layout = simulated.add(cluster)
        if cluster in bad:
            SEVEN[bad[cluster]](simulated, layout)
        if cluster == GONE:
            simulated.beat(layout, 3 * DAY)
            simulated.retire(layout)
    bucket = minio.new_bucket()
    client = bucket.client()

    def write(item: tuple[str, bytes]) -> None:
        key, body = item
        client.put_object(bucket.name, key, BytesIO(body), len(body))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, simulated.store.objects().items()))
    return bucket


@pytest.fixture(scope="module")
def reader(minio: Minio, fleet: Bucket) -> Bucket:
    """The bucket for somebody who may list and read, and nothing else."""
    policy = command(None, fleet, "policy", "s3", "--role=git-sync").stdout
    return replace(fleet, **minio.new_user(policy))


def test_the_seven_bad_ones_of_a_thousand_are_found(reader: Bucket, bad: dict[str, str]) -> None:
    began = time.monotonic()
    done = command(None, reader, "clusters", "--output=json")
    print(f"{CLUSTERS} clusters in {time.monotonic() - began:.1f} s")
    assert done.returncode == 1, done.stderr
    assert done.stderr == "watcher: something is wrong with 7 of 1,000 clusters\n"
    clusters = json.loads(done.stdout)["clusters"]
    assert len(clusters) == CLUSTERS
    found = {it["cluster"]: [finding["type"] for finding in it["findings"]] for it in clusters[:7]}
    assert found == {cluster: [kind] for cluster, kind in bad.items()}
    assert all(it["ok"] for it in clusters[7:])
    assert [it["cluster"] for it in clusters if it["retired"]] == [GONE]


def test_looking_costs_seven_small_requests_a_cluster(reader: Bucket, s3_proxy: Proxy) -> None:
    done = command(None, reader.at(s3_proxy.url), "clusters")
    assert done.returncode == 1, done.stderr
    asked = Counter("LIST" if "list-type" in it.path else it.method for it in s3_proxy.requests)
    assert asked == {"LIST": 1 + DOMAINS + 2 * CLUSTERS, "GET": 5 * CLUSTERS}


@pytest.fixture
def mirroring(reader: Bucket, tmp_path: Path) -> Iterator[Watcher]:
    repository = tmp_path / "clusters.git"
    subprocess.run(["git", "init", "--quiet", "--bare", repository], check=True)
    settings = {"git_repository": str(repository)}
    with running(tmp_path, None, reader, "git-sync", settings=settings) as watcher:
        yield watcher


def test_git_sync_shows_all_clusters_on_its_page_and_in_its_metrics(
    mirroring: Watcher, bad: dict[str, str]
) -> None:
    (process,) = mirroring.processes
    until(lambda: mirroring.status("/livez") == 200, "page of git-sync", needs=process)
    until(
        lambda: mirroring.metric("watcher_fleet_clusters") == CLUSTERS,
        "look at all clusters",
        needs=process,
    )
    metrics = mirroring.metrics()
    findings = {it: n for it, n in metrics.items() if it.startswith("watcher_cluster_findings{")}
    assert len(findings) == CLUSTERS
    assert sum(findings.values()) == len(bad)
    assert mirroring.metric("watcher_cluster_retired") == 1
    page = mirroring.page("/fleet")
    assert "Something is wrong with 7 of 999 clusters" in page
    assert all(cluster.replace(".", "<wbr>.").replace("/", "/<wbr>") in page for cluster in bad)
    assert "Something is wrong with 7 of 999 clusters" in mirroring.page()
    assert mirroring.terminate() == 0


def test_who_may_write_retires_a_cluster_and_who_may_not_is_told(
    fleet: Bucket, reader: Bucket, bad: dict[str, str]
) -> None:
    silent = next(cluster for cluster, kind in bad.items() if kind == "silent")
    only = ("clusters", f"--cluster={silent}")
    refused = command(None, reader, "clusters", "retire", silent)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert command(None, reader, *only).returncode == 1
    assert command(None, fleet, "clusters", "retire", silent).returncode == 0
    try:
        assert command(None, reader, *only).returncode == 0
    finally:
        assert command(None, fleet, "clusters", "unretire", silent).returncode == 0
    assert command(None, reader, *only).returncode == 1
