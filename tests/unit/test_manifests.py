"""What the manifests say, held against the program. Whether an API server takes them, and the
program runs with the rights that they give: tests/e2e/test_manifests.py."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from watcher.settings import SETTINGS, Settings, load
from watcher.settings.table import DEFAULT_SECRET_DIR

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
EXAMPLES = {
    "base": MANIFESTS / "backup-secrets.example.yaml",
    "git-sync": MANIFESTS / "git-sync-secrets.example.yaml",
}
LAST_RECORDS = 10  # seconds that the program takes at most after its grace period

Object = dict[str, Any]


def read(path: Path) -> list[Object]:
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def everything() -> Iterator[tuple[Path, Object]]:
    for path in sorted(MANIFESTS.rglob("*.yaml")):
        for content in read(path):
            yield path, content


def of_kind(kind: str) -> list[Object]:
    return [content for _, content in everything() if content.get("kind") == kind]


def containers() -> list[Object]:
    """Of watcher and git-sync, and in what is patched onto them."""
    pods = [each["spec"]["template"]["spec"] for each in of_kind("Deployment")]
    return [one for pod in pods for one in pod["containers"] if one["name"] == "watcher"]


def pod_of(name: str) -> Object:
    (deployment,) = read(MANIFESTS / name / "deployment.yaml")
    pod: Object = deployment["spec"]["template"]["spec"]
    return pod


POD = pod_of("base")
MIRROR = pod_of("git-sync")

each_deployment = pytest.mark.parametrize("name", EXAMPLES)


def test_the_role_is_to_list_and_watch_and_to_write_the_lease_and_nothing_else(
    settings: Settings,
) -> None:
    (role,) = of_kind("ClusterRole")
    assert role["rules"] == [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["list", "watch"]}]
    (own,) = of_kind("Role")
    lease = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    assert own["rules"] == [
        {**lease, "resourceNames": [settings.lease_name], "verbs": ["get", "update"]},
        {**lease, "verbs": ["create"]},
    ]
    (binding,) = of_kind("ClusterRoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [subject["name"] for subject in binding["subjects"]] == [POD["serviceAccountName"]]


def test_git_sync_has_no_rights_and_no_token() -> None:
    kinds = {one["kind"] for path in (MANIFESTS / "git-sync").iterdir() for one in read(path)}
    assert kinds == {"Deployment", "Kustomization", "NetworkPolicy", "Service", "ServiceAccount"}
    (account,) = read(MANIFESTS / "git-sync" / "service-account.yaml")
    assert MIRROR["serviceAccountName"] == account["metadata"]["name"]
    assert (
        account["automountServiceAccountToken"] is MIRROR["automountServiceAccountToken"] is False
    )
    names = {
        subject["name"]
        for binding in of_kind("ClusterRoleBinding") + of_kind("RoleBinding")
        for subject in binding["subjects"]
    }
    assert account["metadata"]["name"] not in names


def test_git_sync_is_as_locked_in_as_the_watcher() -> None:
    assert MIRROR["securityContext"] == POD["securityContext"]
    mine, theirs = (pod["containers"][0]["securityContext"] for pod in (MIRROR, POD))
    assert mine == theirs


def test_the_local_copy_is_in_a_volume_and_the_key_in_memory(tmp_path: Path) -> None:
    (container,) = MIRROR["containers"]
    paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {paths[each["name"]]: each.get("emptyDir") for each in MIRROR["volumes"]}
    assert volumes[str(settings_of("git-sync", tmp_path).git_cache_dir)]
    assert volumes["/tmp"]["medium"] == "Memory"  # noqa: S108


@each_deployment
def test_the_secret_is_mounted_where_settings_are_read_from(name: str) -> None:
    pod = pod_of(name)
    (volume,) = (each for each in pod["volumes"] if "secret" in each)
    (mount,) = (m for m in pod["containers"][0]["volumeMounts"] if m["name"] == volume["name"])
    assert mount["mountPath"] == DEFAULT_SECRET_DIR
    assert volume["secret"]["secretName"] == read(EXAMPLES[name])[0]["metadata"]["name"]


def test_git_sync_and_the_watcher_share_no_secret() -> None:
    base, mirror = (read(example)[0]["metadata"]["name"] for example in EXAMPLES.values())
    assert base != mirror


def settings_of(name: str, folder: Path) -> Settings:
    """Those of the example and of the container, as the Pod reads them."""
    (example,) = read(EXAMPLES[name])
    for key, value in example["stringData"].items():
        folder.joinpath(key).write_text(value)
    (container,) = pod_of(name)["containers"]
    given = {each["name"]: each["value"] for each in container["env"]}
    optional = ("cluster-domain", "cluster-name") if name == "git-sync" else ()
    return load({}, {"SECRET_DIR": str(folder), **given}, optional=optional)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of("base", tmp_path)


@each_deployment
def test_every_key_of_the_example_is_a_setting_and_together_they_are_enough(
    name: str, tmp_path: Path
) -> None:
    settings = settings_of(name, tmp_path)
    assert not settings.warnings
    assert settings.minio_bucket == "cluster-backups"
    assert bool(settings.git_repository) == (name == "git-sync")


@each_deployment
def test_no_kustomization_names_the_example(name: str) -> None:
    assert not any(EXAMPLES[name].name in str(content) for _, content in everything())


def test_every_variable_is_a_setting_or_the_cloud_clients_own() -> None:
    known = {setting.variable for setting in SETTINGS} | {
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    }
    named = {each["name"] for container in containers() for each in container.get("env", ())}
    assert named
    assert named <= known


def test_what_is_pending_can_be_written_before_the_pod_is_killed(settings: Settings) -> None:
    assert POD["terminationGracePeriodSeconds"] > settings.grace_period + LAST_RECORDS


@each_deployment
def test_the_port_is_the_programs(name: str, settings: Settings) -> None:
    (container,) = pod_of(name)["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [settings.http_port]


def test_the_tag_is_the_programs_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    tags = [
        image["newTag"]
        for content in of_kind("Kustomization")
        for image in content.get("images", ())
    ]
    assert set(tags) == {version[1]}


@pytest.mark.parametrize(
    "kustomization", sorted(path.parent for path in MANIFESTS.rglob("kustomization.yaml")), ids=str
)
def test_every_file_beside_a_kustomization_is_in_it(kustomization: Path) -> None:
    (content,) = read(kustomization / "kustomization.yaml")
    named = {*content.get("resources", ()), *(p["path"] for p in content.get("patches", ()))}
    beside = {path.name for path in kustomization.glob("*.yaml")} - {"kustomization.yaml"}
    # Not the rules for a Prometheus without the operator, nor the one monitor instead of the other.
    assert beside - named <= {"alerts.yaml", "servicemonitor.yaml"}
    assert all((kustomization / name).exists() for name in named)
