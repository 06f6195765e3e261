"""Which objects are captured, and whether settings left one out (FORMAT.md section 3)."""

from typing import Any

import pytest

from watcher.objects.ref import APIResource
from watcher.objects.selection import LeftOut, Selection, is_terminating

EVERYTHING = Selection()


def resource(kind: str, group: str = "", *, namespaced: bool = True) -> APIResource:
    return APIResource(group, "v1", f"{kind.lower()}s", kind, namespaced)


CONFIG_MAP = resource("ConfigMap")
NAMESPACE = resource("Namespace", namespaced=False)
CLUSTER_ROLE = resource("ClusterRole", "rbac.authorization.k8s.io", namespaced=False)
ENDPOINTS = resource("Endpoints")
SLICE = resource("EndpointSlice", "discovery.k8s.io")


def item(name: str = "a", namespace: str = "myapp", **more: Any) -> dict[str, Any]:
    fields = ("labels", "annotations", "ownerReferences", "managedFields", "deletionTimestamp")
    metadata = {key: more.pop(key) for key in fields if key in more}
    if namespace:
        metadata["namespace"] = namespace
    return {"metadata": {"name": name, **metadata}, **more}


def test_by_default_everything_is_captured() -> None:
    assert EVERYTHING.left_out(CONFIG_MAP, item()) is None
    assert EVERYTHING.left_out(NAMESPACE, item(namespace="")) is None
    assert EVERYTHING.left_out(CLUSTER_ROLE, item(namespace="")) is None
    assert EVERYTHING.left_out(resource("Secret"), item(type="Opaque")) is None


def test_namespaces_are_chosen_by_patterns_and_excluding_wins() -> None:
    selection = Selection(include_namespaces=("team-*", "web"), exclude_namespaces=("team-x*",))
    chosen = [name for name in ("team-a", "web", "webb", "team-x1") if _selected(selection, name)]
    assert chosen == ["team-a", "web"]
    selection = Selection(exclude_namespaces=("kube-*",))
    assert [name for name in ("a", "kube-system") if _selected(selection, name)] == ["a"]


def _selected(selection: Selection, namespace: str) -> bool:
    left_out = selection.left_out(CONFIG_MAP, item(namespace=namespace))
    assert left_out in (None, LeftOut("namespace", by_settings=True))
    assert selection.namespace_selected(namespace) == (left_out is None)
    return left_out is None


def test_with_chosen_namespaces_only_their_own_objects_of_the_cluster_stay() -> None:
    selection = Selection(include_namespaces=("myapp",))
    assert selection.left_out(NAMESPACE, item("myapp", "")) is None
    assert selection.left_out(NAMESPACE, item("other", "")) == ("namespace", True)
    assert selection.left_out(CLUSTER_ROLE, item("a", "")) == ("cluster-scoped", True)
    selection = Selection(include_namespaces=("myapp",), include_cluster_scoped=True)
    assert selection.left_out(NAMESPACE, item("other", "")) is None
    assert selection.left_out(CLUSTER_ROLE, item("a", "")) is None


def test_excluding_namespaces_leaves_the_cluster_scoped_alone() -> None:
    selection = Selection(exclude_namespaces=("myapp",))
    assert selection.left_out(NAMESPACE, item("myapp", "")) is None
    assert selection.left_out(CLUSTER_ROLE, item("a", "")) is None


def test_objects_can_exclude_themselves() -> None:
    labelled = item(labels={"velero.io/exclude-from-backup": "true"})
    annotated = item(annotations={"watcher/exclude": "true"})
    assert EVERYTHING.left_out(CONFIG_MAP, labelled) == ("excluded-label", False)
    assert EVERYTHING.left_out(CONFIG_MAP, annotated) == ("excluded-annotation", False)
    labelled = item(labels={"velero.io/exclude-from-backup": "false"})
    assert EVERYTHING.left_out(CONFIG_MAP, labelled) is None


def test_an_object_can_exclude_itself_though_its_kind_is_named() -> None:
    selection = Selection(named=frozenset({("", "Pod")}))
    annotated = item(annotations={"watcher/exclude": "true"})
    assert selection.left_out(resource("Pod"), annotated) == ("excluded-annotation", False)


def test_what_settings_leave_out_is_held_even_if_it_excludes_itself() -> None:
    selection = Selection(exclude_namespaces=("myapp",))
    annotated = item(annotations={"watcher/exclude": "true"})
    assert selection.left_out(CONFIG_MAP, annotated) == ("namespace", True)


def test_owned_objects_are_left_out_on_request() -> None:
    owned = item(ownerReferences=[{"kind": "ReplicaSet", "name": "a"}])
    assert EVERYTHING.left_out(resource("Pod"), owned) is None
    assert Selection(exclude_owned=True).left_out(resource("Pod"), owned) == ("owned", True)
    assert Selection(exclude_owned=True).left_out(resource("Pod"), item()) is None


def test_all_secrets_are_left_out_on_request() -> None:
    selection = Selection(secrets_excluded=True)
    secret, other = resource("Secret"), resource("Secret", "example.com")
    assert selection.left_out(secret, item(type="Opaque")) == ("secrets-excluded", True)
    assert selection.left_out(other, item()) is None


MACHINE_MADE = [
    (resource("Pod"), item(annotations={"kubernetes.io/config.mirror": "x"}), "mirror-pod"),
    (resource("Secret"), item(type="kubernetes.io/service-account-token"), "secret-type"),
    (resource("Secret"), item(type="bootstrap.kubernetes.io/token"), "secret-type"),
    (
        ENDPOINTS,
        item(labels={"endpoints.kubernetes.io/managed-by": "endpoint-controller"}),
        "managed-endpoints",
    ),
    (
        ENDPOINTS,
        item(annotations={"endpoints.kubernetes.io/last-change-trigger-time": "x"}),
        "managed-endpoints",
    ),
    (
        ENDPOINTS,
        item(managedFields=[{"manager": "kube-controller-manager", "fieldsV1": {"f:subsets": {}}}]),
        "managed-endpoints",
    ),
    (
        SLICE,
        item(labels={"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}),
        "managed-endpoints",
    ),
    (
        SLICE,
        item(
            labels={
                "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io"
            }
        ),
        "managed-endpoints",
    ),
    (ENDPOINTS, item("kubernetes", "default"), "managed-endpoints"),
    (SLICE, item("kubernetes", "default"), "managed-endpoints"),
]


@pytest.mark.parametrize(("kind", "machine_made", "reason"), MACHINE_MADE)
def test_what_machines_make_is_left_out_unless_its_kind_is_named(
    kind: APIResource, machine_made: dict[str, Any], reason: str
) -> None:
    assert EVERYTHING.left_out(kind, machine_made) == (reason, False)
    named = Selection(named=frozenset({(kind.group, kind.kind)}))
    assert named.left_out(kind, machine_made) is None


HAND_MADE = [
    (ENDPOINTS, item()),
    (ENDPOINTS, item(managedFields=[{"manager": "kubectl", "fieldsV1": {"f:subsets": {}}}])),
    (SLICE, item(labels={"endpointslice.kubernetes.io/managed-by": "staff"})),
    (SLICE, item(labels={"kubernetes.io/service-name": "db"})),
    (ENDPOINTS, item("kubernetes", "myapp")),
    (resource("Pod"), item(annotations={"kubernetes.io/config.hash": "x"})),
]


@pytest.mark.parametrize(("kind", "hand_made"), HAND_MADE)
def test_hand_made_endpoints_and_ordinary_pods_are_captured(
    kind: APIResource, hand_made: dict[str, Any]
) -> None:
    assert EVERYTHING.left_out(kind, hand_made) is None


def test_an_object_with_a_deletion_timestamp_is_terminating() -> None:
    assert is_terminating(item(deletionTimestamp="2026-01-02T03:04:05Z"))
    assert not is_terminating(item())
