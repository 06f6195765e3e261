"""`watcher deletes` and `watcher trash`: on a real directory, with no cluster anywhere."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from watcher import cli
from watcher.bucket import held, owner
from watcher.bucket.directory import Directory
from watcher.bucket.held import Book, Hold
from watcher.bucket.layout import Layout
from watcher.bucket.trash import Trash
from watcher.settings import SETTINGS

LAYOUT = Layout("example.com", "east")
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
A, B, C = "shop/configmap/a.yaml", "shop/configmap/b.yaml", "shop/secret/c.yaml"
BOOK = Book(
    {A: Hold("many", NOW), B: Hold("many", NOW)}, {C: Hold("settings", NOW - timedelta(days=1))}
)


class Backup:
    """A bucket with a claimed prefix, and the command line on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder / "bucket"
        self.folder.mkdir()
        self._capsys = capsys

    @property
    def store(self) -> Directory:
        clock = lambda: NOW  # noqa: E731
        return Directory(self.folder, fsync=False, clock=clock, observe=lambda *_: None)

    async def fill(self) -> None:
        await owner.claim(self.store, LAYOUT, cluster_uid="uid", at=NOW)
        await held.save(self.store, LAYOUT, BOOK, etag="", conditional=False, at=NOW)
        for key in (A, B):
            await self.store.put(LAYOUT.prefix + key, f"# {key}\n".encode())
        for key, age in ((A, 1), (A, 10), (B, 10)):
            await Trash(self.store, LAYOUT).take(key, "", datetime.now(UTC) - timedelta(days=age))

    def orders(self) -> dict[str, list[str]]:
        path = self.folder / "example.com/east/_meta/deletes/allow.json"
        content = orjson.loads(path.read_bytes())
        return {verb: [line["pattern"] for line in content[verb]] for verb in ("allow", "keep")}

    def run(self, *words: str, exit_code: int = 0, name: str = "east") -> tuple[str, str]:
        """What a command says on stdout and on stderr."""
        flags = [
            "--cluster-domain=example.com",
            f"--cluster-name={name}",
            f"--minio-bucket=file://{self.folder}",
        ]
        assert cli.main([*words, *flags]) == exit_code
        said = self._capsys.readouterr()
        return said.out, said.err


@pytest.fixture
def backup(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Backup:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    backup = Backup(tmp_path, capsys)
    asyncio.run(backup.fill())
    return backup


def test_what_is_held_is_listed_with_why_and_since_when(backup: Backup) -> None:
    out, err = backup.run("deletes", "list")
    assert out.splitlines() == [
        "KEY                    WHY   SINCE                 DECIDED",
        "shop/configmap/a.yaml  many  2026-07-01T12:00:00Z",
        "shop/configmap/b.yaml  many  2026-07-01T12:00:00Z",
    ]
    assert err == "watcher: 1 files are kept for good: see --kept\n"


def test_what_is_kept_for_good_is_listed_on_demand(backup: Backup) -> None:
    out, _ = backup.run("deletes", "list", "--kept")
    assert "shop/secret/c.yaml  settings  2026-06-30T12:00:00Z" in out


def test_machines_read_json(backup: Backup) -> None:
    backup.run("deletes", "allow", A)
    out, _ = backup.run("deletes", "list", "--output=json")
    since = "2026-07-01T12:00:00Z"
    assert json.loads(out) == {
        "held": [
            {"key": A, "why": "many", "since": since, "decided": "allow"},
            {"key": B, "why": "many", "since": since, "decided": ""},
        ]
    }
    out, _ = backup.run("deletes", "keep", B, "--output=json")
    assert json.loads(out) == {"keep": [B]}


def test_what_is_allowed_is_said_and_on_record(backup: Backup) -> None:
    out, _ = backup.run("deletes", "allow", "shop/configmap/*")
    assert out.splitlines() == ["2 files to be deleted:", f"  {A}", f"  {B}"]
    assert backup.orders() == {"allow": ["shop/configmap/*"], "keep": []}


def test_the_later_decision_undoes_the_earlier_one(backup: Backup) -> None:
    backup.run("deletes", "allow", "shop/configmap/*")
    backup.run("deletes", "keep", A)
    assert backup.orders() == {"allow": [B], "keep": [A]}
    backup.run("deletes", "allow", A)
    assert backup.orders() == {"allow": [B, A], "keep": []}


def test_a_pattern_that_matches_nothing_held_decides_nothing(backup: Backup) -> None:
    out, err = backup.run("deletes", "allow", A, "shop/gone/*", exit_code=2)
    assert out == ""
    assert err == "watcher: nothing that is held matches 'shop/gone/*'\n"
    assert not (backup.folder / "example.com/east/_meta/deletes/allow.json").exists()


def test_on_a_terminal_one_is_asked_first(backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", _no)
    backup.run("deletes", "allow", A, exit_code=1)
    backup.run("trash", "empty", "--all", exit_code=1)
    assert not (backup.folder / "example.com/east/_meta/deletes/allow.json").exists()
    backup.run("deletes", "allow", A, "--yes")
    assert backup.orders()["allow"] == [A]
    assert backup.run("trash", "empty", "--all", "--yes")[0] == "3 files thrown away\n"


def _no(*_: object, **__: object) -> None:
    import click

    raise click.Abort


@pytest.mark.parametrize("command", ["list", "allow", "keep"])
def test_damaged_files_are_named(backup: Backup, command: str) -> None:
    path = backup.folder / "example.com/east/_meta/deletes/allow.json"
    path.write_text("no JSON")
    patterns = [] if command == "list" else ["*"]
    _, err = backup.run("deletes", command, *patterns, exit_code=1)
    assert err.startswith("watcher: example.com/east/_meta/deletes/allow.json is damaged: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [("deletes", "list"), ("trash", "list")])
def test_a_cluster_of_which_there_is_no_backup_is_named(
    backup: Backup, words: tuple[str, ...]
) -> None:
    _, err = backup.run(*words, exit_code=1, name="west")
    assert "holds no backup under example.com/west/" in err


# -- trash


def test_the_trash_is_listed_the_newest_of_each_file_first(backup: Backup) -> None:
    out, _ = backup.run("trash", "list")
    head, *rows = out.splitlines()
    assert head.split() == ["KEY", "DELETED"]
    assert [row.split()[0] for row in rows] == [A, A, B]
    assert rows[0].split()[1] > rows[1].split()[1]
    out, _ = backup.run("trash", "list", "*/b.yaml", "--output=json")
    assert [line["key"] for line in json.loads(out)] == [B]


def test_files_are_written_into_a_folder_to_be_applied(backup: Backup, tmp_path: Path) -> None:
    folder = tmp_path / "restored"
    out, err = backup.run("trash", "restore", "shop/*", f"--to={folder}")
    assert out.splitlines() == [f"restored {A}", f"restored {B}"]
    assert err == ""
    assert (folder / A).read_text() == f"# {A}\n"
    _, err = backup.run("trash", "restore", A, f"--to={folder}", exit_code=1)
    assert err == f"watcher: {A}: there is such a file now\n"


def test_files_are_put_back_where_there_is_none(backup: Backup) -> None:
    path = backup.folder / "example.com/east" / A
    path.unlink()
    out, err = backup.run("trash", "restore", "shop/*", exit_code=1)
    assert out == f"restored {A}\n"
    assert "these files go again at the next reconcile" in err
    assert f"watcher: {B}: there is such a file now\n" in err
    assert path.read_text() == f"# {A}\n"


def test_what_is_not_in_the_trash_cannot_be_restored(backup: Backup) -> None:
    _, err = backup.run("trash", "restore", A, "nothing/*", exit_code=2)
    assert err == "watcher: nothing in the trash matches 'nothing/*'\n"


def test_the_trash_is_emptied_by_age_or_whole(backup: Backup) -> None:
    assert backup.run("trash", "empty", "--older-than=7d")[0] == "2 files thrown away\n"
    assert backup.run("trash", "list", "--output=json")[0].count(A) == 1
    assert backup.run("trash", "empty", "--all")[0] == "1 files thrown away\n"
    assert backup.run("trash", "list")[0] == "Nothing is in the trash.\n"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--all", "--older-than=7d"),
        ("--older-than=soon",),
        ("--older-than=",),
        ("--older-than=99999999d",),
    ],
)
def test_what_to_throw_away_must_be_said(backup: Backup, words: tuple[str, ...]) -> None:
    _, err = backup.run("trash", "empty", *words, exit_code=2)
    assert "--older-than" in err
    assert err.count("\n") == 1
