"""`watcher git-sync --once`, the whole program, on a directory as the bucket."""

import shutil
from pathlib import Path

import pytest

from tests.unit.gitsync.rig import EAST, Host
from watcher import cli
from watcher.settings import SETTINGS

WEB = f"{EAST.prefix}default/deployment/web.yaml"


class Command:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.host = Host(folder)
        self.bucket = folder / "bucket"
        self.bucket.mkdir()
        self.flags = {
            "minio-bucket": f"file://{self.bucket}",
            "git-repository": str(self.host.path),
        }
        self._capsys = capsys

    def put(self, path: str, body: str) -> None:
        file = self.bucket / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(body)

    def run(self, **flags: str) -> tuple[int, str, str]:
        """Exit code, stdout, and stderr without log lines."""
        given = self.flags | {name.replace("_", "-"): value for name, value in flags.items()}
        code = cli.main(["git-sync", "--once", *(f"--{k}={v}" for k, v in given.items())])
        said = self._capsys.readouterr()
        complaints = [line for line in said.err.splitlines() if not line.startswith("time=")]
        assert all(line.startswith("watcher: ") for line in complaints), complaints
        return code, said.out, "\n".join(line.removeprefix("watcher: ") for line in complaints)


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    return Command(tmp_path, capsys)


def test_it_tells_what_it_did(command: Command) -> None:
    command.put(WEB, "replicas: 1\n")
    assert command.run() == (0, "1 cluster, 0 changed, 1 added, 0 deleted in 1 commit\n", "")
    assert command.run() == (0, "1 cluster, 0 changed, 0 added, 0 deleted in 0 commits\n", "")
    assert command.host.files()[WEB] == b"replicas: 1\n"


def test_what_is_not_mirrored_is_a_failure(command: Command) -> None:
    command.put(WEB, "replicas: 1\n")
    command.put(f"{EAST.prefix}myapp/secret/db.yaml", "no secret of ours\n")
    command.host.refuse(WEB, named=True)
    code, _, said = command.run()
    assert code == 1
    assert "myapp/secret/db.yaml is not mirrored: unreadable" in said
    assert f"{WEB} is not mirrored:" in said
    assert f"no {WEB} here" in said


def test_an_empty_bucket_is_refused_where_the_mirror_is_not(command: Command) -> None:
    command.put(WEB, "replicas: 1\n")
    command.run()
    shutil.rmtree(command.bucket / EAST.domain)
    code, _, said = command.run()
    assert code == 3
    assert "holds no cluster, the mirror 1: it is left as it is" in said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"git_repository": ""}, "git-repository is missing: give it as flag --git-repository,"),
        ({"git_repository": "nowhere"}, "git-repository 'nowhere' from flag"),
        ({"git_branch": "a..b"}, "git-branch 'a..b' from flag"),
        ({"git_sync_schedule": "at tea time"}, "git-sync-schedule 'at tea time' from flag"),
        ({"git_author": "nobody"}, "git-author 'nobody' from flag"),
        ({"git_path_prefix": "../up"}, "git-path-prefix '../up' from flag"),
        ({"git_include_clusters": "east"}, "git-include-clusters 'east' from flag"),
        ({"git_ca_file": "/no/such/file"}, "git-ca-file '/no/such/file' from flag"),
    ],
)
def test_bad_settings_are_one_line_each(command: Command, flags: dict[str, str], said: str) -> None:
    code, out, complaint = command.run(**flags)
    assert (code, out) == (2, "")
    assert complaint.startswith(said)
    assert len(complaint.splitlines()) == 1


def test_a_bucket_or_repository_that_is_not_there_is_said(command: Command) -> None:
    command.put(WEB, "replicas: 1\n")
    code, _, said = command.run(git_repository=str(command.bucket / "none.git"))
    assert code == 1
    assert "there is no such repository, or we may not see it" in said
    code, _, said = command.run(minio_bucket="file:///no/such/folder")
    assert code in (1, 2)
    assert "/no/such/folder" in said


def test_a_cache_that_is_no_folder_is_said(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for given in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        code, _, said = command.run(git_cache_dir=str(given))
        assert code == 2
        assert "expected a folder that may be written to" in said


def test_a_machine_without_git_is_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, said = command.run()
    assert code == 2
    assert said.startswith("there is no program git")


@pytest.mark.parametrize("damage", ["locks", "config", "objects", "refs"])
def test_a_local_copy_that_was_damaged_is_no_obstacle(
    command: Command, damage: str, tmp_path: Path
) -> None:
    """As kill -9, a disk that was full, or one that lies leave it."""
    cache = tmp_path / "cache"
    command.put(WEB, "replicas: 1\n")
    command.run(git_cache_dir=str(cache))
    copy = cache / "repository.git"
    match damage:
        case "locks":
            for name in ("HEAD.lock", "config.lock", "shallow.lock", "refs/watcher/head.lock"):
                (copy / name).touch()
        case "config":
            (copy / "config").write_text("")
        case "objects":
            for file in copy.glob("objects/??/*"):
                file.unlink()
                file.touch()
            for file in copy.glob("objects/pack/*"):
                file.unlink()
        case "refs":
            (copy / "refs/watcher/head").write_text("garbage\n")
    command.put(WEB, "replicas: 2\n")
    code, _, said = command.run(git_cache_dir=str(cache))
    assert (code, said) == (0, "")
    assert command.host.files()[WEB] == b"replicas: 2\n"
    assert command.host.is_sound()
