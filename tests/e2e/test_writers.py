"""One writer a prefix, and a journal without holes, on a real MinIO and a real API server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Bucket, Minio
from tests.e2e.oracle import wait_until_equal
from tests.e2e.process import until
from tests.e2e.scene import QUICK, Maps, maps_of
from tests.e2e.watcher_process import PREFIX

META = f"{PREFIX}_meta/"


@pytest.fixture(scope="module")
def plane(scratch: Path) -> Iterator[ControlPlane]:
    started = ControlPlane(scratch / "writers")
    yield started
    started.close()


@pytest.fixture
def maps(plane: ControlPlane) -> Iterator[Maps]:
    with maps_of(plane) as found:
        yield found


@pytest.fixture
def versioned(minio: Minio) -> Bucket:
    return minio.new_bucket(versioned=True)


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """Settings of a process that believes to be on another host."""
    (tmp_path / "sitecustomize.py").write_text("import socket\nsocket.gethostname = lambda: 'b'\n")
    return {**QUICK, "pythonpath": str(tmp_path)}


def heartbeat(bucket: Bucket) -> dict[str, object]:
    return dict(json.loads(bucket.read(max(bucket.keys(f"{META}heartbeat/")))))


def journal(bucket: Bucket, key: str = "") -> list[dict[str, str]]:
    """Lines in order, of one file or of all."""
    files = [(name.rsplit("/", 1)[1].split("-"), name) for name in bucket.keys(f"{META}journal/")]
    files.sort(key=lambda file: (int(file[0][1]), int(file[0][2].removesuffix(".ndjson"))))
    bodies = b"".join(bucket.read(name) for _, name in files)
    lines = [json.loads(line) for line in bodies.splitlines()]
    return [line for line in lines if key in ("", PREFIX + line["key"])]


def versions(bucket: Bucket) -> set[tuple[str, str, str]]:
    """Key, id and ETag ("" of a delete marker) of all that was ever written."""
    found = bucket.client().list_objects(bucket.name, recursive=True, include_version=True)
    return {
        (
            str(it.object_name),
            str(it.version_id),
            "" if it.is_delete_marker else '"{}"'.format(str(it.etag).strip('"')),
        )
        for it in found
    }


def test_a_second_process_is_refused_while_the_first_one_lives(
    start_watcher: StartWatcher,
    plane: ControlPlane,
    bucket: Bucket,
    maps: Maps,
    elsewhere: dict[str, str],
) -> None:
    first = start_watcher(plane.kubeconfig(), bucket, **QUICK)
    first.wait_ready()
    until(lambda: heartbeat(bucket)["healthy"], "a healthy heartbeat", timeout=30)
    seen = heartbeat(bucket)
    assert seen["versions"] == {
        "watcher": "0.1.0",
        "kubernetes": plane.api().get("/version")["gitVersion"],
    }
    assert seen["objects"] == first.metric("watcher_objects", side="bucket")
    before = bucket.etags(PREFIX)

    second = start_watcher(plane.kubeconfig(), bucket, "run", "--once", **elsewhere)
    assert second.wait() == 3
    assert "writes to test.example.com/e2e/: its heartbeat is" in second.log
    assert bucket.etags(PREFIX) == before

    claim = start_watcher(plane.kubeconfig(), bucket, "claim")
    assert claim.wait() == 0
    assert "writes, its last heartbeat was" in claim.log

    assert first.terminate() == 0
    assert heartbeat(bucket)["released"]
    third = start_watcher(plane.kubeconfig(), bucket, "run", "--once", **elsewhere)
    assert third.wait() == 0, "after a good-bye nobody has to wait"
    assert heartbeat(bucket)["writer"] == "b/2"


def test_after_a_takeover_the_first_one_stops_by_its_next_write(
    start_watcher: StartWatcher,
    plane: ControlPlane,
    bucket: Bucket,
    maps: Maps,
    elsewhere: dict[str, str],
) -> None:
    first = start_watcher(plane.kubeconfig(), bucket, **QUICK)
    first.wait_ready()
    second = start_watcher(plane.kubeconfig(), bucket, "run", "--takeover", **elsewhere)
    second.wait_ready()
    (process,) = first.processes
    values = iter(range(1000))

    def stopped() -> bool:
        if process.running:
            maps.put("contested", str(next(values)))
        return not process.running

    until(stopped, "the first writer's end", timeout=60, poll=0.5)
    assert first.wait() == 3
    assert first.log.count("watcher: another writer, b/2, writes to test.example.com/e2e/") == 1
    maps.put("contested", "last")
    wait_until_equal(plane.api(), bucket, timeout=30)
    assert second.terminate() == 0


def test_the_journal_tells_of_every_version_also_of_those_of_a_killed_process(
    start_watcher: StartWatcher, plane: ControlPlane, versioned: Bucket, maps: Maps
) -> None:
    watcher = start_watcher(plane.kubeconfig(), versioned, **QUICK)
    watcher.wait_ready()
    for value in ("1", "2"):
        maps.put("told", value)
        maps.put("gone", value)
        wait_until_equal(plane.api(), versioned, timeout=30)
    maps.put("removed", "1")
    wait_until_equal(plane.api(), versioned, timeout=30)
    maps.remove("removed")
    wait_until_equal(plane.api(), versioned, timeout=30)
    assert watcher.terminate() == 0
    assert {(PREFIX + it["key"], it["version_id"], it["etag"]) for it in journal(versioned)} == {
        it for it in versions(versioned) if not it[0].startswith(META)
    }
    actions = [line["action"] for line in journal(versioned, maps.key("removed"))]
    assert actions == ["create", "delete"]

    watcher = start_watcher(plane.kubeconfig(), versioned, **QUICK)
    watcher.wait_ready()
    maps.put("told", "3")
    maps.put("untold", "1")
    maps.remove("gone")
    wait_until_equal(plane.api(), versioned, timeout=30)
    watcher.kill()
    assert len(journal(versioned, maps.key("told"))) == 2

    assert start_watcher(plane.kubeconfig(), versioned, "run", "--once").wait() == 0
    recovered = [line for line in journal(versioned) if line.get("recovered")]
    assert {(PREFIX + line["key"], line["action"]) for line in recovered} == {
        (maps.key("told"), "update"),
        (maps.key("untold"), "create"),
        (maps.key("gone"), "delete"),
    }
    written = {(PREFIX + it["key"], it["version_id"], it["etag"]) for it in recovered if it["etag"]}
    assert written <= versions(versioned)
    *_, before, last = journal(versioned, maps.key("told"))
    assert (last["previous_etag"], last["manager"]) == (before["etag"], "test")


def test_a_cluster_that_was_built_anew_takes_the_prefix_over_and_loses_nothing(
    start_watcher: StartWatcher,
    plane: ControlPlane,
    new_control_plane: Callable[[], ControlPlane],
    bucket: Bucket,
    maps: Maps,
) -> None:
    maps.put("old", "1")
    assert start_watcher(plane.kubeconfig(), bucket, "run", "--once").wait() == 0
    new = new_control_plane()
    uids = [
        api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
        for api in (plane.api(), new.api())
    ]
    refused = start_watcher(new.kubeconfig(), bucket, "run", "--once")
    assert refused.wait() == 3
    assert all(uid in refused.log for uid in uids)

    assert start_watcher(new.kubeconfig(), bucket, "claim", "--take-over", "--yes").wait() == 0
    assert start_watcher(new.kubeconfig(), bucket, "run", "--once").wait() == 0
    assert maps.key("old") in bucket.keys(PREFIX), "held, though the new cluster has no such object"
