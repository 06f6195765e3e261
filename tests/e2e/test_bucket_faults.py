"""Whatever happens to a real MinIO, `watcher` lives, loses nothing, deletes nothing by mistake.

Each test breaks one thing between a running watcher and its bucket while objects change, and ends
with the oracle. Outages last some seconds here, and more than a minute from ROUNDS=10 on: what
their length brings (backoff, full memory) is tested in tests/unit/capture in virtual time.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from minio import Minio as Client
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.directory import Directory
from tests.e2e.minio import ACCESS_KEY, SECRET_KEY, Bucket, Minio
from tests.e2e.oracle import wait_until_equal
from tests.e2e.process import until
from tests.e2e.proxy import Fault, Lose, Proxy, Stall, s3_error
from tests.e2e.scene import QUICK, Maps, Scene, maps_of
from tests.e2e.watcher_process import Watcher

LONG = 10  # rounds from which on tests may take minutes
RETRIES = "watcher_bucket_retries_total"

Follow = Callable[..., Scene]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Shared by the tests of this file: nothing happens to it."""
    plane = ControlPlane(tmp_path_factory.mktemp("bucket-faults") / "plane")
    yield plane
    plane.close()


@pytest.fixture
def maps(plane: ControlPlane) -> Iterator[Maps]:
    """Three of them: a, b and c."""
    with maps_of(plane) as maps:
        for name in "abc":
            maps.put(name, "old")
        yield maps


@pytest.fixture
def follow(plane: ControlPlane, maps: Maps, start_watcher: StartWatcher) -> Follow:
    """Starts a watcher of a bucket, via another URL than the bucket's if one is given."""

    def start(bucket: Bucket, via: str = "") -> Scene:
        watcher = start_watcher(plane.kubeconfig(), bucket.at(via or bucket.endpoint), **QUICK)
        return Scene(watcher, plane.api(), maps, bucket)

    return start


@pytest.fixture
def outage(rounds: int) -> float:
    """Seconds."""
    return 10 if rounds < LONG else 75


def change(maps: Maps, seconds: float) -> None:
    """Objects change a few times a second for so long; b is removed."""
    end, number = time.monotonic() + seconds, 0
    maps.remove("b")
    while time.monotonic() < end:
        maps.put("a", f"change {number}")
        maps.put(f"new-{number % 40}", f"change {number}")
        number += 1
        time.sleep(0.2)


# MinIO itself


@pytest.mark.timeout(300)
@pytest.mark.parametrize("end", [Minio.stop, Minio.kill], ids=["stopped", "killed"])
def test_changes_while_minio_is_down_are_stored_when_it_is_back(
    own_minio: Minio, follow: Follow, outage: float, end: Callable[[Minio], None]
) -> None:
    scene = follow(own_minio.new_bucket(versioned=True))
    end(own_minio)
    change(scene.maps, outage)
    assert scene.watcher.metric("watcher_oldest_pending_seconds") > outage / 2
    assert scene.watcher.status("/livez") == 200
    own_minio.start()
    scene.wait_until_survived("b")
    assert scene.watcher.metric(RETRIES, reason="unreachable") > 0
    assert scene.watcher.log.count("writing to the bucket fails") == 1
    assert scene.watcher.log.count("writing to the bucket works again") == 1


@pytest.mark.timeout(300)
def test_a_frozen_minio_is_waited_for(own_minio: Minio, follow: Follow, outage: float) -> None:
    """Requests under way end well, or, after a minute without an answer, are repeated."""
    scene = follow(own_minio.new_bucket(versioned=True))
    own_minio.freeze()
    change(scene.maps, outage)
    assert scene.watcher.metric("watcher_oldest_pending_seconds") > outage / 2
    own_minio.thaw()
    scene.wait_until_survived("b")


# What it answers


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (s3_error(503, "SlowDown"), "throttled"),
        (s3_error(429, "TooManyRequests"), "throttled"),
        (s3_error(500, "InternalError"), "unreachable"),
        (Lose(asked=False), "unreachable"),
    ],
    ids=["503", "429", "500", "cut"],
)
def test_writes_that_did_not_take_place_are_repeated(
    minio: Minio, s3_proxy: Proxy, follow: Follow, fault: Fault, reason: str
) -> None:
    scene = follow(minio.new_bucket(versioned=True), s3_proxy.url)
    s3_proxy.inject(fault)
    change(scene.maps, 3)
    s3_proxy.clear()
    scene.wait_until_survived("b")
    assert scene.watcher.metric(RETRIES, reason=reason) > 0


def test_writes_whose_answer_is_lost_are_recognised_as_ours(
    minio: Minio, s3_proxy: Proxy, follow: Follow
) -> None:
    scene = follow(minio.new_bucket(versioned=True), s3_proxy.url)
    s3_proxy.inject(Lose(), "PUT", times=20)
    s3_proxy.inject(Lose(), "DELETE", times=3)
    change(scene.maps, 3)
    s3_proxy.clear()
    scene.wait_until_survived("b")
    assert scene.watcher.metric(RETRIES, reason="unreachable") > 0
    assert scene.watcher.metric(RETRIES, reason="conflict") > 0
    assert scene.watcher.metric(RETRIES, reason="stranger") == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("asked", [False, True], ids=["lost", "written"])
def test_requests_that_are_never_answered_are_repeated(
    minio: Minio, s3_proxy: Proxy, follow: Follow, rounds: int, asked: bool
) -> None:
    """They time out after a minute; with few rounds their connections break before."""
    scene = follow(minio.new_bucket(versioned=True), s3_proxy.url)
    s3_proxy.inject(Stall(asked))
    change(scene.maps, 3)
    assert scene.watcher.metric("watcher_oldest_pending_seconds") > 1
    if rounds >= LONG:
        scene.wait_for_metric("watcher_bucket_requests_total", code="timeout", timeout=90)
        assert scene.watcher.metric(RETRIES, reason="unreachable") > 0
    s3_proxy.clear()
    scene.wait_until_survived("b")
    assert (scene.watcher.metric(RETRIES, reason="conflict") > 0) == asked
    assert scene.watcher.metric(RETRIES, reason="stranger") == 0


# What people set wrong, and mend meanwhile


def test_a_bucket_that_does_not_exist_yet_is_waited_for(
    plane: ControlPlane, minio: Minio, maps: Maps, start_watcher: StartWatcher
) -> None:
    bucket = Bucket(minio.endpoint, f"later-{uuid4().hex[:8]}")
    watcher = start_watcher(plane.kubeconfig(), bucket, **QUICK)
    until(lambda: "setting minio-bucket" in watcher.log, "complaint")
    assert watcher.status("/readyz") == 503
    until(lambda: watcher.metric("watcher_bucket_requests_total", code="404") > 1, "another try")
    bucket.client().make_bucket(bucket.name)
    watcher.wait_ready()
    wait_until_equal(plane.api(), bucket)
    assert watcher.log.count("setting minio-bucket") == 1


def test_keys_that_work_later_are_waited_for_and_rights_too(
    plane: ControlPlane, minio: Minio, maps: Maps, start_watcher: StartWatcher
) -> None:
    admin = MinioAdmin(
        endpoint=minio.endpoint.removeprefix("http://"),
        credentials=StaticProvider(ACCESS_KEY, SECRET_KEY),
        secure=False,
    )
    user, password = f"user-{uuid4().hex[:8]}", uuid4().hex
    bucket = minio.new_bucket(versioned=True)
    known = replace(bucket, access_key=user, secret_key=password)
    watcher = start_watcher(plane.kubeconfig(), known, **QUICK)
    until(lambda: "setting minio-access-key" in watcher.log, "complaint")
    admin.user_add(user, password)
    admin.attach_policy(["readwrite"], user=user)
    scene = Scene(watcher, plane.api(), maps, bucket)
    admin.detach_policy(["readwrite"], user=user)
    change(maps, 3)
    scene.wait_for_metric(RETRIES, reason="rejected")
    (reason,) = reasons_of_the_writer(watcher)
    assert "the rights of these keys" in reason
    admin.attach_policy(["readwrite"], user=user)
    scene.wait_until_survived("b")


@pytest.mark.parametrize(
    ("wrong", "setting"),
    [
        ({"name": "no-such-bucket"}, "setting minio-bucket"),
        ({"access_key": "nobody"}, "setting minio-access-key"),
        ({"secret_key": "not-the-secret"}, "setting minio-secret-key"),
        ({"endpoint": "http://127.0.0.1:9"}, "setting minio-endpoint"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_once_ends_with_one_line_that_names_the_wrong_setting(
    plane: ControlPlane,
    bucket: Bucket,
    start_watcher: StartWatcher,
    wrong: dict[str, str],
    setting: str,
) -> None:
    once = start_watcher(plane.kubeconfig(), replace(bucket, **wrong), "run", "--once")
    assert once.wait() == 1
    (complaint,) = once.log.splitlines()
    assert f"({setting})" in complaint
    assert "not-the-secret" not in complaint


def test_once_names_the_region_where_minio_tells_it(
    plane: ControlPlane,
    tmp_path: Path,
    start_watcher: StartWatcher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    region = "eu-west-1"
    with monkeypatch.context() as environment:
        environment.setenv("MINIO_SITE_REGION", region)
        european = Minio(tmp_path / "minio")
    try:
        bucket = Bucket(european.endpoint, "backups")
        address = european.endpoint.removeprefix("http://")
        Client(address, ACCESS_KEY, SECRET_KEY, region=region, secure=False).make_bucket("backups")
        once = start_watcher(plane.kubeconfig(), bucket, "run", "--once")
        assert once.wait() == 1
        (complaint,) = once.log.splitlines()
        assert f"(setting minio-region: the bucket is in {region})" in complaint
    finally:
        european.kill()


def test_an_endpoint_of_an_unknown_authority_is_refused_until_its_ca_is_given(
    plane: ControlPlane, minio: Minio, bucket: Bucket, maps: Maps, start_watcher: StartWatcher
) -> None:
    with closing(Proxy(minio.endpoint, certificate=plane.ca_file)) as tls:
        once = start_watcher(plane.kubeconfig(), bucket.at(tls.url), "run", "--once")
        assert once.wait() == 1
        (complaint,) = once.log.splitlines()
        assert "(setting minio-ca-file)" in complaint
        assert tls.requests == []
        trusting = {"minio_ca_file": str(plane.ca_file)}
        once = start_watcher(plane.kubeconfig(), bucket.at(tls.url), "run", "--once", **trusting)
        assert once.wait() == 0
    wait_until_equal(plane.api(), bucket)


# A directory


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB, of which a cluster where nothing runs takes one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if (
        not shutil.which("mount")
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_and_once_there_is_room_everything_is_stored(
    plane: ControlPlane, maps: Maps, small_disk: Path, start_watcher: StartWatcher
) -> None:
    directory = Directory(small_disk)
    watcher = start_watcher(plane.kubeconfig(), None, minio_bucket=directory.name, **QUICK)
    watcher.wait_ready()
    ballast = small_disk / "ballast"
    fill_up(ballast)
    stored = set(directory.keys())
    maps.put("a", "x" * 100_000)
    maps.put("d", "x" * 100_000)
    until(lambda: watcher.metric(RETRIES, reason="unreachable") > 2, "retries")
    (reason,) = reasons_of_the_writer(watcher)
    assert reason.endswith("no space left on device")
    assert stored == set(directory.keys())
    ballast.unlink()
    wait_until_equal(plane.api(), directory)
    assert watcher.processes[0].running
    assert not list(small_disk.rglob("~tmp-*"))


def reasons_of_the_writer(watcher: Watcher) -> list[str]:
    """Why objects could not be written, as often as it was said. Who writes the checkpoint or a
    heartbeat meanwhile says so for itself."""
    return re.findall(r'"writing to the bucket fails" reason="(.*)"', watcher.log)


def fill_up(file: Path) -> None:
    """Until not one more byte fits on its file system."""
    with file.open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass
