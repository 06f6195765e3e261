"""Another cluster at our cluster's address or under its name, or ours at another time: nothing is
deleted, and nothing of another cluster is stored before its operator says so."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.by_hand import held, objects, reconcile, sync
from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Bucket, Minio
from tests.e2e.oracle import differences, wait_until_equal
from tests.e2e.process import until
from tests.e2e.scene import QUICK, Maps, maps_of
from tests.e2e.watcher_process import PREFIX, Watcher, command, running
from tests.e2e.wrong_clock import jump


@pytest.fixture
def bucket(minio: Minio) -> Bucket:
    return minio.new_bucket(versioned=True)


def uid(plane: ControlPlane) -> str:
    return str(plane.api().get("/api/v1/namespaces/kube-system")["metadata"]["uid"])


def is_refused(plane: ControlPlane, bucket: Bucket, owner: str, *words: str) -> None:
    """Fails unless a cluster is told that the prefix is another one's, and nothing is written."""
    before = bucket.etags()
    done = command(plane.kubeconfig(), bucket, *(words or ("run",)))
    assert done.returncode == 3
    assert owner in done.stderr
    assert uid(plane) in done.stderr
    assert bucket.etags() == before


def test_an_api_server_that_comes_back_on_an_empty_etcd_ends_the_run_and_changes_nothing(
    bare_api: ControlPlane, bucket: Bucket, start_watcher: StartWatcher
) -> None:
    maps = Maps(bare_api.api())
    maps.put("a", "old")
    maps.put("b", "old")
    old = uid(bare_api)
    watcher = start_watcher(bare_api.kubeconfig(), bucket, **QUICK)
    watcher.wait_ready()
    before = objects(bucket)
    assert {maps.key("a"), maps.key("b")} <= before.keys()
    bare_api.restore(None)
    assert watcher.wait() == 3
    assert old in watcher.log
    assert uid(bare_api) in watcher.log
    assert objects(bucket) == before
    is_refused(bare_api, bucket, old)


def test_another_cluster_is_refused_until_it_takes_over_and_then_deletes_nothing_of_the_old_one(
    bare_api: ControlPlane, new_control_plane: Callable[..., ControlPlane], bucket: Bucket
) -> None:
    old, new = bare_api, new_control_plane()
    maps = Maps(old.api())
    lost = {maps.key(item["metadata"]["name"]) for item in maps.put_many(3)}
    sync(old, bucket)
    for words in (["run"], ["run", "--once"], ["reconcile"], ["reconcile", "--dry-run"]):
        is_refused(new, bucket, uid(old), *words)
    there = objects(bucket)
    claimed = command(new.kubeconfig(), bucket, "claim", "--take-over", "--yes")
    assert claimed.returncode == 0, claimed.stderr
    with maps_of(new) as own:
        own.put("a", "new")
        sync(new, bucket)
        assert there.keys() <= objects(bucket).keys()
        orphans = held(bucket)
        assert set(orphans.values()) == {"take-over"}
        assert lost <= orphans.keys() < there.keys()
        assert set(differences(new.api(), bucket)) == {f"left over: {key}" for key in orphans}
        report = reconcile(new, bucket)
        assert sum(map(len, report["drift"].values())) == 0
        assert report["held"] == len(orphans)
        sync(new, bucket)
    assert bucket.deleted(PREFIX) == set()
    is_refused(old, bucket, uid(new))


def test_an_etcd_put_back_in_time_while_nobody_watched_deletes_nothing(
    bare_api: ControlPlane, bucket: Bucket
) -> None:
    with maps_of(bare_api) as maps:
        maps.put("a", "old")
        snapshot = bare_api.snapshot()
        maps.put("a", "new")
        lost = {maps.key(item["metadata"]["name"]) for item in maps.put_many(60)}
        sync(bare_api, bucket)
        bare_api.restore(snapshot)
        assert "deletes are held" in sync(bare_api, bucket, code=3)
        assert held(bucket) == dict.fromkeys(lost, "many")
        assert b"old" in bucket.read(maps.key("a"))
        report = reconcile(bare_api, bucket)
        assert sum(map(len, report["drift"].values())) == 0
    assert bucket.deleted(PREFIX) == set()


def exceeds(watcher: Watcher, refused: float) -> bool:
    return rejected(watcher) > refused


def rejected(watcher: Watcher) -> float:
    return watcher.metric("watcher_bucket_retries_total", reason="rejected")


@pytest.mark.timeout(300)
def test_a_clock_that_jumps_deletes_nothing_and_loses_no_change(
    bare_api: ControlPlane, bucket: Bucket, tmp_path: Path
) -> None:
    """By days, so that the store refuses what is signed; and by minutes, which it bears."""
    clock = tmp_path / "seconds"
    jump(clock, 0)
    maps = Maps(bare_api.api())
    maps.put_many(30)
    program = (sys.executable, "-m", "tests.e2e.wrong_clock", clock)
    with running(tmp_path, bare_api.kubeconfig(), bucket, settings=QUICK, program=program) as it:
        it.wait_ready()
        gone = set()
        for number, seconds in enumerate((2 * 86_400, -3 * 3_600, 600, -600)):
            refused = rejected(it)
            jump(clock, seconds)
            maps.put("changed", str(number))
            maps.remove(f"m-{number}")
            gone.add(maps.key(f"m-{number}"))
            if abs(seconds) > 900:
                until(partial(exceeds, it, refused), "a refusal by the store")
                jump(clock, 0)
            wait_until_equal(bare_api.api(), bucket)
            assert bucket.deleted(PREFIX) == gone
        report = reconcile(bare_api, bucket)
        assert sum(map(len, report["drift"].values())) == 0
        assert bucket.deleted(PREFIX) == gone
        assert held(bucket) == {}
