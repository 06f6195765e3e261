"""Fixtures of the end-to-end tests: the real parts, each started once a run where it can be shared.

Every test in this folder is marked `e2e`. A test that fails shows the ends of the logs of every
part among its fixtures. `ROUNDS` sets how often long repetitions repeat.
"""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest

from tests.e2e.control_plane import ControlPlane
from tests.e2e.fill import fill
from tests.e2e.fleet import Fleet, fleet_of
from tests.e2e.git_host import GitHost
from tests.e2e.minio import Bucket, Minio
from tests.e2e.mirror import Mirror
from tests.e2e.pod import install
from tests.e2e.proxy import Proxy
from tests.e2e.watcher_process import Watcher, running

HERE = Path(__file__).parent


class StartWatcher(Protocol):
    def __call__(
        self, kubeconfig: Path, bucket: Bucket | None, *arguments: str, **settings: str
    ) -> Watcher: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("e2e")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        parts = getattr(item, "funcargs", {}).values()
        ends = {it.log: it.tail() for part in parts for it in getattr(part, "processes", ())}
        report.sections += [(f"end of {log}", tail) for log, tail in ends.items()]
    return report


@pytest.fixture(scope="session")
def rounds() -> int:
    """How often a long repetition repeats: a few in CI, more by hand."""
    return int(os.environ.get("ROUNDS", "3"))


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder for the parts of the whole run. Gone afterwards: it may hold gigabytes."""
    with TemporaryDirectory(prefix="watcher-e2e-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def minio(scratch: Path) -> Iterator[Minio]:
    server = Minio(scratch / "minio")
    yield server
    server.kill()


@pytest.fixture
def own_minio() -> Iterator[Minio]:
    """A server of this test alone, to be stopped, killed and frozen: the shared one never is."""
    with TemporaryDirectory(prefix="watcher-e2e-") as folder:
        server = Minio(Path(folder))
        yield server
        server.kill()


@pytest.fixture
def bucket(minio: Minio) -> Bucket:
    """An empty bucket of this test alone."""
    return minio.new_bucket()


@pytest.fixture
def git_host(tmp_path: Path) -> Iterator[GitHost]:
    """A host of this test alone, with one empty repository."""
    host = GitHost(tmp_path / "git-host")
    yield host
    host.stop()


@pytest.fixture
def mirror(bucket: Bucket, git_host: GitHost) -> Mirror:
    """From an empty bucket to an empty repository."""
    return Mirror(bucket, git_host)


@pytest.fixture(scope="session")
def installed(scratch: Path) -> Path:
    """The program as in the image."""
    return install(scratch / "image")


@pytest.fixture(scope="session")
def control_plane(scratch: Path) -> Iterator[ControlPlane]:
    """A whole control plane with running nodes, shared: tests keep to namespaces of their own."""
    plane = ControlPlane(scratch / "control-plane", controllers=True)
    yield plane
    plane.close()


@pytest.fixture
def new_control_plane(tmp_path: Path) -> Iterator[Callable[..., ControlPlane]]:
    """Starts a control plane for one test, to be broken or emptied at will: see ControlPlane."""
    with ExitStack() as started, TemporaryDirectory(prefix="watcher-e2e-") as folder:

        def start(*, controllers: bool = False) -> ControlPlane:
            number = len(list(Path(folder).iterdir()))
            plane = ControlPlane(Path(folder, str(number)), controllers=controllers)
            started.callback(plane.close)
            return plane

        yield start


@pytest.fixture
def bare_api(new_control_plane: Callable[..., ControlPlane]) -> ControlPlane:
    """etcd and an API server of this test alone; nothing happens there by itself."""
    return new_control_plane()


@pytest.fixture(scope="session")
def fleet_plane(scratch: Path) -> Iterator[ControlPlane]:
    """Filled for the three clusters of a fleet, shared."""
    plane = ControlPlane(scratch / "fleet")
    fill(plane, namespaces=3)
    yield plane
    plane.close()


@pytest.fixture(scope="session")
def fleet(fleet_plane: ControlPlane, minio: Minio, scratch: Path) -> Iterator[Fleet]:
    """Three clusters in one bucket, shared: what tests of a mirror change stays."""
    with fleet_of(fleet_plane, minio.new_bucket(), scratch / "watchers") as found:
        yield found


@pytest.fixture
def start_watcher(tmp_path: Path) -> Iterator[StartWatcher]:
    """Starts `watcher run` (or the command given); see Watcher. One log over all starts."""
    with ExitStack() as started:

        def start(
            kubeconfig: Path, bucket: Bucket | None, *arguments: str, **settings: str
        ) -> Watcher:
            watcher = running(tmp_path, kubeconfig, bucket, *arguments, settings=settings)
            return started.enter_context(watcher)

        yield start


@pytest.fixture
def s3_proxy(minio: Minio) -> Iterator[Proxy]:
    """In front of MinIO: give `bucket.at(s3_proxy.url)` to whom it shall hit."""
    proxy = Proxy(minio.endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def proxy_of() -> Iterator[Callable[[ControlPlane], Proxy]]:
    """Puts a proxy in front of an API server: use `plane.kubeconfig(server=proxy.url)`."""
    with ExitStack() as started:

        def start(plane: ControlPlane) -> Proxy:
            proxy = Proxy(plane.url, certificate=plane.ca_file)
            started.callback(proxy.close)
            return proxy

        yield start
