"""One number for all that a prefix holds: the hash root (FORMAT.md section 5).

Exists so that a report proves in 64 digits that cluster and bucket were the same, and an auditor
with nothing but a listing comes to the same number. Promises: equal files under equal keys give
equal roots, whatever order they come in; pure.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b

_MD5 = re.compile(r'"?(?P<hex>[0-9a-f]{32})"?')


def hash_root(files: Iterable[tuple[str, str]]) -> str:
    """BLAKE2b-256, in hex, over a line `key NUL md5 LF` each, sorted by the key's UTF-8 bytes.

    files: key (relative to the cluster's prefix) and MD5 of the file in hex, each key once.
    """
    digest = blake2b(digest_size=32)
    for key, md5 in sorted((key.encode(), md5.encode()) for key, md5 in files):
        digest.update(b"%b\0%b\n" % (key, md5))
    return digest.hexdigest()


def md5_of(etag: str) -> str:
    """The MD5 that an ETag is, in hex; "" where it can be none (`"…-3"` of a multipart upload).

    That it looks like one does not make it one: see `Claim.etag_is_md5` of owner.py.
    """
    match = _MD5.fullmatch(etag)
    return match["hex"] if match else ""
