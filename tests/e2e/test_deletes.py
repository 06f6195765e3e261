"""What went while nobody watched: believed, held or restored, on a real API server and MinIO.

The bucket keeps no versions, so what is deleted goes through the trash.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.api import Object
from tests.e2e.changes import config_map
from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fill import create
from tests.e2e.minio import Bucket
from tests.e2e.oracle import wait_until_equal
from tests.e2e.process import until
from tests.e2e.test_cluster_faults import kind_of
from tests.e2e.watcher_process import CLUSTER, DOMAIN, PREFIX

FLEETS = "/apis/fleet.example.com/v1/fleets"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
TRASH = f"{PREFIX}_meta/trash/"


def populate(plane: ControlPlane) -> None:
    """400 ConfigMaps in a namespace, 30 objects of a CRD, 60 ServiceAccounts."""
    plane.apply(kind_of("fleets.fleet.example.com"))
    until(lambda: plane.api().answers(FLEETS), "established CRD")
    plane.api().create("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    fleet: Object = {"apiVersion": "fleet.example.com/v1", "kind": "Fleet"}
    account: Object = {"apiVersion": "v1", "kind": "ServiceAccount"}
    create(
        plane.api(),
        [
            *(config_map("shop", f"c{number}") for number in range(400)),
            *({**fleet, "metadata": {"name": f"f{number}"}} for number in range(30)),
            *(
                {**account, "metadata": {"name": f"a{number}", "namespace": "default"}}
                for number in range(60)
            ),
        ],
    )


def remove(plane: ControlPlane) -> None:
    """The namespace and the CRD, with all that is theirs; of the ServiceAccounts, 50."""
    api = plane.api()
    api.delete("/api/v1/namespaces/shop")
    api.delete("/api/v1/namespaces/shop/configmaps")  # what the missing controllers would do
    space = api.get("/api/v1/namespaces/shop")
    api.call("PUT", "/api/v1/namespaces/shop/finalize", {**space, "spec": {}})
    api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/fleets.fleet.example.com")
    for number in range(50):
        api.delete(f"{ACCOUNTS}/a{number}")
    until(lambda: not api.answers("/api/v1/namespaces/shop"), "no namespace shop")
    until(lambda: not api.answers(FLEETS), "no kind Fleet")


@pytest.mark.timeout(240)  # a minute of it until a kind is believed to be gone
def test_what_went_with_its_namespace_or_kind_is_believed_the_rest_is_an_operators_matter(
    bare_api: ControlPlane, bucket: Bucket, start_watcher: StartWatcher, tmp_path: Path
) -> None:
    command = commands_on(bucket)
    populate(bare_api)
    kubeconfig = bare_api.kubeconfig()
    assert start_watcher(kubeconfig, bucket, "run", "--once").wait() == 0
    wait_until_equal(bare_api.api(), bucket)
    remove(bare_api)
    watcher = start_watcher(kubeconfig, bucket)
    watcher.wait_ready()
    accounts = [f"default/serviceaccount/a{number}.yaml" for number in range(50)]
    held = {PREFIX + key for key in accounts}

    def kept() -> set[str]:
        gone = ("shop/", "_cluster/namespace/shop", "_cluster/fleet.")
        return {k for k in bucket.keys(PREFIX) if k.removeprefix(PREFIX).startswith(gone)}

    until(lambda: not kept(), "nothing of the namespace and the kind", timeout=110)
    assert held <= set(bucket.keys(PREFIX))
    assert watcher.metric("watcher_deletes_held") == 50
    listed = json.loads(command("deletes", "list", "--output=json"))["held"]
    assert {line["key"] for line in listed} == set(accounts)
    assert {line["why"] for line in listed} == {"many"}
    assert len([key for key in bucket.keys(TRASH) if "/configmap/" in key]) == 400

    assert watcher.terminate() == 0

    command("deletes", "keep", accounts[0])
    command("deletes", "allow", "default/serviceaccount/a1*")
    allowed = {PREFIX + key for key in accounts if "/a1" in key}
    assert start_watcher(kubeconfig, bucket, "run", "--once").wait() == 3, "some are still held"
    assert not allowed & set(bucket.keys(PREFIX))
    assert held - allowed <= set(bucket.keys(PREFIX))

    command("trash", "restore", "default/serviceaccount/a1*", f"--to={tmp_path / 'restored'}")
    bare_api.kubectl("apply", "--server-side", "--recursive", "-f", tmp_path / "restored")
    command("deletes", "allow", "*")
    command("deletes", "keep", accounts[2])
    assert start_watcher(kubeconfig, bucket, "run", "--once").wait() == 0
    stored = {key for key in bucket.keys(PREFIX) if "/serviceaccount/a" in key}
    stored -= set(bucket.keys(TRASH))
    there = {0, 2, *(n for n in range(50) if str(n).startswith("1")), *range(50, 60)}
    assert stored == {f"{PREFIX}default/serviceaccount/a{number}.yaml" for number in there}
    assert json.loads(command("deletes", "list", "--output=json")) == {"held": []}
    assert command("trash", "empty", "--all").endswith(" files thrown away\n")
    assert bucket.keys(TRASH) == []


def commands_on(bucket: Bucket) -> Callable[..., str]:
    """Runs a command on the bucket, with no cluster in its settings; what it prints."""
    settings = {
        "CLUSTER_DOMAIN": DOMAIN,
        "CLUSTER_NAME": CLUSTER,
        "MINIO_ENDPOINT": bucket.endpoint,
        "MINIO_BUCKET": bucket.name,
        "MINIO_ACCESS_KEY": bucket.access_key,
        "MINIO_SECRET_KEY": bucket.secret_key,
    }

    def run(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "watcher", *words],
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout

    return run
