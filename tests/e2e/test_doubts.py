"""Whatever a cluster or a bucket says by mistake, no file is deleted for it; what is true goes.

The fault matrix of deletions by absence (DESIGN.md section 8), on real parts. Each bucket is
versioned, so that a deletion leaves a mark even if it was made good. Elsewhere: an API server that
goes, loses history or forbids a kind under a running service, an aggregated API that breaks under
one (test_cluster_faults.py); a namespace and a CRD that go while nobody watches, and the trash
(test_deletes.py); another cluster, or another time (test_other_clusters.py); two writers
(test_writers.py).
"""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.api import API, Object
from tests.e2e.by_hand import held, objects, reconcile, sync
from tests.e2e.changes import path, send
from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Bucket, Minio
from tests.e2e.oracle import differences, wait_until_equal
from tests.e2e.process import until
from tests.e2e.proxy import Alter, Lose, Proxy, status_error
from tests.e2e.scene import QUICK, Maps, Scene, maps_of
from tests.e2e.test_cluster_faults import (
    EVERYTHING,
    MAPS_WATCH,
    api_service,
    grant_all_but,
    kind_of,
)
from tests.e2e.watcher_process import PREFIX, command

MAPS_LIST = r"/configmaps\?(?!.*(fieldSelector|watch=1|limit=1(&|$)))"
MAPS_QUESTION = "/configmaps.*fieldSelector"
FLEETS = "/apis/fleet.example.com/v1/fleets"
FLEET: Object = {"apiVersion": "fleet.example.com/v1", "kind": "Fleet"}
GONE = status_error(410, "Expired")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """For tests that leave its processes alone; the others break a `bare_api`."""
    plane = ControlPlane(tmp_path_factory.mktemp("doubts") / "plane")
    yield plane
    plane.close()


@pytest.fixture
def api(plane: ControlPlane) -> API:
    return plane.api()


@pytest.fixture
def api_proxy(plane: ControlPlane, proxy_of: Callable[[ControlPlane], Proxy]) -> Proxy:
    return proxy_of(plane)


@pytest.fixture
def bucket(minio: Minio) -> Bucket:
    return minio.new_bucket(versioned=True)


@pytest.fixture
def maps(plane: ControlPlane) -> Iterator[Maps]:
    """Three: a, b and c."""
    with maps_of(plane) as maps:
        for name in "abc":
            maps.put(name, "old")
        yield maps


@pytest.fixture
def follow(
    plane: ControlPlane, api: API, maps: Maps, bucket: Bucket, start_watcher: StartWatcher
) -> Callable[[Proxy], Scene]:
    """Starts a watcher that reaches the cluster through this proxy."""

    def start(via: Proxy) -> Scene:
        watcher = start_watcher(plane.kubeconfig(server=via.url), bucket, **QUICK)
        return Scene(watcher, api, maps, bucket)

    return start


# Lists that lie


def emptied(body: bytes) -> bytes:
    told = json.loads(body)
    version = told["metadata"]["resourceVersion"]
    return json.dumps({**told, "metadata": {"resourceVersion": version}, "items": []}).encode()


def cut_short(body: bytes) -> bytes:
    """The first page, as if it were all."""
    told = json.loads(body)
    version = told["metadata"]["resourceVersion"]
    return json.dumps({**told, "metadata": {"resourceVersion": version}}).encode()


@pytest.mark.parametrize("lie", [emptied, cut_short])
def test_of_a_list_that_does_not_tell_of_all_only_what_is_gone_is_believed(
    api: API,
    maps: Maps,
    api_proxy: Proxy,
    follow: Callable[[Proxy], Scene],
    lie: Callable[[bytes], bytes],
) -> None:
    """Each of 400 objects is asked for; all but one are there."""
    maps.put_many(400)
    scene = follow(api_proxy)
    api_proxy.forget()
    api_proxy.inject(Alter(lie), path=MAPS_LIST)
    api_proxy.inject(GONE, path=MAPS_WATCH, times=1)
    api_proxy.cut(MAPS_WATCH)
    maps.remove("b")
    maps.put("a", "new")
    scene.wait_until_survived("b")
    assert api_proxy.count(path=MAPS_LIST) == 1
    assert api_proxy.count(path=MAPS_QUESTION) >= 100


def test_a_list_that_breaks_after_its_first_page_proves_nothing(
    api: API, maps: Maps, api_proxy: Proxy, follow: Callable[[Proxy], Scene]
) -> None:
    maps.put_many(400)
    scene = follow(api_proxy)
    api_proxy.forget()
    api_proxy.inject(Lose(asked=False), path="/configmaps.*continue=")
    api_proxy.inject(GONE, path=MAPS_WATCH, times=1)
    api_proxy.cut(MAPS_WATCH)
    maps.remove("b")
    maps.put("a", "new")
    until(lambda: api_proxy.count(path="/configmaps.*continue=") >= 3, "three broken lists")
    assert api_proxy.count(path=MAPS_QUESTION) == 0
    assert scene.deleted == set()
    api_proxy.clear()
    scene.wait_until_survived("b")


def test_a_kind_that_seems_to_be_all_gone_is_held_until_it_is_back(
    api: API, maps: Maps, api_proxy: Proxy, follow: Callable[[Proxy], Scene]
) -> None:
    """The question for each single object is answered as wrongly as the list was."""
    maps.put_many(30)
    scene = follow(api_proxy)
    all_maps = {key for key in scene.bucket.keys(PREFIX) if "/configmap/" in key}
    api_proxy.inject(GONE, path=MAPS_WATCH, times=1)
    api_proxy.inject(Alter(emptied), path=r"/configmaps\?(?!.*watch=1)")
    api_proxy.cut(MAPS_WATCH)
    maps.put("a", "new")
    scene.wait_for_metric("watcher_deletes_held")
    until(lambda: held(scene.bucket) == dict.fromkeys(all_maps, "many"), "record", poll=1)
    assert scene.watcher.log.count("deletes are held") == 1
    api_proxy.clear()
    api_proxy.inject(GONE, path=MAPS_WATCH, times=1)
    api_proxy.cut(MAPS_WATCH)
    maps.put("c", "new")
    scene.wait_until_survived()
    assert scene.watcher.metric("watcher_deletes_held") == 0


@pytest.mark.timeout(300)
def test_an_aggregated_api_that_answers_empty_is_asked_again_a_minute_later(
    plane: ControlPlane,
    api: API,
    bucket: Bucket,
    new_control_plane: Callable[..., ControlPlane],
    proxy_of: Callable[[ControlPlane], Proxy],
    start_watcher: StartWatcher,
) -> None:
    """The other server is a real API server too, asked as nobody in particular. At the end it is
    away, and so when a watcher starts."""
    backend = new_control_plane()
    backend.grant("system:anonymous", EVERYTHING, {"nonResourceURLs": ["*"], "verbs": ["get"]})
    backend.apply(kind_of("fleets.fleet.example.com"))
    until(lambda: backend.api().answers(FLEETS), "established CRD")
    backend.api().create(FLEETS, {**FLEET, "metadata": {"name": "one"}, "spec": {"size": 1}})
    services = "/api/v1/namespaces/default/services"
    service: Object = {"type": "ExternalName", "externalName": "localhost"}
    api.create(services, {"metadata": {"name": "aggregated"}, "spec": service})
    between = proxy_of(backend)
    port = int(between.url.rpartition(":")[2])
    key = f"{PREFIX}_cluster/fleet.fleet.example.com/one.yaml"
    with api_service(plane, "fleet.example.com", "aggregated", port):
        until(lambda: api.answers(FLEETS), "aggregated API")
        watcher = start_watcher(plane.kubeconfig(), bucket, **QUICK)
        watcher.wait_ready()
        until(lambda: key in bucket.etags(PREFIX), "the aggregated API's object", timeout=90)
        between.forget()
        between.inject(Alter(emptied), path=r"/fleets\?(?!.*watch=1)")
        between.inject(GONE, path="/fleets.*watch=1", times=1)
        between.cut("/fleets.*watch=1")
        backend.api().merge(f"{FLEETS}/one", {"spec": {"size": 2}})
        questions = "/fleets.*fieldSelector"
        until(lambda: between.count(path=questions) == 1, "a first question", timeout=90)
        between.clear()
        until(lambda: between.count(path=questions) == 2, "a second question", timeout=90)
        wait_until_equal(api, bucket)
        assert bucket.deleted(PREFIX) == set()
        assert watcher.terminate() == 0

        backend.stop_apiserver()
        until(lambda: not api.answers(FLEETS), "no aggregated API")
        done = command(plane.kubeconfig(), bucket, "run", "--once")
        assert "fleet.example.com" in done.stderr
        assert key in bucket.etags(PREFIX)
        assert bucket.deleted(PREFIX) == set()
    api.delete(f"{services}/aggregated")


def test_a_reconcile_leaves_a_kind_alone_that_it_may_not_list(
    plane: ControlPlane, maps: Maps, bucket: Bucket
) -> None:
    sync(plane, bucket)
    maps.remove("b")
    bucket.remove(maps.key("c"))
    bucket.write(maps.key("stranger"), b"kind: ConfigMap\n")
    marks = bucket.deleted(PREFIX)
    grant_all_but(plane, "configmaps")
    report = reconcile(plane, bucket, user="reader", code=1)
    assert "403" in report["resources"]["configmaps"]["unread"]
    assert [key for keys in report["drift"].values() for key in keys if "/configmap/" in key] == []
    assert bucket.deleted(PREFIX) == marks
    report = reconcile(plane, bucket)
    assert report["drift"]["missing"] == [maps.key("c").removeprefix(PREFIX)]
    assert bucket.deleted(PREFIX) == marks | {maps.key("b"), maps.key("stranger")}
    assert differences(plane.api(), bucket) == []


# What is really gone


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "unseen"])
def test_a_namespace_of_400_objects_that_is_deleted_goes_and_nothing_else(
    api: API, bucket: Bucket, api_proxy: Proxy, follow: Callable[[Proxy], Scene], seen: bool
) -> None:
    """Under a service that is told of each end, and under one that only misses them later."""
    doomed = Maps(api)
    doomed.put_many(400)
    scene = follow(api_proxy)
    space = f"{PREFIX}_cluster/namespace/{doomed.namespace}.yaml"
    files = {key for key in bucket.keys(PREFIX) if key.startswith(PREFIX + doomed.namespace)}
    assert len(files) == 400
    if not seen:
        lists = r"/(configmaps|namespaces)\?(?!.*(fieldSelector|watch=1))"
        watches = r"/(configmaps|namespaces)\?.*watch=1"
        api_proxy.forget()
        api_proxy.inject(GONE, path=watches)
        api_proxy.inject(Lose(asked=False), path=lists)
        api_proxy.cut(watches)
        scene.maps.put("a", "new")
        api.merge(f"/api/v1/namespaces/{doomed.namespace}", {"metadata": {"labels": {"a": "b"}}})
        for kind in ("configmaps", "namespaces"):
            until(lambda: api_proxy.count(path=lists.replace("configmaps|namespaces", kind)), kind)  # noqa: B023
    remove_namespace(api, doomed.namespace)
    if not seen:
        assert scene.deleted == set()
        api_proxy.clear()
    wait_until_equal(api, bucket, timeout=110)
    assert scene.deleted == {*files, space}
    assert scene.watcher.metric("watcher_deletes_held") == 0


def remove_namespace(api: API, name: str) -> None:
    """With its ConfigMaps; what a controller would do."""
    where = f"/api/v1/namespaces/{name}"
    api.delete(where)
    api.delete(f"{where}/configmaps")
    api.call("PUT", f"{where}/finalize", {**api.get(where), "spec": {}})
    until(lambda: not api.answers(where), f"no namespace {name}")


@pytest.mark.timeout(300)
def test_most_maps_deleted_while_nobody_watched_wait_for_an_operator_whom_the_service_obeys(
    plane: ControlPlane, api: API, maps: Maps, bucket: Bucket, start_watcher: StartWatcher
) -> None:
    items = maps.put_many(100)
    sync(plane, bucket)
    gone = [item for number, item in enumerate(items) if number < 80]
    send(api, [("DELETE", path(item), None) for item in gone])
    keys = {maps.key(item["metadata"]["name"]) for item in gone}
    watcher = start_watcher(plane.kubeconfig(), bucket, **QUICK)
    watcher.wait_ready()
    assert watcher.metric("watcher_deletes_held") == 80
    until(lambda: held(bucket) == dict.fromkeys(keys, "many"), "record of what is held", poll=1)
    assert bucket.deleted(PREFIX) == set()

    here = f"{maps.namespace}/configmap"
    allowed = {maps.key(f"m-{number}") for number in (1, *range(10, 20))}
    kept = {maps.key(f"m-{number}") for number in (2, *range(20, 30))}
    for words in (("allow", f"{here}/m-1*"), ("keep", f"{here}/m-2*")):
        done = command(None, bucket, "deletes", *words, "--output=json")
        assert done.returncode == 0, done.stderr
    until(lambda: bucket.deleted(PREFIX) == allowed, "allowed deletions", timeout=150, poll=1)
    until(lambda: watcher.metric("watcher_deletes_held") == 80 - 22, "held deletes", timeout=60)
    assert watcher.terminate() == 0
    assert held(bucket).keys() == keys - allowed - kept
    assert "58 files are kept though their objects are gone" in sync(plane, bucket, code=3)
    assert bucket.deleted(PREFIX) == allowed


# A bucket that lies


class Stale:
    """Listings of the bucket as they were when they were asked for first."""

    def __init__(self) -> None:
        self._pages: dict[bytes, bytes] = {}

    def __call__(self, body: bytes) -> bytes:
        after = re.search(rb"<(StartAfter|ContinuationToken)>.*?<", body)
        return self._pages.setdefault(after[0] if after else b"", body)


def test_a_listing_of_the_bucket_that_is_old_deletes_and_destroys_nothing(
    plane: ControlPlane, api: API, maps: Maps, bucket: Bucket, s3_proxy: Proxy
) -> None:
    """Of an hour ago, say: it lacks new files, shows files that are gone, and old ETags."""
    items = maps.put_many(40)
    sync(plane, bucket)
    s3_proxy.inject(Alter(Stale()), "GET", rf"\?(?!.*max-keys=1(&|$)).*prefix={PREFIX}(&|$)")
    through = bucket.at(s3_proxy.url)
    sync(plane, through)  # this is what the listing will say for ever
    changed, gone = items[:10], items[10:20]
    send(api, [("PATCH", path(item), {"data": {"a": "2"}}) for item in changed])
    send(api, [("DELETE", path(item), None) for item in gone])
    for number in range(10):
        maps.put(f"new-{number}", "1")
    sync(plane, bucket)
    marks, there = bucket.deleted(PREFIX), objects(bucket)
    assert len(marks) == 10

    report = reconcile(plane, through)
    assert sum(map(len, report["drift"].values())) == 0
    sync(plane, through)
    assert s3_proxy.count("GET", f"prefix={PREFIX}(&|$)") >= 4
    assert objects(bucket) == there
    assert bucket.deleted(PREFIX) == marks
    assert differences(api, bucket) == []
