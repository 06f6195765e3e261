"""A start costs nothing for what did not change, and no end, however sudden, loses anything.

All on a small cluster in which nothing happens by itself; each test has a bucket of its own, on
MinIO or in a directory.
"""

import gzip
import json
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import md5
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.api import API
from tests.e2e.changes import Restless, collection, config_map, path, send
from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.directory import Directory
from tests.e2e.fill import create, fill
from tests.e2e.minio import Bucket, Minio
from tests.e2e.oracle import differences, expected, wait_until_equal
from tests.e2e.parsers import yaml_1_1
from tests.e2e.process import until
from tests.e2e.proxy import Proxy
from tests.e2e.watcher_process import PREFIX

CHECKPOINT = f"{PREFIX}_meta/index.ndjson.gz"
QUICK = {"debounce": "300ms", "max_delay": "2s"}  # so that a round of kills takes seconds
SPACE = "default"


@pytest.fixture(scope="module")
def plane(scratch: Path) -> Iterator[ControlPlane]:
    """Some 250 objects, and no controller that changes them."""
    started = ControlPlane(scratch / "restart")
    try:
        fill(started, namespaces=1)
        yield started
    finally:
        started.close()


@pytest.fixture
def api(plane: ControlPlane) -> API:
    return plane.api()


@pytest.fixture(params=["minio", "directory"])
def new_place(request: pytest.FixtureRequest, minio: Minio, tmp_path: Path) -> Callable[[], Bucket]:
    """Makes empty buckets."""
    if request.param == "minio":
        return minio.new_bucket
    numbers = count()

    def new_directory() -> Directory:
        folder = tmp_path / f"bucket-{next(numbers)}"
        folder.mkdir()
        return Directory(folder)

    return new_directory


def _object_requests(proxy: Proxy) -> list[tuple[str, str, int]]:
    """Method, key and status of all that was asked about objects."""
    asked = re.compile(rf"/[^/]+/({re.escape(PREFIX)}(?!_meta/)[^?]+)")
    return [
        (seen.method, found[1], seen.status)
        for seen in proxy.requests
        if (found := asked.match(seen.path))
    ]


def _written(proxy: Proxy) -> Counter[str]:
    """Objects' keys, and how many PUTs of each took place."""
    asked = _object_requests(proxy)
    return Counter(key for method, key, status in asked if (method, status) == ("PUT", 200))


@pytest.fixture
def synced(start_watcher: StartWatcher, plane: ControlPlane, bucket: Bucket) -> Bucket:
    """A bucket that equals the cluster, left in good order."""
    watcher = start_watcher(plane.kubeconfig(), bucket)
    watcher.wait_ready()
    assert watcher.terminate() == 0
    assert differences(plane.api(), bucket) == []
    return bucket


# Nothing to do


def test_a_restart_without_changes_asks_for_no_object_and_writes_none(
    start_watcher: StartWatcher, plane: ControlPlane, synced: Bucket, s3_proxy: Proxy
) -> None:
    watcher = start_watcher(plane.kubeconfig(), synced.at(s3_proxy.url))
    watcher.wait_ready()
    assert watcher.terminate() == 0
    assert _object_requests(s3_proxy) == []
    assert differences(plane.api(), synced) == []


def test_a_restart_without_its_checkpoint_writes_no_object(
    start_watcher: StartWatcher, plane: ControlPlane, synced: Bucket, s3_proxy: Proxy
) -> None:
    synced.remove(CHECKPOINT)
    watcher = start_watcher(plane.kubeconfig(), synced.at(s3_proxy.url))
    watcher.wait_ready()
    assert watcher.terminate() == 0
    assert [asked for asked in _object_requests(s3_proxy) if asked[0] != "HEAD"] == []
    assert CHECKPOINT in synced.keys()  # noqa: SIM118
    assert differences(plane.api(), synced) == []


def test_a_restart_writes_exactly_what_changed_meanwhile(
    start_watcher: StartWatcher,
    plane: ControlPlane,
    api: API,
    bucket: Bucket,
    s3_proxy: Proxy,
) -> None:
    kept, changed, deleted, made = (
        config_map(SPACE, f"meanwhile-{name}", a="1") for name in ("kept", "changed", "gone", "new")
    )
    create(api, [kept, changed, deleted])
    first = start_watcher(plane.kubeconfig(), bucket)
    first.wait_ready()
    assert first.terminate() == 0

    api.merge(path(changed), {"data": {"a": "2"}})
    api.delete(path(deleted))
    api.create(collection(made), made)
    second = start_watcher(plane.kubeconfig(), bucket.at(s3_proxy.url))
    second.wait_ready()
    assert differences(api, bucket) == []
    folder = f"{PREFIX}{SPACE}/configmap"
    assert sorted(_object_requests(s3_proxy)) == [
        ("DELETE", f"{folder}/meanwhile-gone.yaml", 204),
        ("PUT", f"{folder}/meanwhile-changed.yaml", 200),
        ("PUT", f"{folder}/meanwhile-new.yaml", 200),
    ]


# A sudden end


def test_after_a_kill_only_what_was_in_flight_is_written(
    start_watcher: StartWatcher,
    plane: ControlPlane,
    api: API,
    bucket: Bucket,
    s3_proxy: Proxy,
) -> None:
    """Also with a checkpoint that is older than most of what is in the bucket."""
    items = [config_map(SPACE, f"flight-{number}", a="1") for number in range(200)]
    create(api, items)
    first = start_watcher(plane.kubeconfig(), bucket.at(s3_proxy.url), **QUICK)
    first.wait_ready()
    s3_proxy.forget()
    send(api, [("PATCH", path(item), {"data": {"a": "2"}}) for item in items])
    until(lambda: _written(s3_proxy).total() >= 50, "writes under way", poll=0.001)
    first.kill()
    landed = _written(s3_proxy).keys()

    s3_proxy.forget()
    second = start_watcher(plane.kubeconfig(), bucket.at(s3_proxy.url))
    second.wait_ready()
    assert differences(api, bucket) == []
    again = _written(s3_proxy)
    changed = {f"{PREFIX}{SPACE}/configmap/flight-{number}.yaml" for number in range(200)}
    assert set(again) <= changed - landed
    assert set(again.values()) <= {1}


@pytest.mark.timeout(3600)
def test_kills_at_any_moment_leave_no_half_file_and_lose_no_change(
    start_watcher: StartWatcher,
    plane: ControlPlane,
    api: API,
    new_place: Callable[[], Bucket],
    rounds: int,
) -> None:
    """Each round: a kill in the first sync, one under changes after it, and one under changes in
    the start that follows; then calm, equality and an end in good order. The moments are drawn,
    with the seed that pytest-randomly prints."""
    restless = Restless(api, SPACE)
    unchanged = {key: md5(one.file).hexdigest() for key, one in expected(api).items()}
    for _ in range(rounds):
        bucket = new_place()
        start = partial(start_watcher, plane.kubeconfig(), bucket, **QUICK)
        watcher = start()
        _wait_for_keys(bucket, random.randrange(len(unchanged)))
        watcher.kill()
        _is_whole(bucket, unchanged, restless)
        with restless:
            watcher = start()
            watcher.wait_ready()
            time.sleep(random.uniform(0, 2))
            watcher.kill()
            _is_whole(bucket, unchanged, restless)
            watcher = start()
            time.sleep(random.uniform(0, 2))
            watcher.kill()
            _is_whole(bucket, unchanged, restless)
            watcher = start()
            time.sleep(random.uniform(0, 2))
        watcher.wait_ready()
        wait_until_equal(api, bucket)
        assert watcher.terminate() == 0
        assert differences(api, bucket) == []
        _is_whole(bucket, unchanged, restless)
        assert "files that are not ours" not in watcher.log


def _wait_for_keys(bucket: Bucket, number: int) -> None:
    until(lambda: len(bucket.keys(PREFIX)) >= number, f"{number} keys", poll=0.001)


def _is_whole(bucket: Bucket, unchanged: dict[str, str], restless: Restless) -> None:
    """Every file is, to the last byte, what some state of its object makes it; our own parse."""
    trash = re.compile(rf"{re.escape(PREFIX)}_meta/trash/[^/]+/")
    for key, etag in bucket.etags().items():
        original = trash.sub(PREFIX, key)
        if restless.owns(original):
            assert restless.is_a_state(bucket.read(key)), key
        elif key == CHECKPOINT:
            gzip.decompress(bucket.read(key))
        elif original.startswith(f"{PREFIX}_meta/"):
            body = bucket.read(key)
            for document in body.splitlines() if "/journal/" in key else [body]:
                json.loads(document)
        elif original != key:  # in the trash: gone from the cluster, and so from `unchanged`
            assert yaml_1_1(bucket.read(key))["metadata"]["name"], key
        else:
            assert unchanged.get(key) == etag, key


# An orderly end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_what_is_pending_at_an_orderly_end_is_written_and_so_is_the_checkpoint(
    start_watcher: StartWatcher,
    plane: ControlPlane,
    api: API,
    new_place: Callable[[], Bucket],
    number: signal.Signals,
) -> None:
    bucket = new_place()
    batch = uuid4().hex[:8]
    items = [config_map(SPACE, f"ending-{batch}-{index}", a="1") for index in range(50)]
    changed, deleted, made = items[:20], items[20:30], items[30:]
    create(api, [*changed, *deleted])
    watcher = start_watcher(plane.kubeconfig(), bucket, debounce="1h", max_delay="1h")
    watcher.wait_ready()
    send(
        api,
        [
            *(("PATCH", path(item), {"data": {"a": "2"}}) for item in changed),
            *(("DELETE", path(item), None) for item in deleted),
            *(("POST", collection(item), item) for item in made),
        ],
    )
    until(lambda: watcher.metric("watcher_pending_objects") == 50, "50 pending changes")
    assert len(differences(api, bucket)) == 50
    with Restless(api, SPACE) as restless:
        until(lambda: watcher.metric("watcher_pending_objects") > 60, "changes under way")
        watcher.processes[0].signal(number)
        assert watcher.wait() == 0
    found = [line for line in differences(api, bucket) if "/restless-" not in line]
    assert found == []  # the restless ones have changed since
    _is_whole(bucket, {k: md5(e.file).hexdigest() for k, e in expected(api).items()}, restless)

    again = start_watcher(plane.kubeconfig(), bucket, **QUICK)
    again.wait_ready()
    wait_until_equal(api, bucket)
    (*_, claimed) = re.findall(r"files=(\d+) remembered=(\d+)", again.log)
    assert claimed[0] == claimed[1]  # the checkpoint knew every file
