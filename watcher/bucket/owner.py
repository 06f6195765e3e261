"""Whose prefix this is: the claim in `_meta/owner.json` (FORMAT.md section 5).

Exists so that two clusters configured with the same name never fight over a prefix, and to learn
at the same place what the store can do. Promises: a prefix of another cluster is refused before
anything is written to it; each claim has an epoch greater than all before it, also when several
race (where the store honours conditions).
"""

from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from watcher.bucket.held import ADOPTED
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import etag_of
from watcher.bucket.meta import FORMAT, check_format, exists
from watcher.bucket.store import CREATE, PutMode, Store, Update
from watcher.errors import BucketUnreachableError, PreconditionError, RefusedError

FILE = "owner.json"

_RACES = 10  # lost races before we believe that the store refuses every condition
_NO_ETAG = '"00000000000000000000000000000000"'


@dataclass(frozen=True, slots=True)
class Claim:
    """A prefix that is ours to write.

    epoch: this start's number. conditional: whether the store honours If-Match and If-None-Match.
    etag_is_md5: whether an ETag is the MD5 of the body (not so under SSE-KMS, for one).
    versioned: whether the bucket keeps what is overwritten or deleted. hold_orphans: why files
    whose objects a first full sync does not find are held instead of deleted: "adopted" (they were
    there before us), "take-over"; "": they are not. It stays until `release_orphans`.
    """

    epoch: int
    conditional: bool
    etag_is_md5: bool
    versioned: bool
    hold_orphans: str = ""


async def check(store: Store, layout: Layout, *, cluster_uid: str) -> None:
    """Raises RefusedError where the prefix is another cluster's, and BucketError."""
    key = layout.prefix + layout.meta(FILE)
    if await exists(store, key):
        body, _ = await store.get(key)
        _check_ours(_parse(body, key), _new(layout, cluster_uid), key)


async def claim(store: Store, layout: Layout, *, cluster_uid: str, at: datetime) -> Claim:
    """Claim the prefix for this start, or say why not.

    cluster_uid: of the Namespace kube-system. Raises RefusedError where the prefix belongs to
    another cluster or has a newer format, and BucketError; after that nothing is claimed, though
    an epoch may have been used up.
    """
    key = layout.prefix + layout.meta(FILE)
    for _ in range(_RACES):
        mode: PutMode = CREATE
        owner = {
            **_new(layout, cluster_uid),
            "claimed_at": at.isoformat(timespec="seconds"),
            "epoch": 1,
        }
        if await exists(store, key):
            body, head = await store.get(key)
            found = _parse(body, key)
            _check_ours(found, owner, key)
            owner = {**found, "epoch": found["epoch"] + 1}
            mode = Update(head.etag)
        elif await _holds_anything(store, layout.prefix):
            owner["hold_orphans"] = ADOPTED
        body = orjson.dumps(owner, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        try:
            written = await store.put(key, body, content_type="application/json", mode=mode)
        except PreconditionError:
            continue  # another start was quicker: look again
        conditional = await _honours_conditions(store, key, body)
        return Claim(
            owner["epoch"],
            conditional,
            etag_is_md5=written.etag == etag_of(body),
            versioned=bool(written.id),
            hold_orphans=str(owner.get("hold_orphans", "")),
        )
    raise BucketUnreachableError(f"{key}: somebody else kept changing it ({_RACES} times)")


async def release_orphans(store: Store, layout: Layout, claim: Claim) -> None:
    """The first full sync is over, and what it did not find is on record: later starts need not
    hold it anew. Nothing happens where a later start has claimed the prefix. Raises BucketError."""
    key = layout.prefix + layout.meta(FILE)
    body, head = await store.get(key)
    found = _parse(body, key)
    if found["epoch"] != claim.epoch or not found.pop("hold_orphans", ""):
        return
    body = orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    await store.put(key, body, content_type="application/json", mode=Update(head.etag))


async def _holds_anything(store: Store, prefix: str) -> bool:
    async with aclosing(store.list(prefix)) as pages:
        return bool(await anext(pages, None))


async def _honours_conditions(store: Store, key: str, body: bytes) -> bool:
    """Tries what must be refused, with the body that is there already: no harm if it isn't."""
    for impossible in (Update(_NO_ETAG), CREATE):
        try:
            await store.put(key, body, content_type="application/json", mode=impossible)
        except PreconditionError:
            continue
        return False
    return True


def _new(layout: Layout, cluster_uid: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "cluster_uid": cluster_uid,
        "domain": layout.domain,
        "name": layout.cluster,
    }


def _parse(body: bytes, key: str) -> dict[str, Any]:
    """The file if we understand it. Raises RefusedError."""
    try:
        owner = dict(orjson.loads(body))
        check_format(key, int(owner["format"]))
        owner["epoch"] = int(owner["epoch"])
    except (ValueError, TypeError, KeyError) as error:
        raise RefusedError(f"{key} is unreadable", hint="restore or remove it by hand") from error
    return owner


def _check_ours(found: dict[str, Any], ours: dict[str, Any], key: str) -> None:
    if found.get("cluster_uid") != ours["cluster_uid"]:
        raise RefusedError(
            f"{key} belongs to the cluster with UID {found.get('cluster_uid')}, "
            f"this one has {ours['cluster_uid']}",
            hint="give each cluster its own cluster-domain and cluster-name",
        )
    for setting in ("domain", "name"):
        if found.get(setting) != ours[setting]:
            raise RefusedError(
                f"{key} was written for cluster-{setting} {found.get(setting)!r}, "
                f"not {ours[setting]!r}",
                hint="was the prefix copied or renamed?",
            )
