"""One git repository that mirrors three real clusters: equal to the bucket, and true in its words.

A real API server, three watchers, a real MinIO, a real sshd before the repository.
"""

import random
from pathlib import Path
from shutil import rmtree

import pytest

from tests.e2e.control_plane import ControlPlane
from tests.e2e.fleet import Fleet
from tests.e2e.minio import Bucket, Minio
from tests.e2e.mirror import Mirror
from tests.e2e.watcher_process import command

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def bucket(fleet: Fleet) -> Bucket:
    return fleet.bucket


def test_the_tree_equals_the_bucket_and_the_commits_say_the_truth(
    fleet: Fleet, mirror: Mirror, tmp_path: Path, rounds: int
) -> None:
    fleet.settled()
    copy = tmp_path / "copy"
    told = 0
    for number in range(rounds):
        draw = random.Random(number)
        fleet.change(draw)
        fleet.settled()
        if draw.random() < 0.3:
            rmtree(copy, ignore_errors=True)
        each = "true" if draw.random() < 0.3 else "false"
        mirror.sync(git_cache_dir=str(copy), git_commit_per_cluster=each)
        assert mirror.differences() == "", f"round {number}"
        commits = mirror.host.commits()
        assert len(commits) > told
        for commit in commits[: len(commits) - told]:
            assert commit.subject == mirror.true_subject(commit.name)
        told = len(commits)
        assert mirror.is_sound()


def test_where_nothing_changed_there_is_no_commit(fleet: Fleet, mirror: Mirror) -> None:
    fleet.settled()
    mirror.sync()
    before = mirror.host.commits()
    assert "0 changed, 0 added, 0 deleted in 0 commits" in mirror.sync()
    assert mirror.host.commits() == before


def test_plain_secrets_are_in_no_object_of_the_repository_unless_somebody_allows_it(
    fleet: Fleet, fleet_plane: ControlPlane, minio: Minio, mirror: Mirror, tmp_path: Path
) -> None:
    mark = "bWFya2VkLXZhbHVl"  # marked-value
    space = fleet.clusters[0].space
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "marked"}}
    fleet.api.create(f"/api/v1/namespaces/{space}/secrets", {**body, "data": {"password": mark}})
    mirror.bucket = minio.new_bucket()
    done = command(fleet_plane.kubeconfig(), mirror.bucket, "run", "--once", secrets="plain")
    assert done.returncode == 0, done.stderr
    secrets = {path for path in mirror.expected() if path.split("/")[3] == "secret"}
    (path,) = [path for path in secrets if path.endswith(f"{space}/secret/marked.yaml")]
    assert mark.encode() in mirror.bucket.read(path)

    cache = tmp_path / "copy"
    said = mirror.sync_fails(git_cache_dir=str(cache))
    assert f"{path} is not mirrored: plain-secret" in said
    assert mirror.differences(without=secrets) == ""
    for text in (said, mirror.host.everything(), mirror.host.everything(cache / "repository.git")):
        assert mark not in text
        assert "marked-value" not in text

    mirror.sync(git_allow_plain_secrets="true")
    assert mirror.differences() == ""
    assert mark in mirror.host.everything()
    assert mirror.is_sound()
