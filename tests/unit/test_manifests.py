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
EXAMPLE = MANIFESTS / "backup-secrets.example.yaml"
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
    """Of watcher, in base and in what is patched onto it."""
    pods = [each["spec"]["template"]["spec"] for each in of_kind("Deployment")]
    return [one for pod in pods for one in pod["containers"] if one["name"] == "watcher"]


(BASE,) = read(MANIFESTS / "base" / "deployment.yaml")
POD = BASE["spec"]["template"]["spec"]


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


def test_the_secret_is_mounted_where_settings_are_read_from() -> None:
    (volume,) = (each for each in POD["volumes"] if "secret" in each)
    (mount,) = (m for m in POD["containers"][0]["volumeMounts"] if m["name"] == volume["name"])
    assert mount["mountPath"] == DEFAULT_SECRET_DIR
    assert volume["secret"]["secretName"] == read(EXAMPLE)[0]["metadata"]["name"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of the example, as the Pod reads them."""
    (example,) = read(EXAMPLE)
    for name, value in example["stringData"].items():
        tmp_path.joinpath(name).write_text(value)
    return load({}, {"SECRET_DIR": str(tmp_path)})


def test_every_key_of_the_example_is_a_setting_and_together_they_are_enough(
    settings: Settings,
) -> None:
    assert not settings.warnings
    assert settings.minio_bucket == "cluster-backups"


def test_no_kustomization_names_the_example() -> None:
    assert not any(EXAMPLE.name in str(content) for _, content in everything())


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


def test_the_port_is_the_programs(settings: Settings) -> None:
    assert [port["containerPort"] for port in POD["containers"][0]["ports"]] == [settings.http_port]


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
