"""Under `watcher policy s3`, on a real MinIO with a user for each: all that is needed, no more.

The backups are those of one small cluster under three names, of which one begins like another.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from io import BytesIO
from pathlib import Path

import pytest
from minio.commonconfig import ENABLED, CopySource, Filter
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule
from minio.versioningconfig import VersioningConfig

from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Bucket, Minio
from tests.e2e.mirror import GENERATED
from tests.e2e.scene import Maps
from tests.e2e.watcher_process import DOMAIN, command

OURS = f"{DOMAIN}/a/"
OF_OURS = f"--cluster={DOMAIN}/a"
OTHERS = (f"{DOMAIN}/b/", f"{DOMAIN}/a0/")


@pytest.fixture(scope="module")
def plane(scratch: Path) -> Iterator[ControlPlane]:
    started = ControlPlane(scratch / "bucket-rights")
    yield started
    started.close()


@pytest.fixture(scope="module", params=[False, True], ids=["unversioned", "versioned"])
def bucket(request: pytest.FixtureRequest, minio: Minio, plane: ControlPlane) -> Bucket:
    """With the backups of the two others in it, written by who may do all."""
    bucket = minio.new_bucket(versioned=request.param)
    for name in ("b", "a0"):
        done = command(plane.kubeconfig(), bucket, "run", "--once", cluster_name=name)
        assert done.returncode == 0, done.stderr
    return bucket


@pytest.fixture(scope="module")
def as_user(minio: Minio, bucket: Bucket) -> Callable[..., Bucket]:
    """The bucket as a user has it who may do what `watcher policy s3` says."""

    @cache
    def user(*arguments: str) -> Bucket:
        told = command(None, bucket, "policy", "s3", *arguments, cluster_name="a")
        assert told.returncode == 0, told.stderr
        return replace(bucket, **minio.new_user(told.stdout))

    return user


def denied(ask: Callable[[], object]) -> None:
    with pytest.raises(S3Error) as error:
        ask()
    assert error.value.code == "AccessDenied"


def test_a_writer_does_all_its_work_under_its_own_prefix(
    plane: ControlPlane, bucket: Bucket, as_user: Callable[..., Bucket]
) -> None:
    ours = as_user()
    before = {prefix: bucket.etags(prefix) for prefix in OTHERS}
    watcher = partial(command, plane.kubeconfig(), ours, cluster_name="a")

    def works(*arguments: str) -> str:
        done = watcher(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    maps = Maps(plane.api())
    maps.put("kept", "1")
    maps.put("gone", "1")
    works("run", "--once")
    maps.remove("gone")
    works("run", "--once")
    files = bucket.keys(f"{OURS}{maps.namespace}/configmap/")
    assert [key.rpartition("/")[2] for key in files] == ["kept.yaml"]
    works("reconcile")
    works("verify")
    works("deletes", "list")
    works("claim")
    told = [json.loads(line) for line in works("audit", "--output=json", OF_OURS).splitlines()]
    assert {(it["action"], it["name"]) for it in told if it["namespace"] == maps.namespace} >= {
        ("create", "kept"),
        ("create", "gone"),
        ("delete", "gone"),
    }
    assert json.loads(works("clusters", "--output=json", OF_OURS))["ok"]
    thrown = works("trash", "list")
    if bucket.deleted(OURS) == set():  # no marks: so there is a trash
        assert "configmap/gone.yaml" in thrown
        works("trash", "restore", "*/configmap/gone.yaml")
        works("trash", "empty", "--all", "--yes")
    assert {prefix: bucket.etags(prefix) for prefix in OTHERS} == before


@pytest.mark.parametrize("prefix", OTHERS)
def test_a_writer_gets_at_nothing_of_another_cluster(
    bucket: Bucket, as_user: Callable[..., Bucket], prefix: str
) -> None:
    ours = as_user()
    key, before = f"{prefix}_meta/owner.json", bucket.etags()
    client, name = ours.client(), ours.name
    denied(lambda: ours.keys(prefix))
    denied(lambda: client.get_object(name, key))
    denied(lambda: client.put_object(name, key, BytesIO(b"x"), 1))
    denied(lambda: client.put_object(name, f"{prefix}new", BytesIO(b"x"), 1))
    denied(lambda: client.remove_object(name, key))
    denied(lambda: client.copy_object(name, f"{OURS}stolen", CopySource(name, key)))
    ours.write(f"{OURS}mine", b"x")
    denied(lambda: client.copy_object(name, key, CopySource(name, f"{OURS}mine")))
    ours.remove(f"{OURS}mine")
    assert bucket.etags() == before


@pytest.mark.parametrize("arguments", [(), (f"--cluster={DOMAIN}/*",), (f"--cluster={DOMAIN}/b",)])
@pytest.mark.parametrize("name", ["audit", "clusters"])
def test_a_writer_is_told_in_one_line_that_others_are_not_for_its_eyes(
    name: str, arguments: tuple[str, ...], as_user: Callable[..., Bucket]
) -> None:
    done = command(None, as_user(), name, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "Access Denied" in line


@pytest.mark.parametrize("prefix", ["", f"{DOMAIN}/", OURS.rstrip("/"), f"{DOMAIN}/a0"])
def test_a_writer_lists_nothing_that_is_wider_than_its_prefix(
    as_user: Callable[..., Bucket], prefix: str
) -> None:
    denied(lambda: as_user().keys(prefix))


def test_a_writer_cannot_forget_what_was(bucket: Bucket, as_user: Callable[..., Bucket]) -> None:
    ours = as_user()
    client, name = ours.client(), ours.name
    version = client.put_object(name, f"{OURS}mine", BytesIO(b"x"), 1).version_id or "null"
    if version != "null":
        denied(lambda: client.remove_object(name, f"{OURS}mine", version_id=version))
        gone = DeleteObject(f"{OURS}mine", version)
        (error,) = client.remove_objects(name, [gone])
        assert error.code == "AccessDenied"
    denied(lambda: client.set_bucket_versioning(name, VersioningConfig("Suspended")))
    rule = Rule(ENABLED, rule_filter=Filter(prefix=""), expiration=Expiration(days=1))
    denied(lambda: client.set_bucket_lifecycle(name, LifecycleConfig([rule])))
    denied(lambda: client.delete_bucket_policy(name))
    denied(lambda: client.remove_bucket(name))
    ours.remove(f"{OURS}mine")


@pytest.mark.parametrize("role", ["git-sync", "verify"])
def test_a_reader_reads_all_and_writes_nothing(
    bucket: Bucket, as_user: Callable[..., Bucket], role: str
) -> None:
    reader = as_user(f"--role={role}")
    before = bucket.etags()
    assert reader.etags() == before
    client, name = reader.client(), reader.name
    for prefix in OTHERS:
        key = f"{prefix}_meta/owner.json"
        assert reader.read(key) == bucket.read(key)
        for written in (key, f"{prefix}new", "new"):
            denied(partial(reader.write, written, b"x"))
        denied(partial(reader.remove, key))
        denied(partial(client.copy_object, name, f"{prefix}new", CopySource(name, key)))
    done = command(None, reader, "verify", "--all-clusters")
    assert "b" in done.stdout
    assert "denied" not in (done.stdout + done.stderr).lower()
    assert bucket.etags() == before


@pytest.mark.parametrize("role", ["git-sync", "verify"])
def test_a_reader_mirrors_audits_and_looks_after_all_clusters(
    bucket: Bucket, as_user: Callable[..., Bucket], tmp_path: Path, role: str
) -> None:
    reader = as_user(f"--role={role}")
    before = bucket.etags()

    def works(*arguments: str, **settings: str) -> str:
        done = command(None, reader, *arguments, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout

    stored = {key for key in before if "/_meta/" not in key}
    repository = tmp_path / "clusters.git"
    git = partial(subprocess.check_output, text=True)
    git(["git", "init", "--quiet", "--bare", repository])
    works("git-sync", "--once", git_repository=str(repository))
    tree = git(["git", "-C", repository, "ls-tree", "-r", "-z", "--name-only", "main"])
    assert set(tree.split("\0")[:-1]) == stored | GENERATED

    told = [json.loads(line) for line in works("audit", "--output=json").splitlines()]
    created = {f"{it['cluster']}/{it['key']}" for it in told if it["action"] == "create"}
    assert created >= stored
    assert [it["at"] for it in told] == sorted(it["at"] for it in told)
    table = works("audit", "--kind=namespace", f"--cluster={DOMAIN}/b").splitlines()
    assert any("namespace/kube-system" in line for line in table)
    assert len(table) < len(told)

    found = json.loads(works("clusters", "--output=json"))
    assert {it["cluster"] for it in found["clusters"]} >= {each.rstrip("/") for each in OTHERS}
    assert bucket.etags() == before
