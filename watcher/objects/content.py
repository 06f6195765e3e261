"""What is stored of one object, before it becomes a file.

Exists so that everything between cleaning and writing compares and carries three plain values
instead of an object tree. Promises: equal content has equal bytes and an equal fingerprint, on
every run, machine and version of the program (FORMAT.md sections 2 and 4).
"""

import json
from hashlib import blake2b
from typing import NamedTuple

import orjson

FORMAT = 1  # of keys, files and fingerprints: FORMAT.md describes this one


class Content(NamedTuple):
    """One object as it is stored."""

    header: tuple[str, ...]  # whole comment lines, without newline: "# finished: Complete"
    body: bytes  # canonical JSON of the cleaned object
    fingerprint: bytes  # 16 bytes, see `fingerprint`


class Origin(NamedTuple):
    """Which version of an object was read, and who made it; "" where the object doesn't say."""

    uid: str
    resource_version: str
    manager: str
    operation: str  # "Apply" or "Update"
    changed_at: str  # RFC 3339, as the API server wrote it


def canonical_json(value: object) -> bytes:
    """JSON with keys sorted by code point, no spaces, UTF-8, numbers as `orjson` prints them.

    (`orjson` writes 254 levels of nesting; what is deeper the standard library writes, floats its
    way: the same object goes the same way every time.)
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return text.encode()


def fingerprint(header: tuple[str, ...], body: bytes) -> bytes:
    """BLAKE2b with a digest of 16 bytes, no key, salt or person, over these bytes in this order:

    the format number in ASCII digits and LF; each header line in UTF-8 and LF; the body.
    (A header line begins with `#` and the body with `{`: no two contents give the same bytes.)
    """
    lines = "".join(f"{line}\n" for line in (str(FORMAT), *header))
    return blake2b(lines.encode() + body, digest_size=16).digest()


def comment_json(value: object) -> str:
    """Canonical JSON in printable ASCII, for a header line: no reader stumbles over a comment."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f")
