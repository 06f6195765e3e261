"""Whatever a real API server does, `watcher` lives, converges, deletes nothing by mistake, says so.

Each test breaks one thing between a running watcher and the cluster, and ends with the oracle.
What takes minutes by `watcher`'s own rules (parking, telling silence from quiet) runs from
ROUNDS=10 on; tests/unit/capture/test_faults.py proves the same in virtual time.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e.api import Object
from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fill import create
from tests.e2e.minio import Minio
from tests.e2e.oracle import wait_until_equal
from tests.e2e.population import cluster_wide
from tests.e2e.process import until
from tests.e2e.proxy import Lose, Proxy, status_error
from tests.e2e.scene import QUICK, Scene, maps_of
from tests.e2e.watcher_process import PREFIX

MAPS_WATCH = "/configmaps.*watch=1"
READ = ["list", "watch"]
EVERYTHING: Object = {"apiGroups": ["*"], "resources": ["*"], "verbs": READ}
LONG = 10  # rounds from which on tests may take minutes


class Follow(Protocol):
    def __call__(
        self, plane: ControlPlane, via: Proxy | None = None, *, kubeconfig: Path | None = None
    ) -> Scene: ...


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """For tests that leave its processes alone; the others break a `bare_api`."""
    plane = ControlPlane(tmp_path_factory.mktemp("cluster-faults") / "plane")
    yield plane
    plane.close()


@pytest.fixture
def api_proxy(plane: ControlPlane, proxy_of: Callable[[ControlPlane], Proxy]) -> Proxy:
    """In front of `plane`."""
    return proxy_of(plane)


@pytest.fixture
def follow(minio: Minio, start_watcher: StartWatcher) -> Iterator[Follow]:
    """Starts a watcher of three maps: a, b and c; by default as somebody who may only read."""
    with ExitStack() as left:

        def start(
            plane: ControlPlane, via: Proxy | None = None, *, kubeconfig: Path | None = None
        ) -> Scene:
            maps = left.enter_context(maps_of(plane))
            for name in "abc":
                maps.put(name, "old")
            if kubeconfig is None:
                plane.grant("reader", EVERYTHING)
                until(lambda: plane.api("reader").answers("/api/v1/secrets"), "granted rights")
                kubeconfig = plane.kubeconfig("reader", server=via.url if via else "")
            bucket = minio.new_bucket(versioned=True)
            watcher = start_watcher(kubeconfig, bucket, **QUICK)
            return Scene(watcher, plane.api(), maps, bucket)

        yield start


def restarts(scene: Scene, reason: str) -> float:
    return scene.watcher.metric("watcher_watch_restarts_total", reason=reason)


def groups_of(plane: ControlPlane) -> list[str]:
    """API groups that are served, the core one aside."""
    return [group["name"] for group in plane.api().get("/apis")["groups"]]


def grant_all_but(plane: ControlPlane, forbidden: str) -> None:
    """`reader` may read every kind but this one of the core group ("": every one)."""
    core = {kind["name"] for kind in plane.api().get("/api/v1")["resources"]}
    plane.grant(
        "reader",
        {"apiGroups": groups_of(plane), "resources": ["*"], "verbs": READ},
        {"apiGroups": [""], "resources": sorted(core - {forbidden}), "verbs": READ},
    )
    reader = plane.api("reader")
    until(lambda: reader.answers("/api/v1/nodes"), "granted rights")
    if forbidden:
        until(lambda: not reader.answers(f"/api/v1/{forbidden}"), "right taken away")


def is_refused(plane: ControlPlane, token: str) -> bool:
    """Whether the API server takes nobody for the owner of this token."""
    return not replace(plane.api(), token=token).answers("/api")


def kind_of(name: str) -> Object:
    """A CRD of the population."""
    return next(item for item in cluster_wide(0) if item["metadata"]["name"] == name)


@contextmanager
def api_service(plane: ControlPlane, group: str, service: str, port: int = 443) -> Iterator[None]:
    """Another server answers for `group`, reached through a Service of the namespace default."""
    spec = {
        "group": group,
        "version": "v1",
        "groupPriorityMinimum": 1000,
        "versionPriority": 15,
        "insecureSkipTLSVerify": True,
        "service": {"namespace": "default", "name": service, "port": port},
    }
    path = "/apis/apiregistration.k8s.io/v1/apiservices"
    name = f"v1.{group}"
    plane.api().create(path, {"metadata": {"name": name}, "spec": spec})
    try:
        yield
    finally:
        plane.api().delete(f"{path}/{name}")
        until(lambda: group not in groups_of(plane), f"no group {group}")


# The API server goes


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_a_restart_of_the_api_server_is_survived(
    bare_api: ControlPlane, follow: Follow, how: signal.Signals, rounds: int
) -> None:
    if how is signal.SIGTERM and rounds < LONG:
        pytest.skip(f"it waits a minute for its watches to end: ROUNDS={LONG}")
    scene = follow(bare_api)
    bare_api.restart_apiserver(how)
    scene.maps.put("a", "new")
    scene.maps.remove("b")
    scene.wait_until_survived("b")
    assert restarts(scene, "connection") + restarts(scene, "ended") > 0
    # Until it knows its roles, an API server that starts refuses all but its admins.
    assert scene.watcher.metric("watcher_informers", state="forbidden") == 0


@pytest.mark.timeout(300)
def test_an_api_server_that_is_away_is_waited_for_and_said_once(
    bare_api: ControlPlane, follow: Follow, rounds: int
) -> None:
    scene = follow(bare_api)
    bare_api.stop_apiserver()
    time.sleep(12 if rounds < LONG else 60)  # the fault itself: nobody can change anything
    assert scene.watcher.status("/readyz") == 503
    assert scene.watcher.status("/livez") == 200
    bare_api.start_apiserver()
    scene.maps.put("a", "new")
    scene.maps.remove("b")
    scene.wait_until_survived("b")
    assert restarts(scene, "connection") > 0
    assert scene.watcher.log.count("the connection to the API server fails") == 1


# History is lost


def test_history_compacted_while_disconnected_is_a_new_list(
    bare_api: ControlPlane, proxy_of: Callable[[ControlPlane], Proxy], follow: Follow
) -> None:
    """A watch from a forgotten version is answered 200, and an ERROR event with code 410."""
    api_proxy = proxy_of(bare_api)
    scene = follow(bare_api, api_proxy)
    api_proxy.inject(Lose(asked=False))
    api_proxy.cut()
    scene.maps.put("a", "new")
    scene.maps.remove("b")
    scene.maps.put("d", "created unseen")
    bare_api.compact()
    bare_api.restart_apiserver()  # its watch cache still knew
    api_proxy.clear()
    scene.wait_until_survived("b")
    assert restarts(scene, "expired") > 0


def test_a_watch_refused_with_410_is_a_new_list(
    plane: ControlPlane, api_proxy: Proxy, follow: Follow
) -> None:
    """The other form: the HTTP status itself."""
    scene = follow(plane, api_proxy)
    api_proxy.inject(status_error(410, "Expired"), path=MAPS_WATCH, times=1)
    api_proxy.cut(MAPS_WATCH)
    scene.maps.put("a", "new")
    scene.maps.remove("b")
    scene.wait_until_survived("b")
    assert restarts(scene, "expired") == 1


def test_a_list_of_5000_whose_continue_token_expires_is_read_in_one_piece(
    plane: ControlPlane, api_proxy: Proxy, follow: Follow
) -> None:
    with maps_of(plane) as many:
        named = {"namespace": many.namespace, "labels": {"of": "many"}}
        create(
            plane.api(),
            (
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"m-{n}", **named}}
                for n in range(5000)
            ),
        )
        scene = follow(plane, api_proxy)
        api_proxy.forget()
        api_proxy.inject(status_error(410, "Expired"), path="/configmaps.*continue=", times=1)
        api_proxy.inject(status_error(410, "Expired"), path=MAPS_WATCH, times=1)
        api_proxy.cut(MAPS_WATCH)
        scene.maps.put("a", "new")
        scene.maps.remove("b")
        scene.wait_until_survived("b")
        assert restarts(scene, "token-expired") == 1
        assert api_proxy.count(path="/configmaps.*continue=") == 1


def test_an_etcd_put_back_in_time_is_followed_but_deletes_nothing(
    bare_api: ControlPlane, follow: Follow
) -> None:
    bare_api.apply(kind_of("fleets.fleet.example.com"))
    fleets = "/apis/fleet.example.com/v1/fleets"
    until(lambda: bare_api.api().answers(fleets), "established CRD")
    fleet: Object = {"apiVersion": "fleet.example.com/v1", "kind": "Fleet"}
    fleet["metadata"] = {"name": "created"}
    fleet_key = f"{PREFIX}_cluster/fleet.fleet.example.com/created.yaml"
    scene = follow(bare_api)
    snapshot = bare_api.snapshot()
    scene.maps.put("a", "new")
    scene.maps.remove("b")
    created = [f"created-{number}" for number in range(50)]  # versions far beyond the snapshot's
    for name in created:
        scene.maps.put(name, "lost")
    bare_api.api().create(fleets, fleet)
    kept = {fleet_key, *map(scene.maps.key, created)}
    until(lambda: kept <= scene.bucket.etags(PREFIX).keys(), "stored changes")
    until(lambda: not scene.stored("b"), "stored deletion")
    bare_api.restore(snapshot)
    until(lambda: scene.watcher.metric("watcher_deletes_held") == len(kept), "held deletes")
    assert restarts(scene, "history-lost") >= 2
    until(lambda: scene.stored("b"), "the map that is back")
    until(lambda: b"old" in scene.bucket.read(scene.maps.key("a")), "the old state")
    assert kept <= scene.bucket.etags(PREFIX).keys()
    for name in created:
        scene.maps.put(name, "again")
    bare_api.api().create(fleets, fleet)
    scene.wait_until_survived("b")  # that was before the snapshot came back
    until(lambda: scene.watcher.metric("watcher_deletes_held") == 0, "nothing held")


# Rights


def test_a_kind_that_is_forbidden_from_the_start_does_not_hide_the_others(
    plane: ControlPlane, follow: Follow
) -> None:
    grant_all_but(plane, "secrets")
    secret: Object = {"metadata": {"name": "unseen"}, "stringData": {"a": "b"}}
    plane.api().create("/api/v1/namespaces/default/secrets", secret)
    try:
        scene = follow(plane, kubeconfig=plane.kubeconfig("reader"))
        scene.maps.put("a", "new")
        until(lambda: b"new" in scene.bucket.read(scene.maps.key("a")), "a change of another kind")
        assert scene.watcher.metric("watcher_informers", state="forbidden") == 1
        assert scene.watcher.log.count("following secrets fails") == 1
        assert not scene.bucket.keys(f"{PREFIX}default/secret/")
    finally:
        plane.api().delete("/api/v1/namespaces/default/secrets/unseen")
    scene.wait_until_survived()


@pytest.mark.timeout(600)
def test_a_right_that_is_taken_away_keeps_the_files_and_is_said_once(
    plane: ControlPlane,
    api_proxy: Proxy,
    follow: Follow,
    start_watcher: StartWatcher,
    rounds: int,
) -> None:
    """A forbidden kind is parked for 2 to 5 minutes. A few rounds end with a new start instead."""
    reader = plane.kubeconfig("reader", server=api_proxy.url)
    grant_all_but(plane, "")
    scene = follow(plane, kubeconfig=reader)
    grant_all_but(plane, "configmaps")
    api_proxy.cut("/configmaps.*watch=1")  # an open watch goes on without the right
    scene.maps.put("a", "new")  # the cut comes with the next event, which is half of this one
    scene.maps.remove("b")
    scene.wait_for_metric("watcher_informers", state="forbidden", timeout=90)
    assert scene.stored("b")
    assert scene.watcher.log.count("following configmaps fails") == 1
    grant_all_but(plane, "")
    if rounds < LONG:
        assert scene.process.running
        scene.watcher.terminate()
        start_watcher(reader, scene.bucket, **QUICK).wait_ready()
        assert not scene.stored("b")
        return
    scene.wait_until_survived("b", timeout=400)
    assert scene.watcher.log.count("following configmaps works again") == 1


def test_a_revoked_token_is_read_anew_from_the_kubeconfig(
    plane: ControlPlane, api_proxy: Proxy, follow: Follow, tmp_path: Path
) -> None:
    account = "/api/v1/namespaces/default/serviceaccounts"
    robot: Object = {"metadata": {"name": "robot"}}
    kubeconfig = tmp_path / "robot.kubeconfig"
    plane.grant("system:serviceaccount:default:robot", EVERYTHING)

    def write_token() -> None:
        config = json.loads(plane.kubeconfig(server=api_proxy.url).read_text())
        config["users"][0]["user"]["token"] = plane.kubectl("create", "token", "robot").strip()
        kubeconfig.write_text(json.dumps(config))

    plane.api().create(account, robot)
    try:
        write_token()
        scene = follow(plane, kubeconfig=kubeconfig)
        plane.api().delete(f"{account}/robot")
        plane.api().create(account, robot)  # tokens are bound to the UID, so the old one is void
        old = json.loads(kubeconfig.read_text())["users"][0]["user"]["token"]
        until(lambda: is_refused(plane, old), "refused token")
        api_proxy.cut()
        scene.maps.put("a", "new")
        scene.wait_for_metric("watcher_watch_restarts_total", reason="unauthorized")
        write_token()
        scene.maps.remove("b")
        scene.wait_until_survived("b")
    finally:
        plane.api().delete(f"{account}/robot")


# Aggregated APIs


def test_a_broken_aggregated_api_does_not_stop_the_others(
    plane: ControlPlane, follow: Follow
) -> None:
    scene = follow(plane)
    with api_service(plane, "broken.example.com", "no-such-service"):
        scene.wait_for_metric("watcher_discovery_failures_total", timeout=90)
        scene.maps.put("a", "new")
        scene.maps.remove("b")
        until(lambda: b"new" in scene.bucket.read(scene.maps.key("a")), "a change of another kind")
        assert scene.watcher.status("/readyz") == 200
        assert scene.watcher.log.count("discovery of kinds fails") == 1
        until(lambda: not scene.stored("b"), "a deletion of another kind")
        assert scene.deleted == {scene.maps.key("b")}
    wait_until_equal(plane.api(), scene.bucket)  # the APIService was an object too
    assert scene.process.running


def test_an_aggregated_api_that_breaks_keeps_its_files(
    plane: ControlPlane, new_control_plane: Callable[..., ControlPlane], follow: Follow
) -> None:
    """The other server is a real API server too, asked as nobody in particular."""
    backend = new_control_plane()
    anyone: Object = {"nonResourceURLs": ["*"], "verbs": ["get"]}
    backend.grant("system:anonymous", EVERYTHING, anyone)
    backend.apply(kind_of("fleets.fleet.example.com"))
    fleets = "/apis/fleet.example.com/v1/fleets"
    until(lambda: backend.api().answers(fleets), "established CRD")
    fleet: Object = {"apiVersion": "fleet.example.com/v1", "kind": "Fleet"}
    backend.api().create(fleets, {**fleet, "metadata": {"name": "one"}, "spec": {"size": 1}})
    service: Object = {"type": "ExternalName", "externalName": "localhost"}
    services = "/api/v1/namespaces/default/services"
    plane.api().create(services, {"metadata": {"name": "backend"}, "spec": service})
    scene = follow(plane)
    key = f"{PREFIX}_cluster/fleet.fleet.example.com/one.yaml"
    with api_service(plane, "fleet.example.com", "backend", int(backend.url.rpartition(":")[2])):
        until(lambda: key in scene.bucket.etags(PREFIX), "the aggregated API's object", timeout=90)
        backend.stop_apiserver()
        failures = scene.watcher.metric("watcher_discovery_failures_total")
        until(
            lambda: scene.watcher.metric("watcher_discovery_failures_total") > failures,
            "a failure of discovery",
            timeout=90,
        )
        scene.maps.put("a", "new")
        scene.maps.remove("b")
        until(lambda: b"new" in scene.bucket.read(scene.maps.key("a")), "a change of another kind")
        assert key in scene.bucket.etags(PREFIX)
        backend.start_apiserver()
        until(lambda: plane.api().answers(fleets), "the aggregated API again")
        backend.api().merge(f"{fleets}/one", {"spec": {"size": 2}})
        scene.wait_until_survived("b")
    plane.api().delete(f"{services}/backend")


# Streams


def test_a_connection_cut_in_the_middle_of_a_line_loses_no_event(
    plane: ControlPlane, api_proxy: Proxy, follow: Follow
) -> None:
    scene = follow(plane, api_proxy)
    assert api_proxy.cut(MAPS_WATCH) == 1
    scene.maps.put("a", "cut here " * 50_000)
    scene.maps.remove("b")
    scene.wait_until_survived("b")
    assert restarts(scene, "connection") == 1


@pytest.mark.timeout(600)
def test_a_watch_that_goes_silent_is_left(
    plane: ControlPlane, api_proxy: Proxy, follow: Follow, rounds: int
) -> None:
    """Silence counts after two bookmarks, which take some three minutes, and then 90 seconds."""
    if rounds < LONG:
        pytest.skip(f"takes five minutes: ROUNDS={LONG}; in virtual time it is always tested")
    scene = follow(plane, api_proxy)

    def heard_of() -> float:
        name = "watcher_watch_last_activity_timestamp_seconds"
        return scene.watcher.metric(name, resource="configmaps")

    for _ in range(2):
        last = heard_of()
        until(lambda: heard_of() > last, "bookmark", timeout=150, poll=1)  # noqa: B023
    assert api_proxy.silence(MAPS_WATCH) == 1
    scene.maps.put("a", "new")
    scene.maps.remove("b")
    scene.wait_until_survived("b", timeout=180)
    assert restarts(scene, "connection") == 1


@pytest.mark.parametrize(
    ("status", "reason", "counted"),
    [(429, "TooManyRequests", "throttled"), (503, "ServiceUnavailable", "server-error")],
)
def test_an_api_server_that_refuses_everything_for_a_while_is_waited_for(
    plane: ControlPlane, api_proxy: Proxy, follow: Follow, status: int, reason: str, counted: str
) -> None:
    scene = follow(plane, api_proxy)
    api_proxy.inject(status_error(status, reason, retry_after=1))
    api_proxy.cut()
    scene.maps.put("a", "new")
    scene.maps.remove("b")
    until(lambda: restarts(scene, counted) >= 2, "two refusals")
    api_proxy.clear()
    scene.wait_until_survived("b")


# Large objects


def test_objects_as_large_as_etcd_takes_are_stored_right(
    plane: ControlPlane, follow: Follow
) -> None:
    plane.apply(kind_of("certificates.cert-manager.io"))
    certificates = "/apis/cert-manager.io/v1/certificates"
    until(lambda: plane.api().answers(certificates), "established CRD")
    scene = follow(plane)
    path = certificates.replace("/v1/", f"/v1/namespaces/{scene.maps.namespace}/")
    named: Object = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate"}
    text = "value: 'e'\n" * 120_000  # 1.44 MB as etcd has it; it takes 1.5 MiB
    large: Object = {**named, "metadata": {"name": "large"}, "spec": {"text": text}}
    plane.api().create(path, large)
    scene.maps.put("a", "key: välue\n" * 85_000)  # 1.02 MB of the 1 MiB that a map may hold
    try:
        scene.wait_until_survived()
        plane.api().merge(f"{path}/large", {"spec": {"changed": True}})
        scene.wait_until_survived()
        written = scene.watcher.metric(
            "watcher_changes_total", resource="certificates.cert-manager.io"
        )
        assert written == 2
        assert scene.watcher.metric("watcher_objects_skipped_total", reason="error") == 0
    finally:
        plane.api().delete(f"{path}/large")
