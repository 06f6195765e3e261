"""The manifests on a real API server: accepted, admitted, and with the rights that are enough.

One control plane with controllers stands for the cluster. It notes every request, so that what the
program asked for is read from the API server's own audit log.
"""

import json
import os
import shutil
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent
from typing import Protocol

import pytest
import yaml

from tests.e2e.api import Object
from tests.e2e.control_plane import ControlPlane, KubectlError
from tests.e2e.fill import fill
from tests.e2e.minio import Bucket
from tests.e2e.oracle import wait_until_equal
from tests.e2e.pod import ROOT, SCRATCH, USER, new_pod
from tests.e2e.process import until
from tests.e2e.scene import Maps
from tests.e2e.watcher_process import CLUSTER, DOMAIN, PREFIX, Watcher, running

MANIFESTS = ROOT / "manifests"
APPLIED = ("base", "git-sync", "overlays/minikube", "overlays/production")
COMPONENTS = sorted(path.name for path in (MANIFESTS / "components").iterdir())
DEPLOYMENTS = {"base": "watcher", "git-sync": "watcher-git-sync"}
OPERATOR = ("PodMonitor", "ServiceMonitor", "PrometheusRule")  # kinds of the Prometheus operator
ACCOUNT = "system:serviceaccount:backup:watcher"

each_component = pytest.mark.parametrize(
    ("component", "onto"),
    [(name, "base") for name in COMPONENTS]
    + [(name, "git-sync") for name in COMPONENTS if name != "high-availability"],
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces of a Pod")


class StartPod(Protocol):
    def __call__(self, *arguments: str, **settings: str) -> Watcher: ...


@pytest.fixture(scope="module")
def plane(scratch: Path) -> Iterator[ControlPlane]:
    folder = scratch / "manifests"
    policy = scratch / "audit-policy.yaml"
    rules = [{"level": "Metadata", "omitStages": ["RequestReceived"]}]
    policy.write_text(
        json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules})
    )
    flags = [f"--audit-policy-file={policy}", f"--audit-log-path={folder / 'audit.log'}"]
    plane = ControlPlane(folder, controllers=True, nodes=1, flags=flags)
    try:
        for kind in OPERATOR:
            plane.apply(_definition(kind))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        plane.kubectl("apply", "-k", MANIFESTS / "overlays" / "production")
        plane.kubectl("apply", "-k", MANIFESTS / "git-sync")
        for example in MANIFESTS.glob("*.example.yaml"):
            plane.kubectl("apply", "-f", example)
        yield plane
    finally:
        plane.close()


def _definition(kind: str) -> Object:
    """As little as an API server takes."""
    plural = f"{kind.lower()}s"
    fields = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [{**version, "schema": {"openAPIV3Schema": fields}}],
        },
    }


def built(plane: ControlPlane, folder: Path) -> list[Object]:
    """What `kubectl kustomize` makes of it."""
    return list(yaml.safe_load_all(plane.kubectl("kustomize", folder)))


def overlay(folder: Path, component: str, onto: str = "base") -> Path:
    """One with a component, and the ConfigMaps that components expect."""
    up = os.path.relpath(MANIFESTS, folder)
    made: Object = {
        "resources": [f"{up}/{onto}"],
        "components": [f"{up}/components/{component}"],
        "namespace": "backup",
        "configMapGenerator": [
            {"name": "custom-ca", "literals": ["ca.crt=PEM"]},
            {"name": "watcher-identity", "literals": ["role-arn=arn:aws:iam::1:role/watcher"]},
        ],
    }
    folder.joinpath("kustomization.yaml").write_text(json.dumps(made))
    return folder


# Accepted


@pytest.mark.parametrize("name", [*APPLIED, "monitoring"])
def test_the_api_server_accepts_everything_of(name: str, plane: ControlPlane) -> None:
    where = ("--namespace", "backup") if name == "monitoring" else ()
    plane.kubectl("apply", *where, "--dry-run=server", "-k", MANIFESTS / name)


@each_component
def test_the_api_server_accepts_together(
    component: str, onto: str, plane: ControlPlane, tmp_path: Path
) -> None:
    plane.kubectl("apply", "--dry-run=server", "-k", overlay(tmp_path, component, onto))
    assert built(plane, tmp_path) != built(plane, MANIFESTS / onto)


@pytest.mark.parametrize("onto", DEPLOYMENTS)
@pytest.mark.parametrize(
    ("component", "name"), [("custom-ca", "custom-ca"), ("workload-identity", "watcher-identity")]
)
def test_a_component_uses_the_config_map_that_the_overlay_makes(
    component: str, name: str, onto: str, plane: ControlPlane, tmp_path: Path
) -> None:
    objects = built(plane, overlay(tmp_path, component, onto))
    made = [o["metadata"]["name"] for o in objects if o["kind"] == "ConfigMap"]
    (hashed,) = (each for each in made if each.startswith(f"{name}-"))
    (deployment,) = (o for o in objects if o["kind"] == "Deployment")
    assert json.dumps(deployment).count(f'"{hashed}"') == 1


@pytest.mark.parametrize("name", APPLIED)
def test_all_lies_in_the_namespace_and_nothing_brings_a_secret(
    name: str, plane: ControlPlane
) -> None:
    objects = built(plane, MANIFESTS / name)
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", "Namespace", "PriorityClass"}
    for one in objects:
        assert one["kind"] != "Secret"
        where = one["metadata"].get("namespace")
        assert where == (None if one["kind"] in cluster_wide else "backup"), one["kind"]


def test_applying_again_leaves_the_secret_as_it_was_filled_in(plane: ControlPlane) -> None:
    path = "/api/v1/namespaces/backup/secrets/backup-secrets"
    plane.api().merge(path, {"stringData": {"minio-secret-key": "filled in"}})
    before = plane.api().get(path)
    plane.kubectl("apply", "-k", MANIFESTS / "overlays" / "production")
    assert plane.api().get(path) == before


def test_the_overlay_and_the_patch_of_the_documents_are_accepted(
    plane: ControlPlane, tmp_path: Path
) -> None:
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    folder = tmp_path / "clusters" / "east"
    folder.mkdir(parents=True)
    folder.joinpath("ca.crt").write_text(plane.ca_file.read_text())
    folder.joinpath("network.yaml").write_text(_example("docs/security.md", "# a patch"))
    kustomization = _example("docs/install.md", "# kustomization.yaml")
    folder.joinpath("kustomization.yaml").write_text(
        f"{kustomization}patches: [{{path: network.yaml}}]\n"
    )
    plane.kubectl("apply", "--dry-run=server", "-k", folder)
    (policy,) = (
        one["spec"]
        for one in built(plane, folder)
        if (one["kind"], one["metadata"]["name"]) == ("NetworkPolicy", "watcher")
    )
    assert len(policy["egress"]) == 3
    assert policy["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "watcher"}


def test_the_overlay_for_git_sync_of_the_documents_is_accepted(
    plane: ControlPlane, tmp_path: Path
) -> None:
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    folder = tmp_path / "clusters" / "git-sync"
    folder.mkdir(parents=True)
    kustomization = _example("docs/git-sync.md", "# git-sync: kustomization.yaml")
    folder.joinpath("kustomization.yaml").write_text(kustomization)
    plane.kubectl("apply", "--dry-run=server", "-k", folder)
    (deployment,) = (one for one in built(plane, folder) if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("registry.company.com/watcher-git:")


def _example(document: str, begins: str) -> str:
    text = ROOT.joinpath(document).read_text("utf-8")
    parts = (part.partition("```")[0] for part in text.split("```yaml\n")[1:])
    (example,) = (it for it in map(dedent, parts) if it.startswith(begins))
    return example


# Admitted


def test_the_pod_is_admitted_where_restricted_is_enforced(plane: ControlPlane) -> None:
    for name in DEPLOYMENTS.values():
        plane.kubectl("rollout", "status", f"deployment/{name}", "-n", "backup", "--timeout=60s")
    pods = plane.api().get("/api/v1/namespaces/backup/pods")["items"]
    priorities = Counter((p["spec"]["serviceAccountName"], p["spec"]["priority"]) for p in pods)
    assert priorities == {("watcher", 1000000): 2, ("watcher-git-sync", 0): 1}


def test_the_pod_of_git_sync_has_no_token(plane: ControlPlane) -> None:
    pods = plane.api().get("/api/v1/namespaces/backup/pods")["items"]
    with_token = {
        pod["spec"]["serviceAccountName"]
        for pod in pods
        if "serviceAccountToken" in json.dumps(pod["spec"]["volumes"])
    }
    assert with_token == {"watcher"}


@each_component
def test_the_pod_with_a_component_is_admitted_there_too(
    component: str, onto: str, plane: ControlPlane, tmp_path: Path
) -> None:
    _is_admitted(plane, overlay(tmp_path, component, onto), DEPLOYMENTS[onto])


def test_the_minio_of_the_minikube_overlay_is_admitted_there_too(plane: ControlPlane) -> None:
    _is_admitted(plane, MANIFESTS / "overlays" / "minikube", "minio")


def _is_admitted(plane: ControlPlane, folder: Path, name: str) -> None:
    """Asks for the Pod of a Deployment as a ReplicaSet would make it."""
    (template,) = (
        one["spec"]["template"]
        for one in built(plane, folder)
        if one["kind"] == "Deployment" and one["metadata"]["name"] == name
    )
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "asked-for"}
    plane.api().create("/api/v1/namespaces/backup/pods?dryRun=All", pod)


def test_a_pod_with_more_rights_is_refused_in_that_namespace(plane: ControlPlane) -> None:
    with pytest.raises(KubectlError, match="violates PodSecurity"):
        plane.kubectl("run", "plain", "--image=plain", "-n", "backup")


# With the rights of the ServiceAccount, in the surroundings of a Pod


@pytest.fixture
def start(
    plane: ControlPlane, bucket: Bucket, installed: Path, tmp_path: Path
) -> Iterator[StartPod]:
    """Starts the Deployment's container (or a command given, with settings given) in a Pod, with
    the example's Secret filled in."""
    (deployment,) = (o for o in built(plane, MANIFESTS / "base") if o["kind"] == "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    example = yaml.safe_load((MANIFESTS / "backup-secrets.example.yaml").read_text("utf-8"))
    filled = {
        "cluster-domain": DOMAIN,
        "cluster-name": CLUSTER,
        "minio-bucket": bucket.name,
        "minio-endpoint": bucket.endpoint,
        "minio-access-key": bucket.access_key,
        "minio-secret-key": bucket.secret_key,
    }
    assert filled.keys() == example["stringData"].keys()
    with ExitStack() as started:

        def start(*arguments: str, **settings: str) -> Watcher:
            given = {name.replace("_", "-"): value for name, value in settings.items()}
            pod = new_pod(
                tmp_path,
                installed,
                plane,
                namespace=deployment["metadata"]["namespace"],
                account=spec["serviceAccountName"],
                secret={**filled, **given},
                environment={each["name"]: each["value"] for each in container.get("env", ())},
            )
            arguments = arguments or tuple(container["args"])
            watcher = running(tmp_path, None, None, *arguments, program=pod.program())
            return started.enter_context(watcher)

        yield start


def process_of(watcher: Watcher) -> int:
    """The program: the one child of the process that made its namespaces."""
    (outer,) = watcher.processes
    return int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())


@needs_root
def test_every_kind_is_captured_by_list_and_watch_and_its_lease_alone(
    plane: ControlPlane, bucket: Bucket, start: StartPod
) -> None:
    fill(plane, namespaces=2)
    watcher = start()
    watcher.wait_ready()
    wait_until_equal(plane.api(), bucket)
    assert watcher.metric("watcher_informers", state="forbidden") == 0
    assert watcher.metric("watcher_kinds_failing") == 0

    audited = map(json.loads, plane.folder.joinpath("audit.log").read_text().splitlines())
    asked = [event for event in audited if event["user"]["username"] == ACCOUNT]
    lease = [event for event in asked if event.get("objectRef", {}).get("name") == "watcher"]
    assert {event["objectRef"]["namespace"] for event in lease} == {"backup"}
    assert {event["objectRef"]["resource"] for event in lease} == {"leases"}
    assert {event["verb"] for event in lease} <= {"get", "create", "update"}
    asked = [event for event in asked if event not in lease]
    assert {event["verb"] for event in asked if "objectRef" in event} == {"list", "watch"}
    # An API server that begins, or that is busy, puts requests off (429); none may be refused.
    assert {event["responseStatus"]["code"] for event in asked} - {429} == {200}
    others = {event["requestURI"].partition("?")[0] for event in asked if "objectRef" not in event}
    assert others <= {"/api", "/apis", "/version"}
    watched = {e["objectRef"]["resource"] for e in asked if e["verb"] == "watch"}
    assert watched >= {"pods", "secrets", "clusterroles", "podmonitors"}


@needs_root
def test_it_runs_as_nobody_on_a_root_that_nobody_can_write_to(start: StartPod) -> None:
    watcher = start()
    watcher.wait_ready()
    process = Path("/proc", str(process_of(watcher)))
    status = dict(
        line.split(":\t", 1) for line in process.joinpath("status").read_text().splitlines()
    )
    assert status["Uid"].split() == [str(USER)] * 4
    assert int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    variables = process.joinpath("environ").read_text().split("\0")
    assert not any(variable.startswith("HOME=") for variable in variables)
    mounts = [line.split() for line in process.joinpath("mounts").read_text().splitlines()]
    written = {where for _, where, kind, options, *_ in mounts if "rw" in options.split(",")}
    assert written == {SCRATCH, "/proc", "/dev/null", "/dev/urandom"}
    assert not any(Path(f"{process}/root{SCRATCH}").iterdir())


@needs_root
def test_as_pid_1_it_writes_what_is_pending_when_it_is_told_to_end(
    plane: ControlPlane, bucket: Bucket, start: StartPod
) -> None:
    watcher = start()
    watcher.wait_ready()
    process = process_of(watcher)
    status = Path(f"/proc/{process}/status").read_text()
    (numbers,) = (line for line in status.splitlines() if line.startswith("NSpid:"))
    assert numbers.split()[-1] == "1"

    maps = Maps(plane.api())
    maps.put("last", "words")
    until(lambda: watcher.metric("watcher_pending_objects") > 0, "pending change", poll=0.02)
    os.kill(process, signal.SIGTERM)
    assert watcher.wait() == 0
    assert bucket.read(maps.key("last"))
    (heartbeat,) = bucket.keys(f"{PREFIX}_meta/heartbeat/")
    assert json.loads(bucket.read(heartbeat))["released"]


@needs_root
def test_as_pid_1_every_command_ends_when_it_is_told_to(start: StartPod) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bucket:  # takes every request, answers none
        watcher = start("verify", minio_endpoint=f"http://127.0.0.1:{bucket.getsockname()[1]}")
        bucket.settimeout(60)
        asked, _ = bucket.accept()
        with asked:
            os.kill(process_of(watcher), signal.SIGTERM)
            assert watcher.wait() == 1
    assert "stopped before it was done" in watcher.log
