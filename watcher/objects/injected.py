"""What the API server put into an object that the client did not send.

Exists because such fields are told from a client's own only by what stands around them, not by
their names alone: the rules of clean-rules.yaml cannot say it. Each function takes one object as
the API server sent it and removes them in place (FORMAT.md section 3).
"""

import json
import re
from collections.abc import Container
from typing import Any

from watcher.objects.prune import Removals

Object = dict[str, Any]

_TOKEN_VOLUME = re.compile(r"kube-api-access-[a-z0-9]{5}")
_DEFAULT_TOLERATIONS = tuple(
    {
        "effect": "NoExecute",
        "key": f"node.kubernetes.io/{condition}",
        "operator": "Exists",
        "tolerationSeconds": 300,
    }
    for condition in ("not-ready", "unreachable")
)
_OF_JOB_UID = ("controller-uid", "batch.kubernetes.io/controller-uid")
_OF_JOB_NAME = ("job-name", "batch.kubernetes.io/job-name")
_GENERATED = Removals(
    (
        ("spec", "selector"),
        *(
            ("spec", "template", "metadata", "labels", name)
            for name in (*_OF_JOB_UID, *_OF_JOB_NAME)
        ),
    )
)


def strip_service(service: Object) -> None:
    """Allocated addresses and ports. Those that a client asked for stay, and so does `None`.

    Seen on Kubernetes 1.36: the API server allocates after it has noted who set which field, so
    an allocation has no owner in managedFields, after a later `replace` or a change of type
    neither; what a client sent has one, by create, replace, patch and apply alike.
    """
    metadata, spec = service["metadata"], service.get("spec")
    if not spec or "uid" not in metadata:
        return  # never created: nothing was allocated
    client_set = [] if _of_api_server(metadata) else _owned_spec_fields(metadata)
    for field, headless in (
        ("clusterIP", "None"),
        ("clusterIPs", ["None"]),
        ("healthCheckNodePort", None),
    ):
        if spec.get(field) != headless and not any(f"f:{field}" in owned for owned in client_set):
            spec.pop(field, None)
    chosen = {
        _port_key(name)
        for owned in client_set
        for name, port in owned.get("f:ports", {}).items()
        if "f:nodePort" in port
    }
    for port in spec.get("ports") or ():
        if (port.get("port"), port.get("protocol", "TCP")) not in chosen:
            port.pop("nodePort", None)


def strip_pod(pod: Object) -> None:
    """The volume with the service account's token, its mounts, the two default tolerations."""
    spec = pod.get("spec") or {}
    tokens = {
        volume["name"]
        for volume in spec.get("volumes") or ()
        if "projected" in volume and _TOKEN_VOLUME.fullmatch(volume["name"])
    }
    if tokens:
        _remove_named(spec, "volumes", tokens)
        for field in ("containers", "initContainers"):
            for container in spec.get(field) or ():
                _remove_named(container, "volumeMounts", tokens)
    if tolerations := spec.get("tolerations"):
        kept = [one for one in tolerations if one not in _DEFAULT_TOLERATIONS]
        _put_back(spec, "tolerations", kept)


def strip_job(job: Object) -> None:
    """The selector made for it and the labels that it selects by, unless a client made its own."""
    if (job.get("spec") or {}).get("manualSelector"):
        return
    _GENERATED.apply(job)
    # A Job without labels of its own got those of its template. One that a client wrote stays.
    metadata = job["metadata"]
    if labels := metadata.get("labels"):
        own = dict.fromkeys(_OF_JOB_UID, metadata.get("uid")) | dict.fromkeys(
            _OF_JOB_NAME, metadata["name"]
        )
        kept = {name: value for name, value in labels.items() if value != own.get(name)}
        _put_back(metadata, "labels", kept)


def _of_api_server(metadata: Object) -> bool:
    """Its own Service, whose address the API server chooses and sends itself."""
    return metadata["name"] == "kubernetes" and metadata.get("namespace") == "default"


def _owned_spec_fields(metadata: Object) -> list[Object]:
    """What of spec each manager set, as in FieldsV1: {"f:clusterIP": {}, "f:ports": {…}}."""
    entries = metadata.get("managedFields") or ()
    return [(entry.get("fieldsV1") or {}).get("f:spec") or {} for entry in entries]


def _port_key(name: str) -> tuple[int, str]:
    """Port and protocol in a managedFields key: `k:{"port":80,"protocol":"TCP"}`."""
    key = json.loads(name.removeprefix("k:"))
    return key["port"], key.get("protocol", "TCP")


def _remove_named(parent: Object, field: str, names: Container[str]) -> None:
    if items := parent.get(field):
        _put_back(parent, field, [item for item in items if item.get("name") not in names])


def _put_back(parent: Object, field: str, kept: Object | list[Any]) -> None:
    """What is left of a list or map; what was emptied goes."""
    if kept:
        parent[field] = kept
    else:
        del parent[field]
