"""Which objects are captured, and why one is not.

Exists so that the rule is asked in one place, per object and without I/O; the kinds to watch are
chosen in `cluster/`. Promises (FORMAT.md section 3): says of every object left out whether only a
change of settings can have made it leave, for then its file is held instead of removed.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from watcher.objects.ref import APIResource, canonical_group

DEFAULT_EXCLUDED_KINDS: frozenset[tuple[str, str]] = frozenset(
    (
        ("apps", "ControllerRevision"),
        ("certificates.k8s.io", "CertificateSigningRequest"),
        ("coordination.k8s.io", "Lease"),
        ("events.k8s.io", "Event"),
        ("internal.apiserver.k8s.io", "StorageVersion"),
        ("networking.k8s.io", "IPAddress"),
        ("resource.k8s.io", "ResourceSlice"),
        ("storage.k8s.io", "CSINode"),
        ("storage.k8s.io", "CSIStorageCapacity"),
        ("storage.k8s.io", "VolumeAttachment"),
    )
)
"""(canonical group, kind) of what is captured only when `include-kinds` names it."""

_SECRET_TYPES = frozenset(("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"))

# For Services that select Pods, and for copies of hand-made Endpoints.
_SLICE_CONTROLLERS = frozenset(
    ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")
)


class LeftOut(NamedTuple):
    """Why an object is not captured."""

    reason: str  # label of metric objects_skipped_total
    by_settings: bool  # the object cannot, or will hardly, have left by a change of its own


_NAMESPACE = LeftOut("namespace", by_settings=True)
_CLUSTER_SCOPED = LeftOut("cluster-scoped", by_settings=True)
_SECRETS_EXCLUDED = LeftOut("secrets-excluded", by_settings=True)
# An object may be adopted, but far more often somebody switched `exclude-owned` on: in doubt, hold.
_OWNED = LeftOut("owned", by_settings=True)
_EXCLUDED_LABEL = LeftOut("excluded-label", by_settings=False)
_EXCLUDED_ANNOTATION = LeftOut("excluded-annotation", by_settings=False)
_MIRROR_POD = LeftOut("mirror-pod", by_settings=False)
_SECRET_TYPE = LeftOut("secret-type", by_settings=False)
_MANAGED_ENDPOINTS = LeftOut("managed-endpoints", by_settings=False)


@dataclass(frozen=True, slots=True)
class Selection:
    """What settings say about single objects. Namespaces are patterns in which `*` stands for
    any characters; no include-pattern includes all."""

    include_namespaces: tuple[str, ...] = ()
    exclude_namespaces: tuple[str, ...] = ()
    include_cluster_scoped: bool = False
    exclude_owned: bool = False
    secrets_excluded: bool = False
    named: frozenset[tuple[str, str]] = frozenset()  # (canonical group, kind) in include-kinds

    def namespace_selected(self, namespace: str) -> bool:
        included = not self.include_namespaces or _matches(namespace, self.include_namespaces)
        return included and not _matches(namespace, self.exclude_namespaces)

    def left_out(self, resource: APIResource, item: dict[str, Any]) -> LeftOut | None:
        """Why this object, as the API server sent it, is not captured; None: it is.

        Settings are asked first: what they leave out is held, whatever the object says itself.
        """
        kind = (canonical_group(resource.group, resource.resource), resource.kind)
        return self._by_settings(kind, resource.namespaced, item) or self._by_itself(kind, item)

    def _by_settings(
        self, kind: tuple[str, str], namespaced: bool, item: dict[str, Any]
    ) -> LeftOut | None:
        metadata = item["metadata"]
        if namespaced:
            if not self.namespace_selected(metadata.get("namespace", "")):
                return _NAMESPACE
        elif self.include_namespaces and not self.include_cluster_scoped:
            if kind != ("", "Namespace"):
                return _CLUSTER_SCOPED
            if not self.namespace_selected(metadata["name"]):
                return _NAMESPACE
        if self.secrets_excluded and kind == ("", "Secret"):
            return _SECRETS_EXCLUDED
        if self.exclude_owned and metadata.get("ownerReferences"):
            return _OWNED
        return None

    def _by_itself(self, kind: tuple[str, str], item: dict[str, Any]) -> LeftOut | None:
        metadata = item["metadata"]
        labels = metadata.get("labels") or {}
        annotations = metadata.get("annotations") or {}
        if labels.get("velero.io/exclude-from-backup") == "true":
            return _EXCLUDED_LABEL
        if annotations.get("watcher/exclude") == "true":
            return _EXCLUDED_ANNOTATION
        if kind in self.named:
            return None
        match kind:
            case ("", "Pod") if "kubernetes.io/config.mirror" in annotations:
                return _MIRROR_POD
            case ("", "Secret") if item.get("type") in _SECRET_TYPES:
                return _SECRET_TYPE
            case ("", "Endpoints") if _endpoints_managed(metadata, labels, annotations):
                return _MANAGED_ENDPOINTS
            case ("discovery.k8s.io", "EndpointSlice") if _slice_managed(metadata, labels):
                return _MANAGED_ENDPOINTS
        return None


def is_terminating(item: dict[str, Any]) -> bool:
    """Whether the object is being deleted: then its file stays as it is until it is gone."""
    return bool(item["metadata"].get("deletionTimestamp"))


def _matches(namespace: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(namespace, pattern) for pattern in patterns)


def _endpoints_managed(
    metadata: dict[str, Any], labels: dict[str, str], annotations: dict[str, str]
) -> bool:
    return (
        labels.get("endpoints.kubernetes.io/managed-by") == "endpoint-controller"
        # Before Kubernetes 1.33 there was no label. Most have this annotation, and where one binary
        # is the whole control plane its manager has another name.
        or "endpoints.kubernetes.io/last-change-trigger-time" in annotations
        or any(
            entry.get("manager") == "kube-controller-manager"
            and "f:subsets" in (entry.get("fieldsV1") or {})
            for entry in metadata.get("managedFields") or ()
        )
        or _of_api_server(metadata)
    )


def _slice_managed(metadata: dict[str, Any], labels: dict[str, str]) -> bool:
    manager = labels.get("endpointslice.kubernetes.io/managed-by")
    return manager in _SLICE_CONTROLLERS or _of_api_server(metadata)


def _of_api_server(metadata: dict[str, Any]) -> bool:
    """The API server's own addresses, which it maintains without a label."""
    return metadata["name"] == "kubernetes" and metadata.get("namespace") == "default"
