"""Two git-syncs at one branch while clusters change without a pause; and what a key leaves behind.

By hand: ROUNDS=60 makes ten minutes of changes.
"""

import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.e2e.changes import Restless
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fleet import fleet_of
from tests.e2e.git_host import GitHost
from tests.e2e.minio import Minio
from tests.e2e.mirror import Mirror
from tests.e2e.process import until

SECONDS = 10  # times `rounds`
WEB = "prod.example.com/east/shop/configmap/web.yaml"

pytestmark = pytest.mark.timeout(900)


def test_two_at_once_and_clusters_in_fast_motion_end_up_equal(
    fleet_plane: ControlPlane, minio: Minio, git_host: GitHost, tmp_path: Path, rounds: int
) -> None:
    mirror = Mirror(minio.new_bucket(), git_host)
    with ExitStack() as started:
        fleet = started.enter_context(fleet_of(fleet_plane, mirror.bucket, tmp_path / "watchers"))
        services = [
            started.enter_context(
                mirror.service(tmp_path / name, git_cache_dir=str(tmp_path / name / "copy"))
            )
            for name in ("first", "second")
        ]
        with ExitStack() as changing:
            for cluster in fleet.clusters[:2]:
                changing.enter_context(Restless(fleet.api, cluster.space))
            time.sleep(rounds * SECONDS)
        for cluster in fleet.clusters:
            assert cluster.watcher.terminate() == 0  # its journal is written by then
        mirror.wait_until_equal()
        before = mirror.host.commits()
        assert len(before) > 1
        time.sleep(3)  # some rounds more, of which none has anything to do
        assert mirror.host.commits() == before
        for service in services:
            assert service.terminate() == 0
            assert "level=error" not in service.log
            assert "event=committed" in service.log
    assert mirror.is_sound()
    for commit in before:
        assert commit.subject == mirror.true_subject(commit.name)


def test_a_key_is_seen_nowhere_and_gone_afterwards(mirror: Mirror, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    secret = mirror.key.private.splitlines()[2]
    mirror.put(WEB, "replicas: 1\n")
    mirror.host.take_time(3)
    with mirror.service(tmp_path, tmpdir=str(temporary), log_level="debug") as service:
        (process,) = service.processes
        until(lambda: "ssh" in names_below(process.pid), "git under way", needs=process, poll=0.01)
        told = told_by_children(process.pid)
        assert "GIT_SSH_COMMAND" in told
        assert secret not in told
        files = [path for path in temporary.rglob("*") if path.is_file()]
        (holds,) = [path for path in files if secret in path.read_text(errors="replace")]
        assert holds.stat().st_mode & 0o777 == 0o600
        assert holds.parent.stat().st_mode & 0o777 == 0o700
        mirror.wait_until_equal(needs=process)
        mirror.put(WEB, "replicas: 2\n")
        until(lambda: "ssh" in names_below(process.pid), "another push", needs=process, poll=0.01)
        assert service.terminate() == 0  # in the middle of it
        assert secret not in service.log
    assert list(temporary.iterdir()) == []


def test_a_key_that_a_killed_process_left_is_removed_by_the_next(
    mirror: Mirror, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    mirror.put(WEB, "replicas: 1\n")
    with mirror.service(tmp_path, tmpdir=str(temporary)) as service:
        mirror.wait_until_equal(needs=service.processes[0])
        service.kill()
    assert list(temporary.iterdir())
    mirror.sync(tmpdir=str(temporary))
    assert not list(temporary.iterdir())


def names_below(pid: int) -> set[str]:
    """Of the programs that a process has started."""
    found = set()
    for child in psutil.Process(pid).children(recursive=True):
        try:
            found.add(child.name())
        except psutil.NoSuchProcess:
            continue
    return found


def told_by_children(pid: int) -> str:
    """What `ps` shows of them, with their environments."""
    found = ""
    for child in psutil.Process(pid).children(recursive=True):
        for name in ("cmdline", "environ"):
            try:
                found += Path(f"/proc/{child.pid}/{name}").read_text(errors="replace")
            except OSError:
                continue
    return found
