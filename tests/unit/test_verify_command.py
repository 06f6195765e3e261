"""`watcher verify` as people and cron jobs call it: which clusters, what is printed, exit codes.

Each bucket is a directory that a real run filled (in memory) from a model cluster.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import looptime
import pytest

from tests.unit.capture.rig import PREFIX, Rig, config_map
from watcher import cli
from watcher.bucket import heartbeat, reports
from watcher.bucket.heartbeat import Heartbeat
from watcher.bucket.layout import Layout
from watcher.bucket.metadata import Writer
from watcher.bucket.reports import Report
from watcher.settings import SETTINGS

A = "default/configmap/a.yaml"


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no settings of the shell they are started from."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)


@pytest.fixture(scope="module")
def backup() -> dict[str, bytes]:
    """What a run leaves of one cluster: relative key -> body."""

    async def once() -> dict[str, bytes]:
        rig = Rig()
        rig.cluster.create(config_map("a"))
        await rig.once()
        return {key.removeprefix(PREFIX): body for key, body in rig.store.objects().items()}

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(once())


class Bucket:
    """Clusters in a directory."""

    def __init__(
        self, root: Path, backup: dict[str, bytes], capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.root = root
        self._backup = backup
        self._capsys = capsys

    def add(self, cluster: str, *, last_beat: timedelta = timedelta(0)) -> None:
        """`domain/name`: a sound backup, apart from when somebody last wrote."""
        domain, _, name = cluster.partition("/")
        for key, body in self._backup.items():
            if not key.startswith(("_meta/heartbeat/", "_meta/reports/")):
                self.write(f"{cluster}/{key}", body)
        now = datetime.now(UTC)
        owner = json.loads(self._backup["_meta/owner.json"])
        owner |= {"domain": domain, "name": name, "claimed_at": now.isoformat()}
        self.write(f"{cluster}/_meta/owner.json", json.dumps(owner).encode())
        beat = Heartbeat(now - last_beat, Writer("pod", 1))
        day = f"{heartbeat.FOLDER}{beat.at:%Y-%m-%d}.json"
        self.write(f"{cluster}/{Layout.meta(day)}", beat.encode())
        report = Report(started_at=now, finished_at=now, trigger="schedule", writer="pod/1")
        name = f"{reports.FOLDER}reconcile-{now:%Y%m%dT%H%M%SZ}.json"
        self.write(f"{cluster}/{Layout.meta(name)}", report.encode())

    def write(self, key: str, body: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def verify(self, *arguments: str) -> tuple[int, str, list[str]]:
        """Exit code, what was printed, complaints."""
        code = cli.main(["verify", f"--minio-bucket=file://{self.root}", *arguments])
        said = self._capsys.readouterr()
        return code, said.out, [it.removeprefix("watcher: ") for it in said.err.splitlines()]

    def document(self, *arguments: str) -> dict[str, Any]:
        code, printed, _ = self.verify("--output=json", *arguments)
        found: dict[str, Any] = json.loads(printed)
        assert found["ok"] == (code == 0)
        return found


@pytest.fixture
def bucket(tmp_path: Path, backup: dict[str, bytes], capsys: pytest.CaptureFixture[str]) -> Bucket:
    return Bucket(tmp_path, backup, capsys)


EAST = ("--cluster-domain=example.com", "--cluster-name=east")


def test_a_sound_cluster_is_one_line_and_exit_0(bucket: Bucket) -> None:
    bucket.add("example.com/east")
    code, printed, complaints = bucket.verify(*EAST)
    header, line, *_ = printed.splitlines()
    assert (code, complaints) == (0, [])
    assert header.split()[:3] == ["CLUSTER", "FILES", "READ"]
    assert line.split()[0] == "example.com/east"
    assert line.split()[-1] == "ok"


def test_of_three_clusters_the_stale_and_the_damaged_one_are_named_with_why(
    bucket: Bucket,
) -> None:
    bucket.add("example.com/east")
    bucket.add("example.com/stale", last_beat=timedelta(days=3))
    bucket.add("other.example.org/damaged", last_beat=timedelta(minutes=16))
    bucket.write(f"other.example.org/damaged/{A}", b"apiVersion: [")
    code, printed, complaints = bucket.verify("--all-clusters", "--retired=other.*")
    assert code == 1
    assert complaints == ["3 findings in 2 of 3 clusters"]
    results = {line.split()[0]: line for line in printed.splitlines()[1:4]}
    assert results["example.com/east"].rstrip().endswith(" ok")
    assert results["example.com/stale"].rstrip().endswith(" silent")
    assert results["other.example.org/damaged"].rstrip().endswith(" 1 damaged, 1 changed")
    assert "the last heartbeat is 3 days old: nobody keeps this backup up to date" in printed
    assert f"  {A} is not YAML (line 1)\n" in printed
    assert f"  {A} is not the version that was written last\n" in printed


def test_a_domain_is_all_its_clusters_and_no_others(bucket: Bucket) -> None:
    for cluster in ("example.com/east", "example.com/west", "other.example.org/north"):
        bucket.add(cluster)
    found = bucket.document("--cluster-domain=example.com")
    assert [it["cluster"] for it in found["clusters"]] == ["example.com/east", "example.com/west"]


def test_all_clusters_is_the_whole_bucket_whatever_else_is_set(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cluster in ("example.com/east", "other.example.org/north"):
        bucket.add(cluster)
    monkeypatch.setenv("CLUSTER_DOMAIN", "example.com")
    monkeypatch.setenv("CLUSTER_NAME", "east")
    assert len(bucket.document("--all-clusters")["clusters"]) == 2


@pytest.mark.parametrize("which", ["--all-clusters", "--cluster-domain=example.com"])
def test_a_folder_whose_files_have_all_been_deleted_is_no_cluster(
    bucket: Bucket, which: str
) -> None:
    bucket.add("example.com/east")
    bucket.root.joinpath("example.com/gone").mkdir()
    found = bucket.document(which)
    assert [it["cluster"] for it in found["clusters"]] == ["example.com/east"]


def test_the_document_holds_everything(bucket: Bucket, backup: dict[str, bytes]) -> None:
    bucket.add("example.com/east", last_beat=timedelta(days=3))
    bucket.write(f"example.com/east/{A}", b"")
    bucket.write("example.com/east/README.md", b"")
    files = sum(not key.startswith("_meta/") for key in backup)
    found = bucket.document(*EAST, "--read-data-subset=1/1")
    (cluster,) = found["clusters"]
    assert found["format"] == 1
    assert found["bucket"] == f"file://{bucket.root}"
    assert found["read_data_subset"] == "1/1"
    assert (cluster["cluster"], cluster["ok"]) == ("example.com/east", False)
    assert (cluster["files"], cluster["read"]) == (files, files)
    assert (cluster["released"], cluster["hash_root"]) == (False, "unchecked")
    assert cluster["notes"] == ["keys that are not of watcher's making: 1"]
    assert [it["what"] for it in cluster["unchecked"]] == ["the hash root of the last reconcile"]
    silent, damaged, changed = cluster["findings"]
    assert silent["type"] == "silent"
    assert 3 * 86400 <= silent["ago"] < 3 * 86400 + 60
    assert damaged == {
        "type": "damaged",
        "key": A,
        "why": "is not the file of an object",
        "text": f"{A} is not the file of an object",
    }
    assert (changed["type"], changed["key"]) == ("changed", A)


def test_of_many_findings_the_table_shows_some_and_the_document_all(bucket: Bucket) -> None:
    bucket.add("example.com/east", last_beat=timedelta(days=3))
    for number in range(100):
        bucket.write(f"example.com/east/ns/pod/p{number}.yaml", b"")
    _, printed, complaints = bucket.verify(*EAST)
    assert complaints == ["201 findings in 1 of 1 cluster"]
    assert "and 181 more: --output json has them all" in printed
    (cluster,) = bucket.document(*EAST)["clusters"]
    assert len(cluster["findings"]) == 201


def test_a_newer_format_is_refused_alone_and_a_finding_among_others(bucket: Bucket) -> None:
    bucket.add("example.com/east")
    bucket.write("example.com/east/_meta/owner.json", b'{"format": 2}')
    code, printed, (complaint,) = bucket.verify(*EAST)
    assert (code, printed) == (3, "")
    assert "has format 2, this program knows up to 1" in complaint
    bucket.add("example.com/west")
    east, west = bucket.document("--all-clusters")["clusters"]
    assert "has format 2" in east["findings"][0]["text"]
    assert west["ok"]


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ((), 2, "verify: expected cluster-domain and cluster-name, cluster-domain alone, or"),
        (("--cluster-name=east",), 2, "verify: expected cluster-domain and cluster-name"),
        (
            (*EAST, "--read-data-subset=2/1"),
            2,
            "read-data-subset '2/1' from flag --read-data-subset: expected",
        ),
        (
            (*EAST, "--max-report-age=soon"),
            2,
            "max-report-age 'soon' from flag --max-report-age: expected",
        ),
        ((*EAST, "--debounce=1s"), 2, "No such option"),
        (("--all-clusters",), 1, "there is no cluster in file://"),
        (("--cluster-domain=example.com",), 1, "there is no cluster in file://"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...], code: int, complaint: str, bucket: Bucket
) -> None:
    found, printed, (line,) = bucket.verify(*arguments)
    assert (found, printed) == (code, "")
    assert line.startswith(complaint)


@pytest.mark.parametrize("arguments", [EAST, ("--all-clusters",)])
def test_a_bucket_that_is_not_there_is_one_line(arguments: tuple[str, ...], bucket: Bucket) -> None:
    bucket.root /= "nowhere"
    code, printed, (line,) = bucket.verify(*arguments)
    assert (code, printed) == (1, "")
    assert "setting minio-bucket" in line
