"""From an object as the API server sends it to what is stored of it.

Exists so that only what a person or a controller wants shows up in the backup, and a change of
anything else costs nothing. Promises (FORMAT.md section 3): a deny-list; what no rule names is
kept as it is; cleaning a cleaned object changes nothing. The rules are compiled once a kind, for
this runs on every event of the cluster: it works in place and makes no copies.
"""

from collections.abc import Callable
from typing import Any

from watcher.objects.content import Content, Origin, canonical_json, comment_json, fingerprint
from watcher.objects.injected import strip_job, strip_pod, strip_service
from watcher.objects.prune import Removals
from watcher.objects.ref import APIResource, canonical_group
from watcher.objects.rules import Rules, load_rules
from watcher.objects.secrets import SecretPolicy

__all__ = ["Clean", "Cleaner", "Rules", "load_rules", "origin"]

Object = dict[str, Any]
Clean = Callable[[Object], Content]

_NO_ORIGIN: dict[str, str] = {}
_TIMESTAMP = b'"creationTimestamp":'


class Cleaner:
    """Cleaning as the settings of one cluster want it."""

    def __init__(self, rules: Rules, secrets: SecretPolicy) -> None:
        self._rules = rules
        self._secrets = secrets

    def for_resource(self, resource: APIResource) -> Clean:
        """The function that cleans objects of one kind.

        It consumes a freshly parsed object: items of lists, which lack kind and apiVersion, too.
        """
        group = canonical_group(resource.group, resource.resource)
        removals = _compile(self._rules, group, resource.kind)
        strip: Callable[[Object], None] | None = {
            ("", "Pod"): strip_pod,
            ("", "Secret"): self._secrets.apply,
            ("", "Service"): strip_service,
            ("batch", "Job"): strip_job,
        }.get((group, resource.kind))
        finished = {("", "Pod"): _pod_finished, ("batch", "Job"): _job_finished}.get(
            (group, resource.kind)
        )
        api_version, kind = resource.api_version, resource.kind

        def clean(item: Object) -> Content:
            item.setdefault("apiVersion", api_version)
            item.setdefault("kind", kind)
            header = _owners(item)
            if finished is not None:
                header += finished(item)
            if strip is not None:
                strip(item)
            removals.apply(item)
            body = canonical_json(item)
            if _TIMESTAMP in body:
                _drop_empty_timestamps(item)
                body = canonical_json(item)
            return Content(header, body, fingerprint(header, body))

        return clean


def origin(item: Object) -> Origin:
    """Which version this is and who made it; call before cleaning.

    Of the managedFields entries the newest counts, those of the status aside: the status is not
    stored, and nearly always newer.
    """
    metadata = item["metadata"]
    entries = [
        entry
        for entry in metadata.get("managedFields") or ()
        if entry.get("subresource") != "status"
    ]
    newest = max(entries, key=lambda entry: entry.get("time") or "", default=_NO_ORIGIN)
    return Origin(
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        manager=newest.get("manager", ""),
        operation=newest.get("operation", ""),
        changed_at=newest.get("time") or "",
    )


def _owners(item: Object) -> tuple[str, ...]:
    owners = item["metadata"].get("ownerReferences")
    if not owners:
        return ()
    without_uid = [{key: owner[key] for key in owner if key != "uid"} for owner in owners]
    return (f"# ownerReferences: {comment_json(without_uid)}",)


def _pod_finished(pod: Object) -> tuple[str, ...]:
    phase = (pod.get("status") or {}).get("phase")
    return (f"# finished: {phase}",) if phase in ("Failed", "Succeeded") else ()


def _job_finished(job: Object) -> tuple[str, ...]:
    for condition in (job.get("status") or {}).get("conditions") or ():
        ended = condition.get("type")
        if ended in ("Complete", "Failed") and condition.get("status") == "True":
            return (f"# finished: {ended}",)
    return ()


def _compile(rules: Rules, group: str, kind: str) -> Removals:
    removals = Removals()
    for rule in rules:
        if rule.applies_to(group, kind):
            for path in rule.fields:
                removals.add_field(path)
            for name in rule.annotations:
                removals.add_field(("metadata", "annotations", name))
            for name in rule.labels:
                removals.add_field(("metadata", "labels", name))
            for name in rule.finalizers:
                removals.add_item(("metadata", "finalizers"), name)
    return removals


def _drop_empty_timestamps(node: Any) -> bool:
    """Null or empty creationTimestamps in templates, at any depth: Go's way to write none.

    Whether that emptied the node.
    """
    if not node or not isinstance(node, dict | list):
        return False
    if isinstance(node, dict):
        metadata = node.get("metadata")
        if isinstance(metadata, dict) and metadata.get("creationTimestamp", metadata) in (None, ""):
            del metadata["creationTimestamp"]
            if not metadata:
                del node["metadata"]
        for key, child in list(node.items()):
            if _drop_empty_timestamps(child):
                del node[key]
    else:
        for index in reversed(range(len(node))):
            if _drop_empty_timestamps(node[index]):
                del node[index]
    return not node
