"""Under `watcher policy rbac`, on a real API server with RBAC: all is captured, nothing is refused.

What the API server answers is seen at a proxy: no 403, whatever the settings leave out.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.api import APIError
from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fill import fill
from tests.e2e.minio import Bucket
from tests.e2e.oracle import expected
from tests.e2e.proxy import Proxy
from tests.e2e.watcher_process import PREFIX, command

ProxyOf = Callable[[ControlPlane], Proxy]


@pytest.fixture(scope="module")
def plane(scratch: Path) -> Iterator[ControlPlane]:
    """Some 250 objects of many kinds, CRDs too, and a user `reader` with no rights yet."""
    started = ControlPlane(scratch / "cluster-rights")
    try:
        fill(started, namespaces=1)
        yield started
    finally:
        started.close()


def kind(key: str) -> str:
    return key.removeprefix(PREFIX).split("/")[1]


def give_role(plane: ControlPlane, bucket: Bucket, **settings: str) -> None:
    """What `watcher policy rbac` says, asked for by the reader itself: discovery is everybody's."""
    told = command(plane.kubeconfig("reader"), bucket, "policy", "rbac", **settings)
    assert (told.returncode, told.stderr) == (0, "")
    plane.grant("reader", *yaml.safe_load(told.stdout)["rules"])


def refused(proxy: Proxy) -> list[str]:
    return [f"{it.method} {it.path}" for it in proxy.requests if it.status in (401, 403)]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, lambda key: True),
        ({"exclude_kinds": "secrets,*.rbac.authorization.k8s.io"}, lambda key: kind(key)
            not in ("secret", "role", "rolebinding", "clusterrole", "clusterrolebinding")),
        ({"include_kinds": "cm,certificates.cert-manager.io,crd"}, lambda key: kind(key)
            in ("configmap", "certificate.cert-manager.io", "customresourcedefinition")),
    ],
    ids=["wide", "excluded", "included"],
)  # fmt: skip
def test_who_has_only_that_role_captures_all_that_is_wanted(
    plane: ControlPlane,
    bucket: Bucket,
    proxy_of: ProxyOf,
    settings: dict[str, str],
    wanted: Callable[[str], bool],
) -> None:
    give_role(plane, bucket, **settings)
    proxy = proxy_of(plane)
    kubeconfig = plane.kubeconfig("reader", server=proxy.url)
    for arguments in (("run", "--once"), ("reconcile",)):
        done = command(kubeconfig, bucket, *arguments, **settings)
        assert done.returncode == 0, done.stderr
        assert "forbidden" not in done.stderr
    keys = {key for key in expected(plane.api()) if wanted(key)}
    stored = {key for key in bucket.keys(PREFIX) if not key.startswith(f"{PREFIX}_meta/")}
    assert stored == keys
    assert len({kind(key) for key in keys}) > 2
    assert refused(proxy) == []
    assert {seen.method for seen in proxy.requests} == {"GET"}


def test_the_role_gives_no_more_than_list_and_watch_of_what_is_wanted(
    plane: ControlPlane, bucket: Bucket
) -> None:
    reader = plane.api("reader")

    def is_refused(path: str) -> bool:
        try:
            reader.get(path)
        except APIError as error:
            return error.status == 403
        return False

    give_role(plane, bucket)
    assert not is_refused("/api/v1/secrets")
    assert is_refused("/api/v1/namespaces/default")
    assert is_refused("/api/v1/nodes/node-0/proxy/metrics")
    give_role(plane, bucket, exclude_kinds="secrets")
    assert not is_refused("/api/v1/configmaps")
    assert is_refused("/api/v1/secrets")


def test_a_service_under_a_narrowed_role_is_ready_and_follows_without_a_complaint(
    plane: ControlPlane, bucket: Bucket, proxy_of: ProxyOf, start_watcher: StartWatcher
) -> None:
    settings = {"include_kinds": "configmaps", "debounce": "100ms"}
    give_role(plane, bucket, **settings)
    proxy = proxy_of(plane)
    watcher = start_watcher(plane.kubeconfig("reader", server=proxy.url), bucket, **settings)
    watcher.wait_ready()
    assert watcher.terminate() == 0
    assert "fails" not in watcher.log
    assert refused(proxy) == []
