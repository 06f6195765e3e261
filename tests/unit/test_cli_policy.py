"""`watcher policy`: documents to apply, made from the settings."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from watcher import cli
from watcher.cluster import discovery
from watcher.cluster.discovery import Discovery
from watcher.objects.ref import APIResource
from watcher.settings import SETTINGS

CLUSTER = ["--cluster-domain=example.com", "--cluster-name=east"]
WATCHED = frozenset({"list", "watch"})


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A cluster with two kinds; the flag that leads to it."""

    async def discover(api: object, last: object = None) -> Discovery:
        kinds = [("", "pods", "Pod"), ("", "secrets", "Secret")]
        found = tuple(APIResource(g, "v1", plural, k, True, WATCHED) for g, plural, k in kinds)
        return Discovery(found, frozenset({"metrics.k8s.io"}))

    monkeypatch.setattr(discovery, "discover", discover)
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return f"--kubeconfig={path}"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["policy", *arguments]) == 0
    return capsys.readouterr().out


def test_a_writers_policy_is_for_the_cluster_of_the_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    policy = json.loads(printed(capsys, "s3", *CLUSTER, "--minio-bucket=backups"))
    listing, objects, _ = policy["Statement"]
    assert listing["Condition"]["StringLike"]["s3:prefix"] == ["example.com/east/*"]
    assert objects["Resource"] == ["arn:aws:s3:::backups/example.com/east/*"]


def test_a_readers_policy_needs_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    for role in ("git-sync", "verify"):
        policy = json.loads(printed(capsys, "s3", f"--role={role}", "--minio-bucket=backups"))
        assert policy["Statement"][1]["Resource"] == ["arn:aws:s3:::backups/*"]


def test_keys_of_kms_are_a_matter_of_aws_alone(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["s3", *CLUSTER, "--minio-bucket=backups", "--sse=aws:kms", "--sse-kms-key-id=1"]
    assert "kms:Decrypt" in printed(capsys, *given)
    assert "kms:" not in printed(capsys, *given, "--minio-endpoint=http://minio:9000")


@pytest.mark.parametrize(
    "arguments", [["--minio-bucket=backups"], [*CLUSTER, "--minio-bucket=file:///b"]]
)
def test_a_policy_for_nothing_is_bad_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["policy", "s3", *arguments]) == 2
    assert capsys.readouterr().out == ""


def test_without_narrowing_the_role_lists_and_watches_everything_and_asks_nobody(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = printed(capsys, "rbac", "--kubeconfig=/no/such/file", "--name=backup")
    role = yaml.safe_load(text)
    assert (role["kind"], role["metadata"]["name"]) == ("ClusterRole", "backup")
    assert role["rules"] == [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["list", "watch"]}]


def test_narrowed_settings_name_what_the_cluster_serves(
    cluster: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["policy", "rbac", cluster, "--exclude-kinds=secrets,typo"]) == 0
    captured = capsys.readouterr()
    rules = yaml.safe_load(captured.out)["rules"]
    assert {tuple(rule["verbs"]) for rule in rules} == {("list", "watch")}
    assert {tuple(rule["apiGroups"]): rule["resources"] for rule in rules}[("",)] == [
        "namespaces",
        "pods",
    ]
    assert captured.err.splitlines() == [
        "watcher: include-kinds or exclude-kinds: this cluster has no kind 'typo'",
        "watcher: no answer about metrics.k8s.io: its kinds are missing here",
    ]
