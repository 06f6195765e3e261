"""What a process that was killed left behind is removed by the next one, and nothing else is."""

import os
import tempfile
from pathlib import Path

import pytest

from watcher.gitsync.folder import temporary


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_by_a_killed_process(place: Path) -> Path:
    folder = place / "watcher-git-abcdefgh"
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "key").write_text("secret")
    os.utime(folder, (0, 0))
    return folder


def test_a_temporary_folder_is_gone_at_the_end(place: Path) -> None:
    with temporary() as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "key").write_text("secret")
    assert not list(place.iterdir())


def test_what_a_killed_process_left_is_removed(place: Path) -> None:
    left = left_by_a_killed_process(place)
    with temporary():
        assert not left.exists()


def test_what_a_living_process_has_stays(place: Path) -> None:
    with temporary() as one:
        os.utime(one, (0, 0))
        with temporary() as other:
            assert one.exists()
            assert other.exists()


def test_what_a_process_has_only_just_made_stays(place: Path) -> None:
    new = place / "watcher-git-abcdefgh"
    new.mkdir()
    with temporary():
        assert new.exists()


def test_a_link_is_not_followed(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    somebodys = tmp_path_factory.mktemp("somebodys")
    (somebodys / "file").touch()
    link = place / "watcher-git-linked"
    link.symlink_to(somebodys)
    os.utime(link, (0, 0), follow_symlinks=False)
    os.utime(somebodys, (0, 0))
    with temporary():
        assert [path.name for path in somebodys.iterdir()] == ["file"]
