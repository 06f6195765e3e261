"""`watcher clusters` as people and cron jobs call it: what is printed, exit codes, who is retired.

Each bucket is a directory, each cluster one that was heard of a minute ago.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.memory_store import MemoryStore
from tests.unit.fleet.samples import DAY, HOUR, SEVEN, Bucket
from watcher import cli
from watcher.bucket.layout import Layout
from watcher.settings import SETTINGS

EAST, WEST = "example.com/east", "example.com/west"


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no settings of the shell they are started from."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)


class Folder(Bucket):
    """Clusters in a directory."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(MemoryStore(), datetime.now(UTC).replace(microsecond=0))
        self.root = root
        self._capsys = capsys

    def write(self, layout: Layout, name: str, body: bytes) -> None:
        path = self.root / (layout.prefix + layout.meta(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def remove(self, layout: Layout, folder: str) -> None:
        for path in (self.root / (layout.prefix + layout.meta(folder))).glob("*"):
            path.unlink()

    def clusters(self, *arguments: str) -> tuple[int, str, list[str]]:
        """Exit code, what was printed, complaints."""
        words = [*arguments, f"--minio-bucket=file://{self.root}"]
        code = cli.main(["clusters", *words])
        said = self._capsys.readouterr()
        return code, said.out, [it.removeprefix("watcher: ") for it in said.err.splitlines()]

    def document(self, *arguments: str) -> dict[str, Any]:
        code, printed, _ = self.clusters("--output=json", *arguments)
        found: dict[str, Any] = json.loads(printed)
        assert found["ok"] == (code == 0)
        return found


@pytest.fixture
def bucket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Folder:
    return Folder(tmp_path, capsys)


def rows(printed: str) -> dict[str, list[str]]:
    """Cluster -> the cells of its line, by the places of the header's."""
    header, *lines = printed.partition("\n\n")[0].splitlines()
    names = [it for it in header.split("  ") if it.strip()]
    assert [it.strip() for it in names] == [
        *("CLUSTER", "HEARTBEAT", "OBJECTS", "SIZE", "CHANGED", "RECONCILED", "PROOF", "DRIFT"),
        *("HELD", "READ BACK", "WATCHER", "KUBERNETES", "FORMAT", "RESULT"),
    ]
    return {
        line.split()[0]: [it.strip() for it in line.split("  ") if it.strip()] for line in lines
    }


def test_a_cluster_that_is_well_is_one_line_and_exit_0(bucket: Folder) -> None:
    bucket.add(EAST)
    code, printed, complaints = bucket.clusters()
    assert (code, complaints) == (0, [])
    (cells,) = rows(printed).values()
    assert cells[2:4] == ["11,404", "28.0 MB"]
    assert cells[5:] == ["10h", "same", "0", "0", "381 ok", "0.1.0", "v1.36.3", "1", "ok"]


def test_what_is_wrong_is_told_first_and_exits_1(bucket: Folder) -> None:
    for kind, make_ill in SEVEN.items():
        make_ill(bucket, bucket.add(f"example.com/{kind}"))
    for name in "abc":
        bucket.add(f"example.com/{name}")
    code, printed, complaints = bucket.clusters()
    assert (code, complaints) == (1, ["something is wrong with 7 of 10 clusters"])
    results = {name: cells[-1] for name, cells in rows(printed).items()}
    assert list(results.values())[7:] == ["ok"] * 3
    assert {name: kind for name, kind in results.items() if kind != "ok"} == {
        f"example.com/{kind}": kind for kind in SEVEN
    }
    below = printed.partition("\n\n")[2]
    since = f"{bucket.now - 3 * HOUR:%F %T}"
    assert (
        "example.com/silent\n  critical: the last heartbeat is 3 hours old: nobody keeps this"
        f" backup up to date (since {since} UTC)\n"
    ) in below
    assert "  warning: deletes that wait for a decision: 1; see watcher deletes list" in below
    assert "example.com/a\n" not in below


def test_what_is_not_there_and_what_cannot_be_read_look_different(bucket: Folder) -> None:
    bare, hidden = bucket.add("example.com/bare"), bucket.add("example.com/hidden")
    bucket.remove(bare, "heartbeat/")
    bucket.remove(bare, "reports/")
    for name in ("heartbeat/2099-01-01.json", "reports/reconcile-2099.json", "deletes/held.json"):
        bucket.write(hidden, name, b'{"format": 2}')
    found = rows(bucket.clusters()[1])
    assert found["example.com/bare"][1:9] == ["-"] * 7 + ["0"]
    assert found["example.com/hidden"][1:12] == ["?"] * 11
    assert found["example.com/hidden"][12] == "newer"


def test_the_document_holds_everything(bucket: Folder) -> None:
    east = bucket.add(EAST)
    bucket.hold(east, "a", "b")
    found = bucket.document()
    assert (found["format"], found["bucket"]) == (1, f"file://{bucket.root}")
    (cluster,) = found["clusters"]
    heard = f"{bucket.now:%FT%T}Z"
    assert cluster.pop("last_change") < cluster["heartbeat"].pop("at") < heard
    assert cluster["heartbeat"].pop("last_healthy") < heard
    assert cluster["reconcile"].pop("finished_at") < heard
    assert cluster.pop("findings") == [
        {
            "type": "held",
            "severity": "warning",
            "since": f"{bucket.now - HOUR:%FT%T}Z",
            "text": "deletes that wait for a decision: 2; see watcher deletes list",
        }
    ]
    assert cluster == {
        "cluster": EAST,
        "ok": False,
        "retired": False,
        "retired_since": None,
        "retired_reason": None,
        "format": 1,
        "heartbeat": {"writer": "watcher-0/7", "healthy": True, "released": False},
        "objects": 11404,
        "versions": {"watcher": "0.1.0", "kubernetes": "v1.36.3"},
        "reconcile": {
            "objects": {"pods": 9000, "secrets": 2404},
            "size": 28_000_000,
            "hash_root": "same",
            "drift": {"missing": 0, "changed": 0, "orphaned": 0},
            "repaired": 0,
            "unread": {},
            "read_back": {"slice": "7/30", "files": 381, "differing": 0},
        },
        "deletes_held": 2,
    }


def test_patterns_choose_clusters(bucket: Folder) -> None:
    bucket.add(EAST)
    bucket.beat(bucket.add(WEST), 3 * HOUR)
    bucket.add("other.example.org/north")
    found = bucket.document("--cluster=example.com/e*", "--cluster=*/north")
    assert [it["cluster"] for it in found["clusters"]] == [EAST, "other.example.org/north"]


def test_whose_settings_name_one_cluster_sees_all_the_same(
    bucket: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTER_DOMAIN", "example.com")
    monkeypatch.setenv("CLUSTER_NAME", "east")
    bucket.add(EAST)
    bucket.add(WEST)
    assert len(bucket.document()["clusters"]) == 2


# Retired clusters


def test_a_retired_cluster_is_said_to_be_one_and_nothing_is_wrong_with_it(bucket: Folder) -> None:
    bucket.beat(bucket.add(EAST), 3 * DAY)
    assert bucket.clusters()[0] == 1
    assert bucket.clusters("retire", EAST, "--reason=moved") == (0, f"{EAST} is retired\n", [])
    code, printed, _ = bucket.clusters()
    assert (code, rows(printed)[EAST][-1]) == (0, "retired")
    (cluster,) = bucket.document()["clusters"]
    assert (cluster["retired"], cluster["retired_reason"]) == (True, "moved")
    assert cluster["retired_since"] >= f"{bucket.now:%FT%T}Z"

    assert bucket.clusters("retire", EAST) == (0, f"{EAST} was retired already\n", [])
    assert bucket.document()["clusters"][0]["retired_reason"] == "moved"


def test_the_mark_can_be_taken_back(bucket: Folder) -> None:
    bucket.beat(bucket.add(EAST), 3 * DAY)
    bucket.clusters("retire", EAST)
    for _ in range(2):
        assert bucket.clusters("unretire", EAST) == (0, f"{EAST} is not retired\n", [])
    assert bucket.clusters()[0] == 1


def test_a_cluster_that_ended_in_order_can_be_retired_at_once(bucket: Folder) -> None:
    bucket.beat(bucket.add(EAST), released=True)
    assert bucket.clusters("retire", EAST)[0] == 0


def test_a_cluster_that_is_alive_is_not_retired(bucket: Folder) -> None:
    bucket.add(EAST)
    code, printed, (complaint,) = bucket.clusters("retire", EAST)
    assert (code, printed) == (3, "")
    assert complaint.startswith(f"{EAST}/ is alive: watcher-0/7 writes (stop that one first;")
    assert not bucket.document()["clusters"][0]["retired"]


def test_who_writes_to_a_retired_cluster_is_found(bucket: Folder) -> None:
    east = bucket.add(EAST)
    bucket.retire(east)
    (cluster,) = bucket.document()["clusters"]
    assert [it["type"] for it in cluster["findings"]] == ["revived"]
    assert not cluster["retired"]


# What cannot be done


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ((), 1, "there is no cluster in file://"),
        (("--cluster=a/*", "--cluster=b/*"), 1, "there is no cluster in file://"),
        (("now",), 2, "No such command 'now'."),
        (("--debounce=1s",), 2, "No such option"),
        (("retire", "east"), 2, "'east': expected a cluster as cluster-domain/cluster-name"),
        (("retire", "a/b/c"), 2, "'a/b/c': expected a cluster as cluster-domain/cluster-name"),
        (("retire", "_meta/x"), 2, "'_meta/x': expected a cluster"),
        (("unretire", ""), 2, "'': expected a cluster"),
        (("retire",), 2, "Missing argument 'DOMAIN/NAME'."),
        (("--cluster=a/*", "retire", EAST), 2, "clusters retire: give flags behind retire"),
        (("retire", EAST), 1, "file://"),
        (("unretire", EAST), 1, "file://"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...], code: int, complaint: str, bucket: Folder
) -> None:
    found, printed, (line,) = bucket.clusters(*arguments)
    assert (found, printed) == (code, "")
    assert line.startswith(complaint)


def test_a_pattern_that_no_cluster_matches_is_named(bucket: Folder) -> None:
    bucket.add(EAST)
    code, _, (complaint,) = bucket.clusters("--cluster=prod/*")
    assert code == 1
    assert complaint == f"there is no cluster in file://{bucket.root} that matches prod/*"


@pytest.mark.parametrize("arguments", [(), ("retire", EAST)])
def test_a_bucket_that_is_not_there_is_one_line(arguments: tuple[str, ...], bucket: Folder) -> None:
    bucket.root /= "nowhere"
    code, printed, (complaint,) = bucket.clusters(*arguments)
    assert (code, printed) == (1, "")
    assert "nowhere" in complaint


def test_a_newer_claim_is_not_retired(bucket: Folder) -> None:
    bucket.write(bucket.add(EAST), "owner.json", b'{"format": 2}')
    code, _, (complaint,) = bucket.clusters("retire", EAST)
    assert code == 3
    assert "has format 2" in complaint
