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
from tests.mounted_secret import MountedSecret
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


class Service:
    """One that runs with a Secret that is service."""

    def __init__(self, folder: Path, **flags: str) -> None:
        self.secret = MountedSecret(
            folder / "secret",
            cluster_domain="example.com",
            cluster_name="east",
            minio_bucket="backups",
            minio_access_key="old-access",
            minio_secret_key="marked-old",
        )
        given = {"secret_dir": str(self.secret.folder), **flags}
        self.flags = {name: given.get(name) for name in NAMES}
        self.settings = load_settings(self.flags)
        self.store = Keys()
        self.threshold = Threshold(self.settings.log_level)
        self.logged = StringIO()
        self.stop = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        now = datetime.fromtimestamp(0, UTC)
        log = open_log(self.logged, "logfmt", self.threshold, lambda: now)
        changes = Changes(self.settings, self.flags, self.threshold, self.stop, log)
        async with changes.heeded(self.store):
            await asyncio.sleep(60)
            yield

    def said(self) -> list[str]:
        return self.logged.getvalue().splitlines()


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    return Service(tmp_path)


async def test_new_keys_are_used_without_a_new_start(service: Service) -> None:
    async with service.running():
        service.secret.change(minio_access_key="new-access", minio_secret_key="marked-new")
        await asyncio.sleep(60)
    assert service.store.used == ("new-access", "marked-new")
    assert not service.stop.is_set()
    [line] = service.said()
    assert 'event="settings have changed, and are followed"' in line
    assert "minio-access-key" in line
    assert "marked" not in line


async def test_the_level_of_the_log_is_followed(service: Service) -> None:
    async with service.running():
        service.secret.change(log_level="debug")
        await asyncio.sleep(60)
        levels = [service.threshold.level]
        service.secret.change(log_level=None)
        await asyncio.sleep(60)
        levels.append(service.threshold.level)
    assert levels == ["debug", "info"]
    assert not service.stop.is_set()


async def test_of_anything_else_the_process_says_what_and_ends_to_begin_anew(
    service: Service,
) -> None:
    async with service.running():
        service.secret.change(
            debounce="5s", fingerprint_key="marked-new-0123456789", log_level="debug"
        )
        await asyncio.sleep(60)
        assert service.stop.is_set()
    [line] = service.said()
    assert "settings have changed: ending, to begin anew with them" in line
    assert "debounce" in line
    assert "fingerprint-key" in line
    assert "marked" not in line


async def test_where_nothing_changed_nothing_happens(service: Service) -> None:
    async with service.running():
        service.secret.change()
        await asyncio.sleep(600)
    assert service.said() == []
    assert not service.stop.is_set()


async def test_wrong_settings_are_said_once_and_change_nothing(service: Service) -> None:
    async with service.running():
        service.secret.change(debounce="soon", minio_secret_key="marked-new")
        await asyncio.sleep(600)
        assert not service.stop.is_set()
        assert service.store.used == ("", "")
        [line] = service.said()
        assert "changed settings are wrong: the old ones stay in use" in line
        assert "debounce 'soon' from file" in line
        service.secret.change(debounce=None)
        await asyncio.sleep(60)
    assert service.store.used == ("old-access", "marked-new")


async def test_a_secret_that_is_gone_for_a_while_changes_nothing(service: Service) -> None:
    async with service.running():
        service.secret.folder.rename(service.secret.folder.with_name("away"))
        await asyncio.sleep(60)
        service.secret.folder.with_name("away").rename(service.secret.folder)
        await asyncio.sleep(60)
    assert not service.stop.is_set()
    assert len(service.said()) == 1


async def test_a_flag_outranks_the_secret_then_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.setenv("MAX_DELAY", "20s")
    service = Service(tmp_path, debounce="3s")
    async with service.running():
        service.secret.change(debounce="5s", max_delay="30s")
        await asyncio.sleep(60)
    assert not service.stop.is_set()


async def test_settings_of_another_command_are_not_ours(service: Service) -> None:
    del service.flags["git_branch"]
    async with service.running():
        service.secret.change(git_branch="other")
        await asyncio.sleep(60)
    assert not service.stop.is_set()


def test_what_has_changed_is_told_in_the_order_of_the_table(service: Service) -> None:
    before = service.settings
    service.secret.change(debounce="5s", cluster_name="west", minio_secret_key="marked-new")
    after = load_settings(service.flags)
    names = [setting.name for setting in SETTINGS]
    assert changed(before, after, names) == ["cluster-name", "minio-secret-key", "debounce"]
    assert changed(before, after, ["log-level"]) == []
