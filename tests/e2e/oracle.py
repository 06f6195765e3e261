"""Whether the bucket is what it has to be: the judge of every end-to-end test (DESIGN.md 12).

Exists because `watcher` can't be its own witness. It lists the cluster itself, works out by
itself what has to be stored and under which key (FORMAT.md sections 1 and 3, written down here by
hand a second time) and compares. Only the bytes of a file are `watcher`'s own cleaner and emitter
once more; removals.py and parsers.py judge those. Files are compared by the bucket's ETags, the
MD5 of what arrived there, so a check costs no reads.
"""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b, md5
from typing import Any

from tests.e2e.api import API, Object
from tests.e2e.minio import Bucket
from tests.e2e.parsers import yaml_1_1
from tests.e2e.process import until
from tests.e2e.removals import complaints
from tests.e2e.watcher_process import CLUSTER, DOMAIN, PREFIX
from watcher.objects.clean import Cleaner, load_rules
from watcher.objects.ref import APIResource
from watcher.objects.secrets import SecretPolicy
from watcher.objects.yaml import emit

_SHOWN = 20  # differences in a failure's text
_KUBERNETES_GROUPS = {
    "", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps",
    "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch", "certificates.k8s.io",
    "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "policy",
    "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io",
    "storagemigration.k8s.io",
}  # fmt: skip
_KINDS_LEFT_OUT = {
    "events", "events.events.k8s.io", "leases.coordination.k8s.io", "controllerrevisions.apps",
    "ipaddresses.networking.k8s.io", "volumeattachments.storage.k8s.io",
    "csinodes.storage.k8s.io", "csistoragecapacities.storage.k8s.io",
    "resourceslices.resource.k8s.io", "storageversions.internal.apiserver.k8s.io",
    "certificatesigningrequests.certificates.k8s.io",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expected:
    """One object that has to be stored."""

    live: Object  # as the API server has it
    file: bytes  # as it has to be stored


def expected(api: API) -> dict[str, Expected]:
    """Key -> what has to be there, of the whole cluster as it is now, under default settings."""
    cleaner = Cleaner(load_rules(None), SecretPolicy("redact", None, DOMAIN, CLUSTER))
    found = {}
    for resource in _resources(api):
        clean = cleaner.for_resource(resource)
        for item in _items(api, resource):
            if _is_left_out(resource, item):
                continue
            live = {"apiVersion": resource.api_version, "kind": resource.kind, **item}
            key = PREFIX + _key(resource.group, resource.kind, item["metadata"])
            found[key] = Expected(live, emit(clean(copy.deepcopy(item))))
    return found


def differences(api: API, bucket: Bucket) -> list[str]:
    """What is missing, left over or other than it has to be in the bucket right now."""
    etags = bucket.etags(PREFIX)
    wanted = expected(api)
    stored = {key: tag for key, tag in etags.items() if not key.startswith(f"{PREFIX}_meta/")}
    return [
        *(f"missing: {key}" for key in sorted(wanted.keys() - stored.keys())),
        *(f"left over: {key}" for key in sorted(stored.keys() - wanted.keys())),
        *(
            f"other bytes: {key}"
            for key in sorted(wanted.keys() & stored.keys())
            if stored[key] != md5(wanted[key].file).hexdigest()
            and "deletionTimestamp" not in wanted[key].live["metadata"]  # frozen while it ends
        ),
    ]


def wait_until_equal(api: API, bucket: Bucket, *, timeout: float = 60) -> None:
    """Until the bucket equals the cluster. Fails with the first differences."""
    last: list[str] = []

    def equal() -> bool:
        last[:] = differences(api, bucket)
        return not last

    try:
        until(equal, "equality of bucket and cluster", timeout=timeout, poll=0.5)
    except TimeoutError:
        raise AssertionError(report(last)) from None


def faults(wanted: dict[str, Expected]) -> Iterator[str]:
    """What is wrong with the files themselves, beside the live objects: see removals.py."""
    for key, one in wanted.items():
        for complaint in complaints(one.live, yaml_1_1(one.file)):
            yield f"{key}: {complaint}"
        header = [line for line in one.file.decode().split("\n") if line.startswith("# ")]
        if header[: len(_header(one.live))] != _header(one.live):
            yield f"{key}: header {header[:2]}"


def report(found: list[str]) -> str:
    """For an assertion's message: how many, and the first ones."""
    more = [f"… and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return "\n".join([f"{len(found)} differences:", *found[:_SHOWN], *more])


def _resources(api: API) -> Iterator[APIResource]:
    """What can be listed and watched, from legacy discovery, preferred versions first."""
    groups = [("", ["v1"])]
    for group in api.get("/apis")["groups"]:
        preferred = group["preferredVersion"]["version"]
        served = [entry["version"] for entry in group["versions"]]
        groups.append((group["name"], sorted(served, key=lambda version: version != preferred)))
    for group, versions in groups:
        seen = set()
        for version in versions:
            root = f"/apis/{group}/{version}" if group else f"/api/{version}"
            for entry in api.get(root)["resources"]:
                name = entry["name"]
                label = f"{name}.{group}" if group else name
                listable = {"list", "watch"} <= set(entry["verbs"]) and "/" not in name
                if listable and name not in seen and label not in _KINDS_LEFT_OUT:
                    seen.add(name)
                    yield APIResource(group, version, name, entry["kind"], entry["namespaced"])


def _items(api: API, resource: APIResource) -> list[Object]:
    items: list[Object] = api.get(resource.path)["items"]
    return items


def _is_left_out(resource: APIResource, item: Object) -> bool:
    metadata = item["metadata"]
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    if labels.get("velero.io/exclude-from-backup") == "true":
        return True
    if annotations.get("watcher/exclude") == "true":
        return True
    of_api_server = (metadata.get("namespace"), metadata["name"]) == ("default", "kubernetes")
    match resource.group, resource.kind:
        case "", "Pod":
            return "kubernetes.io/config.mirror" in annotations
        case "", "Secret":
            return item.get("type") in {
                "kubernetes.io/service-account-token",
                "bootstrap.kubernetes.io/token",
            }
        case "", "Endpoints":
            managed = labels.get("endpoints.kubernetes.io/managed-by")
            return of_api_server or managed == "endpoint-controller"
        case "discovery.k8s.io", "EndpointSlice":
            managed = labels.get("endpointslice.kubernetes.io/managed-by", "")
            return of_api_server or managed.endswith("-controller.k8s.io")
    return False


def _key(group: str, kind: str, metadata: Object) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]", _escaped, metadata["name"])
    if len(name) > 195:
        digest = blake2b(metadata["name"].encode(), digest_size=16).hexdigest()
        name = f"{re.sub('%.?$', '', name[:160])}~{digest}"
    folder = kind.lower() if group in _KUBERNETES_GROUPS else f"{kind.lower()}.{group}"
    return f"{metadata.get('namespace', '_cluster')}/{folder}/{name}.yaml"


def _escaped(odd: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in odd[0].encode())


def _header(live: Object) -> list[str]:
    lines = []
    if owners := live["metadata"].get("ownerReferences"):
        kept = [{k: v for k, v in owner.items() if k != "uid"} for owner in owners]
        canonical = json.dumps(kept, sort_keys=True, separators=(",", ":"))
        lines.append(f"# ownerReferences: {canonical}")
    if finished := _finished(live):
        lines.append(f"# finished: {finished}")
    return lines


def _finished(live: Object) -> Any:
    status = live.get("status", {})
    if live["kind"] == "Pod" and status.get("phase") in {"Succeeded", "Failed"}:
        return status["phase"]
    if (live["kind"], live["apiVersion"]) == ("Job", "batch/v1"):
        for condition in status.get("conditions", []):
            if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True":
                return condition["type"]
    return None
