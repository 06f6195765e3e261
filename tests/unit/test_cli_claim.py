"""`watcher claim`: a bucket in a directory, a cluster in memory, the real command line."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from bench.cluster import Cluster
from bench.memory_api import MemoryAPI
from watcher import cli
from watcher.bucket import owner
from watcher.bucket.directory import Directory
from watcher.bucket.heartbeat import Heartbeat, Pulse
from watcher.bucket.layout import Layout
from watcher.bucket.metadata import Writer
from watcher.cluster import connection
from watcher.settings import SETTINGS

LAYOUT = Layout("example.com", "east")


class Backup:
    """A prefix that the cluster with UID `uid-1` claimed, and a cluster with another UID."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder / "bucket"
        self.folder.mkdir()
        self.cluster = Cluster(lambda: datetime.now(UTC))
        self._capsys = capsys

    @property
    def store(self) -> Directory:
        clock = lambda: datetime.now(UTC)  # noqa: E731
        return Directory(self.folder, fsync=False, clock=clock, observe=lambda *_: None)

    @property
    def uid(self) -> str:
        """Of the cluster that is there now."""
        found = (it for it in self.cluster.objects("namespaces") if _is_kube_system(it))
        return str(next(found)["metadata"]["uid"])

    def claim(self, uid: str = "uid-1") -> None:
        asyncio.run(_claim(self.store, uid))

    def beat(self, *, minutes_ago: float, released: bool = False) -> None:
        at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        beat = Heartbeat(at, Writer("pod-a", 1), released=released)
        asyncio.run(Pulse(self.store, LAYOUT, beat.writer, conditional=True).beat(beat))

    def owner(self) -> dict[str, object]:
        path = self.folder / "example.com/east/_meta/owner.json"
        return dict(orjson.loads(path.read_bytes()))

    def run(self, *words: str, exit_code: int = 0, name: str = "east") -> tuple[str, str]:
        """What `watcher claim` says on stdout and on stderr."""
        flags = [
            "--cluster-domain=example.com",
            f"--cluster-name={name}",
            f"--minio-bucket=file://{self.folder}",
        ]
        assert cli.main(["claim", *words, *flags]) == exit_code
        said = self._capsys.readouterr()
        return said.out, said.err


def _is_kube_system(item: dict[str, dict[str, str]]) -> bool:
    return item["metadata"]["name"] == "kube-system"


async def _claim(store: Directory, uid: str) -> None:
    await owner.claim(store, LAYOUT, cluster_uid=uid, at=datetime(2026, 7, 1, tzinfo=UTC))


@pytest.fixture
def backup(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Backup:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    made = Backup(tmp_path, capsys)

    @asynccontextmanager
    async def connect(*_: str) -> AsyncIterator[MemoryAPI]:
        yield MemoryAPI(made.cluster)

    monkeypatch.setattr(connection, "connect", connect)
    made.claim()
    return made


def answers(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """Somebody sits at a terminal."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: word)


# -- looking


def test_it_says_whose_the_prefix_is_and_who_writes(backup: Backup) -> None:
    backup.beat(minutes_ago=3)
    out, _ = backup.run()
    assert re.fullmatch(
        r"bucket +file://.*/bucket\n"
        r"prefix +example\.com/east/\n"
        r"cluster UID +uid-1\n"
        r"claimed at +2026-07-01T00:00:00\+00:00\n"
        r"epoch +1\n"
        r"writer +pod-a/1 writes, its last heartbeat was 3 minutes ago\n",
        out,
    )


@pytest.mark.parametrize(
    ("minutes", "released", "said"),
    [
        (3, True, "nobody writes; the last was pod-a/1, heard of 3 minutes ago, it ended in order"),
        (20, False, "heard of 20 minutes ago, it did not say good-bye"),
        (9 * 24 * 60, False, r"heard of at \d{4}-\d\d-\d\d \d\d:\d\d UTC"),
    ],
)
def test_it_says_why_it_believes_that_nobody_writes(
    backup: Backup, minutes: float, released: bool, said: str
) -> None:
    backup.beat(minutes_ago=minutes, released=released)
    assert re.search(said, backup.run()[0])


def test_machines_get_json(backup: Backup) -> None:
    backup.beat(minutes_ago=3)
    told = json.loads(backup.run("--output=json")[0])
    assert told.pop("bucket").startswith("file://")
    heartbeat = told.pop("heartbeat")
    assert heartbeat.pop("at").endswith("Z")
    assert heartbeat == {"writer": "pod-a/1", "healthy": True, "released": False}
    assert told == {
        "prefix": "example.com/east/",
        "cluster_uid": "uid-1",
        "domain": "example.com",
        "name": "east",
        "claimed_at": "2026-07-01T00:00:00+00:00",
        "epoch": 1,
        "hold_orphans": None,
        "alive": True,
    }


def test_looking_needs_no_cluster_and_changes_nothing(backup: Backup) -> None:
    before = backup.owner()
    backup.run()
    assert backup.owner() == before
    assert not backup.cluster.requests


def test_where_nobody_ever_wrote_it_says_so(backup: Backup) -> None:
    _, err = backup.run(name="west", exit_code=1)
    assert "holds no backup under example.com/west/" in err


# -- taking over


def test_a_cluster_that_was_built_anew_gets_the_prefix(backup: Backup) -> None:
    backup.beat(minutes_ago=16)
    out, _ = backup.run("--take-over", "--yes")
    assert f"example.com/east/ is now the cluster's with UID {backup.uid}" in out
    found = backup.owner()
    assert (found["cluster_uid"], found["epoch"]) == (backup.uid, 2)
    assert found["hold_orphans"] == "take-over"
    assert "held at the next first sync (take-over)" in backup.run()[0]


def test_a_prefix_that_is_this_clusters_already_is_left_alone(backup: Backup) -> None:
    backup.run("--take-over", "--yes")
    before = backup.owner()
    out, _ = backup.run("--take-over", "--yes")
    assert "is this cluster's already" in out
    assert backup.owner() == before


def test_while_somebody_writes_nothing_is_taken_whatever_is_said(backup: Backup) -> None:
    backup.beat(minutes_ago=14)
    before = backup.owner()
    _, err = backup.run("--take-over", "--yes", exit_code=3)
    assert "example.com/east/ is alive: pod-a/1 writes" in err
    assert backup.owner() == before


def test_after_a_good_bye_nobody_has_to_wait(backup: Backup) -> None:
    backup.beat(minutes_ago=1, released=True)
    backup.run("--take-over", "--yes")
    assert backup.owner()["cluster_uid"] == backup.uid


def test_on_a_terminal_it_asks_and_names_both_clusters(
    backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = backup.owner()
    answers(monkeypatch, "n")
    backup.run("--take-over", exit_code=1)
    assert backup.owner() == before
    asked: list[str] = []
    monkeypatch.setattr("click.confirm", lambda text, **_: asked.append(text))
    backup.run("--take-over")
    assert "uid-1" in asked[0]
    assert backup.uid in asked[0]
    assert backup.owner()["cluster_uid"] == backup.uid


def test_without_a_terminal_it_wants_yes(backup: Backup) -> None:
    before = backup.owner()
    _, err = backup.run("--take-over", exit_code=2)
    assert "--yes" in err
    assert backup.owner() == before
