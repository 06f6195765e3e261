"""Settings changed in the mounted Secret while the watcher runs, swapped as the kubelet does it."""

import time
from pathlib import Path

import pytest

from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Bucket, Minio
from tests.e2e.oracle import wait_until_equal
from tests.e2e.process import until
from tests.e2e.scene import QUICK, Maps
from tests.e2e.watcher_process import command
from tests.mounted_secret import MountedSecret


class Settings:
    """Of a watcher: the keys, debounce and max-delay in the Secret, the rest around it."""

    def __init__(self, folder: Path, bucket: Bucket, minio: Minio) -> None:
        told = command(None, bucket, "policy", "s3")
        assert told.returncode == 0, told.stderr
        self._minio, self._policy = minio, told.stdout
        self.user = minio.new_user(self._policy)
        keys = {f"minio_{name}": value for name, value in self.user.items()}
        self.secret = MountedSecret(folder / "secret", **keys, **QUICK)
        self.around = {
            "minio_endpoint": bucket.endpoint,
            "minio_bucket": bucket.name,
            "secret_dir": str(self.secret.folder),
        }

    def rotate_keys(self) -> None:
        """New ones into the Secret; the old ones are worth nothing any more."""
        old, self.user = self.user, self._minio.new_user(self._policy)
        self.secret.change(**{f"minio_{name}": value for name, value in self.user.items()})
        self._minio.remove_user(old["access_key"])


@pytest.fixture
def settings(tmp_path: Path, bucket: Bucket, minio: Minio) -> Settings:
    return Settings(tmp_path, bucket, minio)


def test_keys_that_are_rotated_cost_no_change_and_no_new_start(
    bare_api: ControlPlane, bucket: Bucket, settings: Settings, start_watcher: StartWatcher
) -> None:
    watcher = start_watcher(bare_api.kubeconfig(), None, **settings.around)
    watcher.wait_ready()
    maps = Maps(bare_api.api())
    settings.rotate_keys()
    for number in range(40):
        maps.put(f"m-{number % 5}", str(number))
        time.sleep(0.5)
    until(lambda: "settings have changed, and are followed" in watcher.log, "new keys")
    wait_until_equal(bare_api.api(), bucket)
    assert settings.user["secret_key"] not in watcher.log
    assert watcher.terminate() == 0


def test_the_level_of_the_log_follows_and_anything_else_ends_the_process_in_order(
    bare_api: ControlPlane, bucket: Bucket, settings: Settings, start_watcher: StartWatcher
) -> None:
    maps = Maps(bare_api.api())
    watcher = start_watcher(bare_api.kubeconfig(), None, **settings.around)
    watcher.wait_ready()
    settings.secret.change(log_level="debug")
    until(lambda: "settings have changed, and are followed" in watcher.log, "level", timeout=40)
    settings.secret.change(debounce="soon")
    until(lambda: "the old ones stay in use" in watcher.log, "complaint", timeout=40)
    settings.secret.change(debounce="200ms")
    maps.put("last", "1")
    assert watcher.wait(40) == 0
    assert "settings have changed: ending, to begin anew with them" in watcher.log
    assert "pending=0" in watcher.log.splitlines()[-1]
    wait_until_equal(bare_api.api(), bucket)
    again = start_watcher(bare_api.kubeconfig(), None, **settings.around)
    again.wait_ready()
