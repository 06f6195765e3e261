"""Settings that change while a service runs: what is followed, what needs a new start, what is not
believed. The Secret is mounted as the kubelet does it: a link to a folder, swapped in one step."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest

from tests.memory_store import MemoryStore
from watcher.cli.changes import Changes, changed
from watcher.cli.options import load_settings
from watcher.logs import Threshold, open_log
from watcher.settings import SETTINGS

pytestmark = pytest.mark.looptime

NAMES = [setting.field for setting in SETTINGS]


class Keys(MemoryStore):
    used: tuple[str, str] = ("", "")

    async def use_keys(self, access_key: str, secret_key: str) -> None:
        self.used = (access_key, secret_key)


class Mounted:
    """A Secret as the kubelet mounts it, and a service that runs with it."""

    def __init__(self, folder: Path, **flags: str) -> None:
        self.folder = folder / "secret"
        self.folder.mkdir()
        self._versions = 0
        self.content = {
            "cluster-domain": "example.com",
            "cluster-name": "east",
            "minio-bucket": "backups",
            "minio-access-key": "old-access",
            "minio-secret-key": "marked-old",
        }
        self.change()
        given = {"secret_dir": str(self.folder), **flags}
        self.flags = {name: given.get(name) for name in NAMES}
        self.settings = load_settings(self.flags)
        self.store = Keys()
        self.threshold = Threshold(self.settings.log_level)
        self.logged = StringIO()
        self.stop = asyncio.Event()

    def change(self, **values: str | None) -> None:
        """None removes a key."""
        for field, value in values.items():
            name = field.replace("_", "-")
            self.content.pop(name, None)
            if value is not None:
                self.content[name] = value
        self._versions += 1
        data = self.folder / f"..{self._versions}"
        data.mkdir()
        for name, value in self.content.items():
            (data / name).write_text(value)
        link = self.folder / "..data_tmp"
        link.symlink_to(data.name)
        link.rename(self.folder / "..data")
        for path in self.folder.iterdir():
            if not path.name.startswith("..") and path.name not in self.content:
                path.unlink()
        for name in self.content:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        log = open_log(self.logged, "logfmt", self.threshold, self.settings_time)
        changes = Changes(self.settings, self.flags, self.threshold, self.stop, log)
        async with changes.heeded(self.store):
            await asyncio.sleep(60)
            yield

    @staticmethod
    def settings_time() -> datetime:
        return datetime.fromtimestamp(0, UTC)

    def said(self) -> list[str]:
        return self.logged.getvalue().splitlines()


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mounted:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    return Mounted(tmp_path)


async def test_new_keys_are_used_without_a_new_start(mounted: Mounted) -> None:
    async with mounted.running():
        mounted.change(minio_access_key="new-access", minio_secret_key="marked-new")
        await asyncio.sleep(60)
    assert mounted.store.used == ("new-access", "marked-new")
    assert not mounted.stop.is_set()
    [line] = mounted.said()
    assert 'event="settings have changed, and are followed"' in line
    assert "minio-access-key" in line
    assert "marked" not in line


async def test_the_level_of_the_log_is_followed(mounted: Mounted) -> None:
    async with mounted.running():
        mounted.change(log_level="debug")
        await asyncio.sleep(60)
        levels = [mounted.threshold.level]
        mounted.change(log_level=None)
        await asyncio.sleep(60)
        levels.append(mounted.threshold.level)
    assert levels == ["debug", "info"]
    assert not mounted.stop.is_set()


async def test_of_anything_else_the_process_says_what_and_ends_to_begin_anew(
    mounted: Mounted,
) -> None:
    async with mounted.running():
        mounted.change(debounce="5s", fingerprint_key="marked-new-0123456789", log_level="debug")
        await asyncio.sleep(60)
        assert mounted.stop.is_set()
    [line] = mounted.said()
    assert "settings have changed: ending, to begin anew with them" in line
    assert "debounce" in line
    assert "fingerprint-key" in line
    assert "marked" not in line


async def test_where_nothing_changed_nothing_happens(mounted: Mounted) -> None:
    async with mounted.running():
        mounted.change()
        await asyncio.sleep(600)
    assert mounted.said() == []
    assert not mounted.stop.is_set()


async def test_wrong_settings_are_said_once_and_change_nothing(mounted: Mounted) -> None:
    async with mounted.running():
        mounted.change(debounce="soon", minio_secret_key="marked-new")
        await asyncio.sleep(600)
        assert not mounted.stop.is_set()
        assert mounted.store.used == ("", "")
        [line] = mounted.said()
        assert "changed settings are wrong: the old ones stay in use" in line
        assert "debounce 'soon' from file" in line
        mounted.change(debounce=None)
        await asyncio.sleep(60)
    assert mounted.store.used == ("old-access", "marked-new")


async def test_a_secret_that_is_gone_for_a_while_changes_nothing(mounted: Mounted) -> None:
    async with mounted.running():
        mounted.folder.rename(mounted.folder.with_name("away"))
        await asyncio.sleep(60)
        mounted.folder.with_name("away").rename(mounted.folder)
        await asyncio.sleep(60)
    assert not mounted.stop.is_set()
    assert len(mounted.said()) == 1


async def test_a_flag_outranks_the_secret_then_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.setenv("MAX_DELAY", "20s")
    mounted = Mounted(tmp_path, debounce="3s")
    async with mounted.running():
        mounted.change(debounce="5s", max_delay="30s")
        await asyncio.sleep(60)
    assert not mounted.stop.is_set()


async def test_settings_of_another_command_are_not_ours(mounted: Mounted) -> None:
    del mounted.flags["git_branch"]
    async with mounted.running():
        mounted.change(git_branch="other")
        await asyncio.sleep(60)
    assert not mounted.stop.is_set()


def test_what_has_changed_is_told_in_the_order_of_the_table(mounted: Mounted) -> None:
    before = mounted.settings
    mounted.change(debounce="5s", cluster_name="west", minio_secret_key="marked-new")
    after = load_settings(mounted.flags)
    names = [setting.name for setting in SETTINGS]
    assert changed(before, after, names) == ["cluster-name", "minio-secret-key", "debounce"]
    assert changed(before, after, ["log-level"]) == []
