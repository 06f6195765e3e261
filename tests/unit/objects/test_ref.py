"""Identity survives API upgrades (FORMAT.md section 1)."""

import pytest

from watcher.objects.ref import FROZEN_GROUPS, canonical_group


@pytest.mark.parametrize(
    ("group", "resource", "canonical"),
    [
        ("", "events", "events.k8s.io"),
        ("events.k8s.io", "events", "events.k8s.io"),
        ("extensions", "deployments", "apps"),
        ("extensions", "daemonsets", "apps"),
        ("extensions", "replicasets", "apps"),
        ("extensions", "ingresses", "networking.k8s.io"),
        ("extensions", "networkpolicies", "networking.k8s.io"),
        ("extensions", "podsecuritypolicies", "policy"),
        ("authorization.openshift.io", "roles", "rbac.authorization.k8s.io"),
        ("authorization.openshift.io", "rolebindings", "rbac.authorization.k8s.io"),
        ("authorization.openshift.io", "clusterroles", "rbac.authorization.k8s.io"),
        ("authorization.openshift.io", "clusterrolebindings", "rbac.authorization.k8s.io"),
        ("authorization.openshift.io", "rolebindingrestrictions", "authorization.openshift.io"),
        ("", "pods", ""),
        ("apps", "deployments", "apps"),
        ("example.com", "events", "example.com"),
        ("example.com", "deployments", "example.com"),
    ],
)
def test_an_object_served_twice_has_one_group(group: str, resource: str, canonical: str) -> None:
    assert canonical_group(group, resource) == canonical


def test_the_frozen_list_is_frozen() -> None:
    """A change here moves everybody's files: it takes a new format."""
    assert sorted(FROZEN_GROUPS) == [
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    ]
