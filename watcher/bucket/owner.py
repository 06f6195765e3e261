"""Whose prefix this is: the claim in `_meta/owner.json` (FORMAT.md section 5).

Exists so that two clusters configured with the same name never fight over a prefix, and to learn
at the same place what the store can do. Promises: a prefix of another cluster is refused before
anything is written to it; each claim has an epoch greater than all before it, also when several
race (where the store honours conditions). Where files lie in the prefix that this cluster may
never have had, the claim says so (`hold_orphans`) until the first full sync has held them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from watcher.bucket.held import ADOPTED, TAKE_OVER
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import etag_of
from watcher.bucket.meta import FORMAT, check_format
from watcher.bucket.store import CREATE, PutMode, Store, Update, Version, holds_files
from watcher.errors import AbsentError, BucketUnreachableError, PreconditionError, RefusedError

FILE = "owner.json"

_RACES = 10  # lost races before we believe that the store refuses every condition
_NO_ETAG = '"00000000000000000000000000000000"'


@dataclass(frozen=True, slots=True)
class Claim:
    """A prefix that is ours to write.

    epoch: this start's number. conditional: whether the store honours If-Match and If-None-Match.
    etag_is_md5: whether an ETag is the MD5 of the body (not so under SSE-KMS, for one).
    versioned: whether the bucket keeps what is overwritten or deleted. hold_orphans: why what a
    first full sync does not find in the cluster is to be held, not deleted; "": it is not.
    """

    epoch: int
    conditional: bool
    etag_is_md5: bool
    versioned: bool
    hold_orphans: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """What owner.json says. etag: of the file."""

    cluster_uid: str
    domain: str
    name: str
    claimed_at: str
    epoch: int
    hold_orphans: str
    etag: str
    etag_is_md5: bool  # see Claim

    @property
    def claimed(self) -> datetime | None:
        """`claimed_at`; None where that says of no time."""
        try:
            at = datetime.fromisoformat(self.claimed_at)
        except ValueError:
            return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)


async def read(store: Store, layout: Layout) -> Owner | None:
    """Who owns the prefix; None: nobody yet. Raises RefusedError for what we don't understand, and
    BucketError."""
    found, etag = await _find(store, layout)
    if found is None:
        return None
    names = ("cluster_uid", "domain", "name", "claimed_at", "hold_orphans")
    texts = {name: str(found.get(name, "")) for name in names}
    is_md5 = etag == etag_of(_encode(found))
    return Owner(**texts, epoch=found["epoch"], etag=etag, etag_is_md5=is_md5)


async def check(store: Store, layout: Layout, *, cluster_uid: str) -> None:
    """Raises RefusedError where the prefix is another cluster's, and BucketError."""
    found, _ = await _find(store, layout)
    if found is not None:
        _check_ours(found, _new(layout, cluster_uid), _key(layout))


async def claim(store: Store, layout: Layout, *, cluster_uid: str, at: datetime) -> Claim:
    """Claim the prefix for this start, or say why not.

    cluster_uid: of the Namespace kube-system. Raises RefusedError where the prefix belongs to
    another cluster or has a newer format, and BucketError; after that nothing is claimed, though
    an epoch may have been used up.
    """
    key = _key(layout)
    for _ in range(_RACES):
        owner = {
            **_new(layout, cluster_uid),
            "claimed_at": at.isoformat(timespec="seconds"),
            "epoch": 1,
        }
        found, etag = await _find(store, layout)
        if found is not None:
            _check_ours(found, owner, key)
            owner = {**found, "epoch": found["epoch"] + 1}
        elif await holds_files(store, layout.prefix, besides=(layout.prefix + layout.meta(""),)):
            owner["hold_orphans"] = ADOPTED
        try:
            written = await _write(store, key, owner, etag)
        except PreconditionError:
            continue  # another start was quicker: look again
        body = _encode(owner)
        conditional = await _honours_conditions(store, key, body)
        return Claim(
            owner["epoch"],
            conditional,
            etag_is_md5=written.etag == etag_of(body),
            versioned=bool(written.id),
            hold_orphans=str(owner.get("hold_orphans", "")),
        )
    raise BucketUnreachableError(f"{key}: somebody else kept changing it ({_RACES} times)")


async def take_over(
    store: Store, layout: Layout, of: Owner, *, cluster_uid: str, at: datetime
) -> None:
    """Give the prefix, which has this owner, to another cluster, whose next start will claim it.

    Raises PreconditionError where it is not as `of` says any more, and other BucketErrors.
    """
    found, etag = await _find(store, layout)
    key = _key(layout)
    if found is None or etag != of.etag:
        raise PreconditionError(f"{key} has just been changed by somebody else: look again")
    owner = {
        **found,
        **_new(layout, cluster_uid),
        "claimed_at": at.isoformat(timespec="seconds"),
        "epoch": of.epoch + 1,
        "hold_orphans": TAKE_OVER,
    }
    await _write(store, key, owner, etag)


async def release_orphans(store: Store, layout: Layout, claim: Claim) -> None:
    """The first full sync is over, and what it did not find is on record: later starts need not
    hold it anew. Nothing happens where a later start has claimed the prefix. Raises BucketError."""
    found, etag = await _find(store, layout)
    if found is None or found["epoch"] != claim.epoch or not found.pop("hold_orphans", ""):
        return
    await _write(store, _key(layout), found, etag)


def _key(layout: Layout) -> str:
    return layout.prefix + layout.meta(FILE)


async def _find(store: Store, layout: Layout) -> tuple[dict[str, Any] | None, str]:
    """The file and its ETag; None and "" where there is none. Raises RefusedError, BucketError."""
    key = _key(layout)
    try:
        body, head = await store.get(key)
    except AbsentError:
        return None, ""
    return _parse(body, key), head.etag


async def _write(store: Store, key: str, owner: Mapping[str, Any], over: str) -> Version:
    """over: the ETag of what is there; "": nothing is. Raises BucketError."""
    mode: PutMode = Update(over) if over else CREATE
    return await store.put(key, _encode(owner), content_type="application/json", mode=mode)


def _encode(owner: Mapping[str, Any]) -> bytes:
    return orjson.dumps(owner, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


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
            hint="give each cluster its own cluster-domain and cluster-name; if this one replaces"
            " that one: watcher claim --take-over",
        )
    for setting in ("domain", "name"):
        if found.get(setting) != ours[setting]:
            raise RefusedError(
                f"{key} was written for cluster-{setting} {found.get(setting)!r}, "
                f"not {ours[setting]!r}",
                hint="was the prefix copied or renamed?",
            )
