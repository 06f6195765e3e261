"""User metadata of stored objects (FORMAT.md section 4).

Exists so that a version in the bucket says by itself what it is and who wrote it, without a body
being read. Promises: values are ASCII (S3 servers mangle the rest), percent-encoded where needed;
nothing here is derived from an object's values except its fingerprint.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from watcher.bucket.ledger import UNKNOWN, Stored
from watcher.bucket.meta import FORMAT
from watcher.bucket.store import Head
from watcher.objects.content import Content, Origin

_SAFE = " :/@+=,;()[]{}<>!$&'*?|~"  # besides letters, digits and "_.-"
_NOTHING_TO_QUOTE = re.compile(rf"[\w.\-{re.escape(_SAFE)}]*", re.ASCII).fullmatch


class Writer(NamedTuple):
    """Who writes: a host or pod, and the epoch of its claim (owner.json)."""

    instance: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.instance}/{self.epoch}"

    def outranks(self, other: "Writer") -> bool:
        """Whether of two that live it is the other one that has to stop. Starts that race in a
        store without conditions may have the same epoch: any rule will do that both know."""
        return (self.epoch, self.instance) > (other.epoch, other.instance)


def of_version(
    content: Content, origin: Origin | None, writer: Writer, captured_at: datetime, secrets: str
) -> dict[str, str]:
    """What is written with a version. secrets: how values were treated; "" unless a Secret."""
    values = {
        "watcher-format": str(FORMAT),
        "watcher-fingerprint": content.fingerprint.hex(),
        "watcher-writer": _quoted(str(writer)),
        "watcher-captured-at": captured_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "watcher-secrets": secrets,
    }
    if origin is not None:
        values |= {
            "watcher-uid": _quoted(origin.uid),
            "watcher-resource-version": _quoted(origin.resource_version),
            "watcher-manager": _quoted(origin.manager),
            "watcher-operation": _quoted(origin.operation),
            "watcher-changed-at": _quoted(origin.changed_at),
        }
    return {name: value for name, value in values.items() if value}


def _quoted(value: str) -> str:
    return value if _NOTHING_TO_QUOTE(value) else quote(value, safe=_SAFE)


def stored(head: Head) -> Stored:
    """The version that a HEAD showed; its fingerprint is UNKNOWN if it does not say."""
    try:
        fingerprint = bytes.fromhex(head.metadata.get("watcher-fingerprint", ""))
    except ValueError:
        fingerprint = UNKNOWN
    return Stored(head.etag, fingerprint if len(fingerprint) == 16 else UNKNOWN)


def as_journalled(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What the journal tells of a version, from its metadata."""
    fields = ("fingerprint", "uid", "resource_version", "manager", "operation", "changed_at")
    names = {field: f"watcher-{field.replace('_', '-')}" for field in fields}
    return {field: unquote(metadata.get(name, "")) for field, name in names.items()}


def written_by(metadata: Mapping[str, str]) -> Writer | None:
    """Who wrote a version; None: it does not say, so it was not us."""
    instance, _, epoch = unquote(metadata.get("watcher-writer", "")).rpartition("/")
    return Writer(instance, int(epoch)) if instance and epoch.isdigit() else None
