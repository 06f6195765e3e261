"""git-sync as its Deployment runs it: any user, a root that nobody can write to, its Secret alone.

A real sshd, a real MinIO. That the Pod is admitted: tests/e2e/test_manifests.py.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.mirror import Mirror
from tests.e2e.pod import ROOT, USER, Pod, new_pod_without_account
from tests.e2e.watcher_process import running

MANIFESTS = ROOT / "manifests"
(DEPLOYMENT,) = yaml.safe_load_all((MANIFESTS / "git-sync/deployment.yaml").read_text("utf-8"))
SPEC = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = SPEC["containers"]
CACHE = "/var/cache/watcher"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces of a Pod")


@pytest.fixture
def pod(mirror: Mirror, installed: Path, tmp_path: Path) -> Callable[..., Pod]:
    """The Deployment's, with the example's Secret filled in."""
    for number in range(3):
        mirror.put(f"prod.example.com/east/shop/configmap/settings-{number}.yaml", "number: 1\n")
    example = yaml.safe_load((MANIFESTS / "git-sync-secrets.example.yaml").read_text("utf-8"))
    bucket = mirror.bucket
    filled = {
        "minio-bucket": bucket.name,
        "minio-endpoint": bucket.endpoint,
        "minio-access-key": bucket.access_key,
        "minio-secret-key": bucket.secret_key,
        "git-author": example["stringData"]["git-author"],
        **{name.replace("_", "-"): value for name, value in mirror.settings.items()},
    }
    assert filled.keys() == example["stringData"].keys()
    volumes = {each["name"] for each in SPEC["volumes"] if "emptyDir" in each}
    paths = [m["mountPath"] for m in CONTAINER["volumeMounts"] if m["name"] in volumes]

    def pod(*, named: bool) -> Pod:
        return new_pod_without_account(
            tmp_path / "pod",
            installed,
            secret=filled,
            environment={each["name"]: each["value"] for each in CONTAINER["env"]},
            writable=paths,
            named=named,
        )

    return pod


def test_it_mirrors_and_writes_to_its_volumes_alone(
    mirror: Mirror, pod: Callable[..., Pod], tmp_path: Path
) -> None:
    program = pod(named=True).program()
    with running(tmp_path, None, None, *CONTAINER["args"], program=program) as git_sync:
        git_sync.wait_ready()
        assert mirror.differences() == ""
        (outer,) = git_sync.processes
        inner = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().strip()
        process = Path("/proc", inner)
        assert f"Uid:\t{USER}\t" in process.joinpath("status").read_text()
        variables = process.joinpath("environ").read_text().split("\0")
        assert not any(variable.startswith("HOME=") for variable in variables)
        assert process.joinpath(f"root{CACHE}/repository.git").is_dir()
        keys = [path for path in process.joinpath("root/tmp").rglob("key") if path.is_file()]
        assert [key.stat().st_mode & 0o777 for key in keys] == [0o600]
    assert mirror.is_sound()


def test_a_user_without_a_name_is_told_what_ssh_misses(
    mirror: Mirror, pod: Callable[..., Pod], tmp_path: Path
) -> None:
    program = pod(named=False).program()
    with running(tmp_path, None, None, "git-sync", "--once", program=program) as git_sync:
        assert git_sync.wait() == 1
    assert "ssh finds no name for the user that it runs as" in git_sync.log
    assert not mirror.host.commits()
