"""`watcher audit` as people and programs call it: what is printed, exit codes, what is refused.

The bucket is a directory with the journals of two clusters.
"""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from watcher import cli
from watcher.bucket.journal import Line, stamp
from watcher.settings import SETTINGS

EAST, WEST = "example.com/east", "example.com/west"
NOW = datetime.now(UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no settings of the shell they are started from."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)


class Journals:
    """Of clusters in a directory."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys
        self._files = 0

    def file(self, cluster: str, at: datetime, body: bytes) -> Path:
        self._files += 1
        name = f"{at:%Y/%m/%d/%H%M%S}-1-{self._files}.ndjson"
        path = self.root / cluster / "_meta" / "journal" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    def note(self, cluster: str, ago: timedelta, key: str, action: str, **fields: Any) -> None:
        """A change that was stored so long ago, in a file of its own."""
        at = NOW - ago
        self.file(cluster, at, Line(stamp(at), key, action)._replace(**fields).encode())

    def audit(self, *arguments: str) -> tuple[int, list[str], list[str]]:
        """Exit code, what was printed, complaints."""
        code = cli.main(["audit", *arguments, f"--minio-bucket=file://{self.root}"])
        said = self._capsys.readouterr()
        errors = [it.removeprefix("watcher: ") for it in said.err.splitlines()]
        return code, said.out.splitlines(), errors

    def names(self, *arguments: str) -> list[str]:
        code, lines, errors = self.audit("--output=json", *arguments)
        assert (code, errors) == (0, [])
        return [json.loads(line)["name"] for line in lines]


@pytest.fixture
def journals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Journals:
    journals = Journals(tmp_path, capsys)
    journals.note(EAST, 3 * DAY, "shop/configmap/old.yaml", "create", manager="helm")
    journals.note(EAST, 3 * HOUR, "shop/configmap/a.yaml", "update", manager="kubectl-edit")
    journals.note(
        *(WEST, 2 * HOUR, "_cluster/clusterrole/system%3Anode.yaml", "create"),
        manager="kube-apiserver",
        version_id="8b1f6a30-6f2e-4f5e-9d5e-8f0d2a7c1e11",
    )
    journals.note(EAST, HOUR, "shop/configmap/a.yaml", "delete", manager="kubectl-edit")
    return journals


def test_a_table_tells_what_happened_where_and_by_whom(journals: Journals) -> None:
    code, lines, complaints = journals.audit()
    assert (code, complaints) == (0, [])
    at = [f"{NOW - ago:%FT%TZ}" for ago in (3 * HOUR, 2 * HOUR, HOUR)]
    assert [line.split() for line in lines] == [
        ["TIME", "CLUSTER", "ACTION", "OBJECT", "BY", "VERSION", "NOTE"],
        [at[0], EAST, "update", "configmap/shop/a", "kubectl-edit", "-"],
        [
            *(at[1], WEST, "create", "clusterrole/system%3Anode", "kube-apiserver"),
            "8b1f6a30-6f2e-4f5e-9d5e-8f0d2a7c1e11",
        ],
        [at[2], EAST, "delete", "configmap/shop/a", "-", "-"],
    ]


def test_columns_are_aligned_and_one_that_must_grow_stays_wide(journals: Journals) -> None:
    journals.note(EAST, 90 * MINUTE, f"shop/configmap/{'x' * 80}.yaml", "update", manager="m")
    header, first, second, grown, last = journals.audit()[1]
    places = [header.index(name) for name in ("CLUSTER", "ACTION", "OBJECT", "BY", "VERSION")]
    for line in (first, second):
        assert [line[place - 1] + line[place].strip() for place in places] == [
            f" {line[place]}" for place in places
        ]
    assert grown.index(" m ") == last.index(" - ")


def test_what_was_found_at_a_start_is_marked_with_the_time_of_its_change(
    journals: Journals,
) -> None:
    found = {"recovered": True, "changed_at": "2026-07-01T11:58:02Z"}
    journals.note(EAST, MINUTE, "shop/pod/1.yaml", "update", **found)
    journals.note(EAST, MINUTE, "shop/pod/2.yaml", "delete", recovered=True)
    (_, *lines) = journals.audit("--kind=pod")[1]
    assert [line.partition("found at ")[2] for line in lines] == [
        "a start, changed 2026-07-01T11:58:02Z",
        "a start",
    ]


def test_a_key_of_another_shape_is_told_as_it_is(journals: Journals) -> None:
    journals.note(EAST, MINUTE, "shop/pod/~.yaml", "update")
    (told,) = map(json.loads, journals.audit("--output=json", "--kind=pod")[1])
    assert (told["key"], told["kind"], told["name"]) == ("shop/pod/~.yaml", None, None)


def test_a_json_object_a_line_tells_all_that_is_known(journals: Journals) -> None:
    code, lines, complaints = journals.audit("--output=json", "--since=150m", f"--cluster={WEST}")
    assert (code, complaints) == (0, [])
    (told,) = map(json.loads, lines)
    assert told == {
        "cluster": WEST,
        "namespace": "",
        "kind": "clusterrole",
        "name": "system:node",
        "at": stamp(NOW - 2 * HOUR),
        "key": "_cluster/clusterrole/system%3Anode.yaml",
        "action": "create",
        "etag": "",
        "version_id": "8b1f6a30-6f2e-4f5e-9d5e-8f0d2a7c1e11",
        "fingerprint": "",
        "uid": "",
        "resource_version": "",
        "manager": "kube-apiserver",
        "operation": "",
        "changed_at": "",
        "previous_etag": "",
        "recovered": False,
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), ["a", "system:node", "a"]),
        (("--since=7d",), ["old", "a", "system:node", "a"]),
        (("--since=7d", "--until=1d12h"), ["old"]),
        (("--since=90m",), ["a"]),
        ((f"--since={NOW - 150 * MINUTE:%FT%TZ}",), ["system:node", "a"]),
        ((f"--since={NOW - 150 * MINUTE + 2 * HOUR:%FT%T}+02:00",), ["system:node", "a"]),
        ((f"--since={NOW - 4 * DAY:%F}", f"--until={NOW - 150 * MINUTE:%FT%T}"), ["old", "a"]),
        (("--cluster=*/west",), ["system:node"]),
        (("--cluster=*/west", f"--cluster={EAST}", "--by=kubectl*"), ["a"]),
        (("--kind=configmap", "--action=delete"), ["a"]),
        (("--kind=clusterrole", "--kind=configmap", "--namespace=_cluster"), ["system:node"]),
        (("--namespace=shop", "--by=helm", "--since=7d"), ["old"]),
    ],
)
def test_flags_choose_what_is_told(
    arguments: tuple[str, ...], told: list[str], journals: Journals
) -> None:
    assert journals.names(*arguments) == told


def test_whose_settings_name_one_cluster_sees_all_the_same(
    journals: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTER_DOMAIN", "example.com")
    monkeypatch.setenv("CLUSTER_NAME", "east")
    assert len(journals.names()) == 3


def test_where_nothing_happened_that_is_said_and_is_no_failure(journals: Journals) -> None:
    code, lines, (said,) = journals.audit("--kind=pod")
    assert (code, lines) == (0, [])
    assert said == f"nothing of this was stored since {NOW - DAY:%F}T" + said[-9:]
    assert journals.audit("--kind=pod", "--output=json") == (0, [], [])


def test_no_name_of_a_manager_means_anything_to_a_terminal(journals: Journals) -> None:
    journals.note(EAST, MINUTE, "shop/pod/p.yaml", "update", manager="\x1b[2Jé\u202e\u0085x")
    (_, line) = journals.audit("--kind=pod")[1]
    assert " ?[2Jé??x " in line


# What cannot be read


def test_a_cluster_that_cannot_be_read_is_named_and_hides_no_other(journals: Journals) -> None:
    newer = journals.file(WEST, NOW - 30 * MINUTE, b'{"format": 2}\n')
    damaged = journals.file(EAST, NOW - 30 * MINUTE, b"{\n\xff\n")
    code, lines, complaints = journals.audit()
    assert (code, len(lines)) == (1, 1 + 3)
    keys = [path.relative_to(journals.root) for path in (damaged, newer)]
    assert complaints == [
        f"{EAST} is not told in full: 2 lines are damaged, the first in {keys[0]}",
        f"{WEST} is not told in full: {keys[1]} has format 2, this program knows up to 1"
        " (use the newer program that wrote it)",
    ]


def test_of_many_that_cannot_be_read_some_are_named(journals: Journals) -> None:
    for number in range(30):
        journals.file(f"example.com/c{number:02}", NOW - HOUR, b"{")
    code, lines, complaints = journals.audit("--output=json")
    assert (code, len(lines)) == (1, 3)
    assert len(complaints) == 21
    assert complaints[-1] == "and 10 more"


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("--cluster=prod/*",), 1, "there is no cluster in file://{root} that matches prod/*"),
        (
            ("--cluster=*/east", "--cluster=example.com/wset"),
            1,
            "there is no cluster in file://{root} that matches example.com/wset",
        ),
        (("--cluster=east",), 1, "there is no cluster in file://{root} that matches east"),
        (("--since=soon",), 2, "--since 'soon': expected an age such as 90m or 7d, a date, or"),
        (("--since=",), 2, "--since '': expected an age"),
        (("--until=",), 2, "--until '': expected an age"),
        (("--since=2026-13-01",), 2, "--since '2026-13-01': expected an age"),
        (("--since=1d1d",), 2, "--since '1d1d': expected an age"),
        (("--since=99999999999d",), 2, "--since '99999999999d': expected an age"),
        (("--since=0001-01-01",), 2, "--since '0001-01-01': expected an age"),
        (("--until=9999-12-31T23:59:59Z",), 2, "--until '9999-12-31T23:59:59Z': expected an age"),
        (("--since=1h", "--until=2h"), 2, "--since '1h': expected a time before --until '2h'"),
        (("--action=destroy",), 2, "Invalid value for '--action': 'destroy' is not one of"),
        (("--debounce=1s",), 2, "No such option"),
        (("now",), 2, "Got unexpected extra argument (now)"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...], code: int, complaint: str, journals: Journals
) -> None:
    found, printed, (line,) = journals.audit(*arguments)
    assert (found, printed) == (code, [])
    assert line.startswith(complaint.format(root=journals.root))


def test_an_empty_bucket_and_one_that_is_not_there_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = Journals(tmp_path, capsys)
    assert empty.audit() == (1, [], [f"there is no cluster in file://{tmp_path}"])
    code, printed, (complaint,) = Journals(tmp_path / "nowhere", capsys).audit()
    assert (code, printed) == (1, [])
    assert "nowhere" in complaint


@pytest.mark.parametrize("output", ["table", "json"])
def test_when_nobody_reads_any_more_it_ends_without_a_word(output: str, journals: Journals) -> None:
    for number in range(5000):
        journals.note(EAST, MINUTE, f"shop/configmap/{number}.yaml", "update")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {it.variable for it in SETTINGS}
    }
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "watcher", "audit", f"--output={output}"),
            f"--minio-bucket=file://{journals.root}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1
