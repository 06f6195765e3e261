"""git-sync while things break: it converges, without a commit that changes nothing and without
ever rewriting what was published.

A real MinIO, a real sshd before the repository. Of the kills each round draws what else happens.
"""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import rmtree

import pytest

from tests.e2e.changes import Restless
from tests.e2e.fleet import Fleet
from tests.e2e.git_host import BRANCH, GitHost
from tests.e2e.minio import Minio
from tests.e2e.mirror import Mirror
from tests.e2e.process import until
from tests.e2e.watcher_process import Watcher

KILLS = 3  # times `rounds`
EAST = "prod.example.com/east/"
WEB = f"{EAST}shop/configmap/web.yaml"

pytestmark = pytest.mark.timeout(900)


@contextmanager
def changing(fleet: Fleet) -> Iterator[None]:
    """Within the context, all clusters at once."""
    with ExitStack() as all_of_them:
        for cluster in fleet.clusters:
            all_of_them.enter_context(Restless(fleet.api, cluster.space, pause=0.05))
        yield


def meddle(host: GitHost, draw: random.Random, number: int) -> str:
    """What may happen to the host meanwhile; what it was."""
    what = draw.choice(["nothing", "slow", "slow", "rewound", "notes", "edit"])
    ours = [path for path in host.blobs() if path.startswith(EAST)] if host.commits() else []
    host.accept_all()
    if what == "slow":
        host.take_time(2)
    elif what == "notes":
        host.commit_by_hand({f"notes/{number}.txt": "by hand\n"})
    elif what == "rewound" and ours:
        host.rewind(draw.randrange(1, 4))
    elif what == "edit" and ours:
        edited, removed = draw.sample(sorted(ours), 2)
        host.commit_by_hand({edited: "by hand\n", removed: None, f"{EAST}hand/made.txt": "x\n"})
    return what


def notes_of(host: GitHost) -> set[str]:
    """Somebody else's files that the history has."""
    added = host.git("log", "--format=", "--name-only", BRANCH, "--", "notes/")
    return set(added.split())


def test_killed_at_any_moment_it_converges(
    fleet: Fleet, mirror: Mirror, tmp_path: Path, rounds: int
) -> None:
    mirror.bucket = fleet.bucket
    copy = tmp_path / "copy"
    published: list[str] = []
    with changing(fleet):
        for number in range(rounds * KILLS):
            draw = random.Random(number)
            if draw.random() < 0.2:
                rmtree(copy, ignore_errors=True)
            if meddle(mirror.host, draw, number) == "rewound":
                published.clear()
            with mirror.service(tmp_path, git_cache_dir=str(copy)) as service:
                time.sleep(draw.uniform(0.5, 4.5))
                service.kill()
            published += [commit.name for commit in mirror.host.commits()[:1]]
    mirror.host.accept_all()
    fleet.settled()
    mirror.sync(git_cache_dir=str(copy))
    assert mirror.differences(beside=notes_of(mirror.host)) == ""
    assert mirror.is_sound()
    assert set(published) <= {commit.name for commit in mirror.host.commits()}


def test_someones_commits_are_kept_but_for_what_they_change_in_a_clusters_folder(
    mirror: Mirror,
) -> None:
    mirror.put(WEB, "replicas: 1\n")
    mirror.sync()
    edits = {"docs/how.md": "# How\n", WEB: "replicas: 9\n", f"{EAST}shop/hand/made.txt": "x\n"}
    theirs = mirror.host.commit_by_hand(edits)
    mirror.sync()
    assert mirror.differences(beside={"docs/how.md"}) == ""
    assert mirror.host.read("docs/how.md") == "# How\n"
    assert theirs in [commit.name for commit in mirror.host.commits()]
    assert mirror.is_sound()


def test_what_an_older_commit_lacks_is_mirrored_again(mirror: Mirror, tmp_path: Path) -> None:
    copy = str(tmp_path / "copy")
    for replicas in range(4):
        mirror.put(WEB, f"replicas: {replicas}\n")
        mirror.put(f"{EAST}shop/configmap/map-{replicas}.yaml", "a: 1\n")
        mirror.sync(git_cache_dir=copy)
    for settings in ({"git_cache_dir": copy}, {}):
        mirror.host.rewind(3)
        mirror.sync(**settings)
        assert mirror.differences() == ""
        assert mirror.is_sound()


def test_commits_wait_while_the_host_is_down_and_are_pushed_afterwards(
    mirror: Mirror, tmp_path: Path
) -> None:
    settings = {"git_cache_dir": str(tmp_path / "copy")}
    mirror.put(WEB, "replicas: 0\n")
    mirror.sync(**settings)
    mirror.host.stop()
    for replicas in range(1, 4):
        mirror.put(WEB, f"replicas: {replicas}\n")
        assert "1 changed, 0 added, 0 deleted in 1 commit" in mirror.sync_fails(**settings)
    mirror.host.start()
    assert len(mirror.host.commits()) == 1
    mirror.sync(**settings)
    assert mirror.differences() == ""
    assert len(mirror.host.commits()) == 4
    assert mirror.is_sound()


def fails(service: Watcher, what: str) -> None:
    """Returns when it said so."""
    (process,) = service.processes
    until(lambda: f'event="{what} fails"' in service.log, "warning", needs=process)


def test_a_service_outlives_an_outage_of_the_host(mirror: Mirror, tmp_path: Path) -> None:
    mirror.put(WEB, "replicas: 0\n")
    with mirror.service(tmp_path) as service:
        mirror.wait_until_equal(needs=service.processes[0])
        mirror.host.stop()
        mirror.put(WEB, "replicas: 1\n")
        fails(service, "pushing to the repository")
        mirror.host.start()
        mirror.put(f"{EAST}shop/configmap/more.yaml", "a: 1\n")
        mirror.wait_until_equal(needs=service.processes[0])
        assert service.terminate() == 0
    assert mirror.is_sound()


def test_a_service_outlives_an_outage_of_the_bucket(
    own_minio: Minio, git_host: GitHost, tmp_path: Path
) -> None:
    mirror = Mirror(own_minio.new_bucket(), git_host)
    mirror.put(WEB, "replicas: 0\n")
    with mirror.service(tmp_path) as service:
        mirror.wait_until_equal(needs=service.processes[0])
        own_minio.kill()
        fails(service, "reading the bucket")
        own_minio.start()
        mirror.put(WEB, "replicas: 1\n")
        mirror.wait_until_equal(needs=service.processes[0])
        assert service.terminate() == 0
    assert mirror.is_sound()
