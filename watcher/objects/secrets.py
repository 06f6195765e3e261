"""What of a Secret may be stored: keys always, values only as settings say.

Exists so that one place decides what leaves the cluster. Promises (FORMAT.md section 3): in every
mode but `plain` no value, and nothing computed from one without the fingerprint key, is left in
the object; what stands in its place is no base64, so that no API server takes it for a value.
"""

import base64
import hmac
import re
from dataclasses import dataclass
from typing import Any, Literal

REDACTED = "<redacted>"
REDACTED_ALREADY = re.compile(r"<redacted>|<hmac-sha256:[0-9a-f]{16}>")

# Annotations in which tools keep a copy, or a plain hash, of the whole object. (kubectl's own
# falls to the cleaning rules, for every kind.)
_COPIES = (
    "banzaicloud.com/last-applied",
    "kapp.k14s.io/original",
    "kapp.k14s.io/original-diff-md5",
    "objectset.rio.cattle.io/applied",
)


@dataclass(frozen=True, slots=True)
class SecretPolicy:
    """What happens to the values of core/v1 Secrets of one cluster.

    `exclude` is carried out by Selection; should such a Secret come here, it is redacted.
    fingerprint_key: makes changes of a value visible (without the value) where set.
    """

    mode: Literal["redact", "plain", "exclude"]
    fingerprint_key: bytes | None
    domain: str
    cluster: str

    def apply(self, secret: dict[str, Any]) -> None:
        """Take out of a Secret, in place, what must not be stored."""
        if self.mode == "plain":
            return
        metadata = secret["metadata"]
        place = (self.domain, self.cluster, metadata.get("namespace", ""), metadata["name"])
        for field, decode in (("data", _from_base64), ("stringData", str.encode)):
            values = secret.get(field)
            if values:
                for key, value in values.items():
                    if not isinstance(value, str):
                        values[key] = REDACTED
                    elif not REDACTED_ALREADY.fullmatch(value):
                        values[key] = self._substitute((*place, key), decode(value))
        if annotations := metadata.get("annotations"):
            for name in _COPIES:
                annotations.pop(name, None)
            if not annotations:
                del metadata["annotations"]

    def _substitute(self, path: tuple[str, ...], value: bytes) -> str:
        if self.fingerprint_key is None:
            return REDACTED
        message = "\0".join((*path, "")).encode() + value
        return f"<hmac-sha256:{hmac.digest(self.fingerprint_key, message, 'sha256').hex()[:16]}>"


def _from_base64(value: str) -> bytes:
    return base64.b64decode(value, validate=True)
