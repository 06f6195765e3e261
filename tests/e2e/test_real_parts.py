"""The real parts do what the other end-to-end tests take for granted."""

import signal
import urllib.error
from collections.abc import Callable

import pytest
from minio.error import S3Error

from tests.e2e.api import API, APIError, Object
from tests.e2e.control_plane import ControlPlane, KubectlError
from tests.e2e.minio import Bucket, Minio
from tests.e2e.process import until

MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def revision(listed: Object) -> int:
    return int(listed["metadata"]["resourceVersion"])


def first_watch_line(api: API, path: str, since: int) -> Object:
    line: Object = api.get(f"{path}?watch=1&resourceVersion={since}&timeoutSeconds=2")
    return line


def test_an_api_server_alone_is_ready_and_stores_objects(bare_api: ControlPlane) -> None:
    bare_api.apply(config_map("a", colour="blue"))
    printed = bare_api.kubectl("get", "configmap", "a", "-o", "jsonpath={.data.colour}")
    assert printed == "blue"
    assert bare_api.api().get("/version")["gitVersion"] == "v1.36.3"


def test_two_control_planes_live_side_by_side(
    new_control_plane: Callable[..., ControlPlane],
) -> None:
    one, other = new_control_plane(), new_control_plane()
    one.apply(config_map("only-here"))
    with pytest.raises(APIError, match="404"):
        other.api().get(f"{MAPS}/only-here")


def test_a_user_may_do_what_was_granted_until_it_is_revoked(bare_api: ControlPlane) -> None:
    reader = bare_api.api("reader")
    with pytest.raises(APIError, match="403"):
        reader.get(MAPS)
    bare_api.grant("reader", {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]})
    until(lambda: reader.answers(MAPS), "granted right")
    bare_api.grant("reader")
    until(lambda: not reader.answers(MAPS), "revoked right")
    with pytest.raises(KubectlError, match="Forbidden"):
        bare_api.kubectl("get", "configmaps", user="reader")


def test_data_outlives_a_restart_of_the_api_server(bare_api: ControlPlane) -> None:
    bare_api.apply(config_map("kept"))
    bare_api.stop_apiserver()
    with pytest.raises(urllib.error.URLError):
        bare_api.api().get(MAPS)
    bare_api.start_apiserver()
    bare_api.restart_apiserver(signal.SIGTERM)
    assert bare_api.api().get(f"{MAPS}/kept")["metadata"]["name"] == "kept"


def test_after_a_compaction_an_old_resource_version_is_gone(bare_api: ControlPlane) -> None:
    api = bare_api.api()
    before = revision(api.get(MAPS))
    bare_api.apply(config_map("a"), config_map("b"))
    assert bare_api.compact() > before
    bare_api.restart_apiserver()  # its watch cache still knew
    line = first_watch_line(api, MAPS, before)
    assert (line["type"], line["object"]["code"]) == ("ERROR", 410)


def test_a_restored_snapshot_makes_resource_versions_go_back(bare_api: ControlPlane) -> None:
    api = bare_api.api()
    bare_api.apply(config_map("before"))
    snapshot = bare_api.snapshot()
    bare_api.apply(*(config_map(f"after-{n}") for n in range(50)))  # a start itself writes some
    later = revision(api.get(MAPS))
    bare_api.restore(snapshot)
    listed = api.get(MAPS)
    names = {item["metadata"]["name"] for item in listed["items"]}
    assert names & {"before", "after-0"} == {"before"}
    assert revision(listed) < later


def test_controllers_run_what_a_deployment_asks_for(control_plane: ControlPlane) -> None:
    control_plane.kubectl("create", "namespace", "real-parts")
    control_plane.kubectl(
        "create", "deployment", "web", "--image=web:1", "--replicas=2", "-n", "real-parts"
    )
    control_plane.kubectl(
        "wait", "deployment/web", "--for=condition=Available", "-n", "real-parts", "--timeout=60s"
    )
    control_plane.kubectl("delete", "namespace", "real-parts", "--timeout=60s")


def test_minio_keeps_its_data_over_a_stop_and_a_kill(own_minio: Minio) -> None:
    bucket = own_minio.new_bucket()
    bucket.write("a/key", b"value")
    own_minio.stop()
    own_minio.start()
    own_minio.kill()
    own_minio.start()
    assert bucket.read("a/key") == b"value"
    bucket.remove("a/key")
    assert bucket.keys() == []


def test_a_frozen_minio_answers_again_once_thawed(own_minio: Minio) -> None:
    own_minio.freeze()
    assert not own_minio.answers()
    own_minio.thaw()
    assert own_minio.answers()


def test_a_bucket_refuses_a_wrong_key(bucket: Bucket) -> None:
    stranger = Bucket(bucket.endpoint, bucket.name, secret_key="not-the-secret")
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        stranger.keys()
