"""Who an object is to us: an identity that survives API upgrades and re-creation.

Exists because the backup outlives versions and uids, so neither may be part of a name. Promises:
the frozen lists below never change, or stored paths would (FORMAT.md section 1).
"""

from typing import NamedTuple


class APIResource(NamedTuple):
    """A kind as discovery names it."""

    group: str  # "" for core
    version: str
    resource: str  # plural: "deployments"
    kind: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()
    singular: str = ""
    short_names: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def label(self) -> str:
        """kubectl's words for it, and metrics' label `resource`: `pods`, `deployments.apps`."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def path(self) -> str:
        """Where the API server lists it."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/{self.resource}"


class ObjectRef(NamedTuple):
    """Identity of an object. `group` is canonical (see `canonical_group`)."""

    group: str
    kind: str
    namespace: str  # "" for cluster-scoped
    name: str


FROZEN_GROUPS: frozenset[str] = frozenset(
    (
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
    )
)
"""The groups whose kinds stand in a key without their group."""

# (group, resource) as served -> the group under which the one object behind both is stored.
_ALIASES: dict[tuple[str, str], str] = {
    ("", "events"): "events.k8s.io",
    ("extensions", "daemonsets"): "apps",
    ("extensions", "deployments"): "apps",
    ("extensions", "replicasets"): "apps",
    ("extensions", "ingresses"): "networking.k8s.io",
    ("extensions", "networkpolicies"): "networking.k8s.io",
    ("extensions", "podsecuritypolicies"): "policy",
    ("authorization.openshift.io", "clusterrolebindings"): "rbac.authorization.k8s.io",
    ("authorization.openshift.io", "clusterroles"): "rbac.authorization.k8s.io",
    ("authorization.openshift.io", "rolebindings"): "rbac.authorization.k8s.io",
    ("authorization.openshift.io", "roles"): "rbac.authorization.k8s.io",
}


def canonical_group(group: str, resource: str) -> str:
    """The group that stands for an object in refs and keys, whichever group served it.

    resource: the plural, as discovery names it.
    """
    return _ALIASES.get((group, resource), group)
