"""Where an object lies in the bucket, and what a key says about the object under it.

Exists so that the shape of keys is known in one place. Promises (FORMAT.md section 1): two refs
that differ (kinds compared in lower case) have two keys; `parse` knows exactly the keys that
`key` makes and calls all others foreign; no segment is longer than an S3 server or a file system
takes. Keys are relative to the cluster's prefix.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from watcher.objects.ref import FROZEN_GROUPS, ObjectRef

CLUSTER = "_cluster"  # where a namespace would stand; no namespace contains an underscore
META = "_meta"  # our own files

_LONGEST = 195  # characters of an encoded name: with ".yaml" well under 255
_CUT = 160

_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_BYTES = tuple(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in range(256))
_SAFE_NAME = re.compile(r"[A-Za-z0-9._-]+")
_CUT_ESCAPE = re.compile(r"%[0-9A-F]?\Z")

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_KEY = re.compile(
    rf"(?P<namespace>{CLUSTER}|{_LABEL})"
    rf"/(?P<kind>{_LABEL}(?:\.(?P<group>{_LABEL}(?:\.{_LABEL})*))?)"
    r"/(?P<name>[A-Za-z0-9._%~-]+)\.yaml"
)
_CUT_NAME = re.compile(r"(?P<kept>[A-Za-z0-9._%-]+)~[0-9a-f]{32}")


def namespace_of(key: str) -> str:
    """The namespace segment of a key: `_cluster` where its object has none."""
    return key.partition("/")[0]


def kind_of(key: str) -> str:
    """The kind segment of a key; "" of what has none."""
    return key.partition("/")[2].partition("/")[0]


class Place(NamedTuple):
    """What a key tells about the object under it."""

    namespace: str  # "" for cluster-scoped
    kind: str  # as in `kind_segment`
    name: str | None  # None: too long for a key; only the file tells


@dataclass(frozen=True, slots=True)
class Layout:
    """One cluster's part of the bucket. `domain` and `cluster` are valid as settings check them."""

    domain: str
    cluster: str

    @property
    def name(self) -> str:
        """How people call it, in messages and patterns: `domain/cluster`."""
        return f"{self.domain}/{self.cluster}"

    @property
    def prefix(self) -> str:
        """What every key of this cluster begins with."""
        return f"{self.name}/"

    @staticmethod
    def key(ref: ObjectRef) -> str:
        """`myapp/deployment/app.yaml`, `_cluster/clusterrole/system%3Anode.yaml`."""
        kind = kind_segment(ref.group, ref.kind)
        return f"{ref.namespace or CLUSTER}/{kind}/{_name_segment(ref.name)}.yaml"

    @staticmethod
    def meta(name: str) -> str:
        """`_meta/owner.json`."""
        return f"{META}/{name}"


def kind_segment(group: str, kind: str) -> str:
    """The kind's folder: `deployment`, `certificate.cert-manager.io`. group: canonical."""
    return kind.lower() if group in FROZEN_GROUPS else f"{kind.lower()}.{group}"


def parse(relative_key: str) -> Place | None:
    """What the key says; None: `Layout.key` never makes it (FOREIGN)."""
    match = _KEY.fullmatch(relative_key)
    if match is None or match["group"] in FROZEN_GROUPS:
        return None
    namespace = "" if match["namespace"] == CLUSTER else match["namespace"]
    if cut := _CUT_NAME.fullmatch(match["name"]):
        return Place(namespace, match["kind"], None) if _is_cut(cut["kept"]) else None
    try:
        name = unquote_to_bytes(match["name"]).decode()
    except UnicodeDecodeError:
        return None
    # Of several spellings of one name only ours is ours.
    return Place(namespace, match["kind"], name) if _name_segment(name) == match["name"] else None


def _name_segment(name: str) -> str:
    encoded = name if _SAFE_NAME.fullmatch(name) else _percent_encode(name)
    if len(encoded) <= _LONGEST:
        return encoded
    digest = blake2b(name.encode(), digest_size=16).hexdigest()
    return f"{_CUT_ESCAPE.sub('', encoded[:_CUT])}~{digest}"


def _percent_encode(name: str) -> str:
    return "".join([_BYTES[byte] for byte in name.encode()])


def _is_cut(kept: str) -> bool:
    """Whether this is what a cut leaves: 160 characters of an encoded name, less a cut-off escape.

    It may end inside a character of several bytes, so it need not decode.
    """
    encoded = "".join([_BYTES[byte] for byte in unquote_to_bytes(kept)])
    return encoded == kept and _CUT - 2 <= len(kept) <= _CUT
