"""Bad input that only a real cluster or a real MinIO can refuse, on the program as users run it.

tests/unit/test_bad_input.py has all that needs neither.
"""

from dataclasses import replace

import pytest

from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Bucket
from tests.e2e.process import until
from tests.e2e.watcher_process import Watcher


def complaint(watcher: Watcher) -> str:
    """The one line of a run that failed."""
    assert watcher.wait() == 1
    (line,) = watcher.log.splitlines()
    assert line.startswith("watcher: ")
    return line


@pytest.mark.parametrize(
    ("wrong", "setting"),
    [
        ({"name": "no-such-bucket"}, "minio-bucket"),
        ({"access_key": "nobody"}, "minio-access-key"),
        ({"secret_key": "hush-do-not-tell"}, "minio-secret-key"),
        ({"endpoint": "http://127.0.0.1:1"}, "minio-endpoint"),
    ],
)
def test_once_names_the_setting_that_keeps_it_out_of_the_bucket(
    wrong: dict[str, str],
    setting: str,
    control_plane: ControlPlane,
    bucket: Bucket,
    start_watcher: StartWatcher,
) -> None:
    watcher = start_watcher(control_plane.kubeconfig(), replace(bucket, **wrong), "run", "--once")
    line = complaint(watcher)
    assert f"setting {setting}" in line
    assert bucket.secret_key not in line
    assert "hush" not in line


@pytest.mark.parametrize("folder", ["/dev/null/backup", "/proc/backup"])
def test_once_names_the_folder_that_cannot_be_written(
    folder: str, control_plane: ControlPlane, start_watcher: StartWatcher
) -> None:
    kubeconfig = control_plane.kubeconfig()
    watcher = start_watcher(kubeconfig, None, "run", "--once", minio_bucket=f"file://{folder}")
    assert folder in complaint(watcher)


def test_once_says_that_the_cluster_refuses_us(
    control_plane: ControlPlane, bucket: Bucket, start_watcher: StartWatcher
) -> None:
    known = control_plane.kubeconfig()
    kubeconfig = known.with_name("stranger.kubeconfig")
    kubeconfig.write_text(known.read_text().replace('"token": "', '"token": "x'))
    watcher = start_watcher(kubeconfig, bucket, "run", "--once")
    assert "401" in complaint(watcher)
    assert bucket.keys() == []


def test_run_waits_for_an_api_server_that_cannot_be_reached(
    control_plane: ControlPlane, bucket: Bucket, start_watcher: StartWatcher
) -> None:
    kubeconfig = control_plane.kubeconfig(server="http://127.0.0.1:1")
    watcher = start_watcher(kubeconfig, bucket)
    until(lambda: "cannot reach the API server" in watcher.log, "complaint", timeout=60)
    assert watcher.status("/livez") == 200
    assert watcher.status("/readyz") == 503
    assert watcher.terminate() == 0
    lines = watcher.log.splitlines()
    assert [line.count("level=warning") for line in lines] == [1], lines


def test_run_waits_for_a_bucket_that_is_made_later(
    control_plane: ControlPlane, bucket: Bucket, start_watcher: StartWatcher
) -> None:
    late = replace(bucket, name=f"{bucket.name}-late")
    watcher = start_watcher(control_plane.kubeconfig(), late)
    until(lambda: "setting minio-bucket" in watcher.log, "complaint", timeout=60)
    assert watcher.status("/readyz") == 503
    late.client().make_bucket(late.name)
    watcher.wait_ready()
    assert watcher.terminate() == 0
