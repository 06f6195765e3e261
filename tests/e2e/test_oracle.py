"""The judge of the end-to-end tests can say no: each kind of damage is found and named."""

from copy import deepcopy
from typing import Any

import pytest

from tests.e2e import oracle, parsers
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fill import fill
from tests.e2e.minio import Bucket
from tests.e2e.population import cluster_wide, namespace
from tests.e2e.removals import complaints
from tests.e2e.watcher_process import PREFIX

Object = dict[str, Any]

LIVE: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "5f1c",
        "finalizers": ["example.com/mine", "orphan"],
        "annotations": {"kubernetes.io/config.hash": "1", "mine": "kept"},
    },
    "spec": {
        "nodeName": "node-1",
        "containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}],
        "volumes": [{"name": "kube-api-access-abcde"}, {"name": "data", "emptyDir": {}}],
    },
    "status": {"phase": "Running"},
}
STORED: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "finalizers": ["example.com/mine"],
        "annotations": {"mine": "kept"},
    },
    "spec": {
        "containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}],
        "volumes": [{"name": "data", "emptyDir": {}}],
    },
}


def damaged(*path: str | int, value: object = None) -> Object:
    """The stored object with one place changed; without a value: removed."""
    changed = deepcopy(STORED)
    parent: Any = changed
    for step in path[:-1]:
        parent = parent[step]
    if value is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return changed


def test_a_file_that_lost_only_what_the_server_owns_is_right() -> None:
    assert list(complaints(LIVE, STORED)) == []


@pytest.mark.parametrize(
    "stored",
    [
        damaged("spec"),
        damaged("spec", "containers", 0),
        damaged("spec", "containers", 1, "image"),
        damaged("spec", "containers", 0, "image", value="a:2"),
        damaged("spec", "volumes"),
        damaged("spec", "volumes", 0, "emptyDir"),
        damaged("metadata", "annotations", "mine"),
        damaged("metadata", "finalizers", 0),
        damaged("metadata", "labels", value={"added": "by nobody"}),
        damaged("spec", "nodeName", value="node-1"),
        damaged("status", value={"phase": "Running"}),
    ],
)
def test_a_file_that_lost_gained_or_kept_too_much_is_named(stored: Object) -> None:
    assert list(complaints(LIVE, stored))


def test_an_unredacted_secret_is_named() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a"},
        "data": {"k": "eA=="},
    }
    assert list(complaints(secret, secret)) == ["data.k: not redacted"]
    assert not list(complaints(secret, {**secret, "data": {"k": "<redacted>"}}))


def test_a_number_may_change_its_spelling_but_not_its_value_or_type() -> None:
    live = {
        "apiVersion": "example.com/v1",
        "kind": "A",
        "metadata": {"name": "a"},
        "spec": [1, 1.5],
    }
    assert not list(complaints(live, {**live, "spec": [1.0, 1.5]}))
    assert list(complaints(live, {**live, "spec": [True, 1.5]}))
    assert list(complaints(live, {**live, "spec": ["1", 1.5]}))


def test_the_population_is_the_same_for_the_same_seed() -> None:
    assert list(cluster_wide(7)) == list(cluster_wide(7))
    assert list(namespace(7, 3)) == list(namespace(7, 3))
    assert list(namespace(7, 3)) != list(namespace(8, 3))


def test_a_bucket_is_judged_by_every_key_and_every_byte(
    bare_api: ControlPlane, bucket: Bucket
) -> None:
    fill(bare_api, namespaces=1)
    api = bare_api.api()
    wanted = oracle.expected(api)
    assert list(oracle.faults(wanted)) == []
    assert list(parsers.disagreements(bare_api, {k: e.file for k, e in wanted.items()})) == []
    for key, one in wanted.items():
        bucket.write(key, one.file)
    bucket.write(f"{PREFIX}_meta/owner.json", b"{}")
    assert oracle.differences(api, bucket) == []

    changed, lost = sorted(wanted)[:2]
    stray = f"{PREFIX}shop/pod/stray.yaml"
    bucket.write(changed, wanted[changed].file + b"\n")
    bucket.remove(lost)
    bucket.write(stray, b"")
    assert oracle.differences(api, bucket) == [
        f"missing: {lost}",
        f"left over: {stray}",
        f"other bytes: {changed}",
    ]
