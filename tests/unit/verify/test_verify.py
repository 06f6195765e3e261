"""`verify` names what is wrong with what lies in the bucket, and nothing else."""

import asyncio
from collections.abc import Callable

import orjson
import pytest

from tests.memory_store import Fault
from tests.unit.capture.rig import PREFIX
from tests.unit.verify.backup import (
    SECRET,
    A,
    B,
    backed_up,
    beat,
    events_of,
    findings_of,
    put,
    report,
    rig_with_objects,
    spoil,
)
from watcher.bucket.layout import Layout
from watcher.bucket.slices import Slice
from watcher.errors import BucketError, RefusedError
from watcher.verify.findings import (
    Broken,
    Changed,
    Damaged,
    Finding,
    Listed,
    Misowned,
    Missing,
    Note,
    Overdue,
    Proven,
    Read,
    Unchecked,
    Unknown,
    Unowned,
)
from watcher.verify.verify import Demands

pytestmark = pytest.mark.looptime


# A backup as it should be


async def test_of_a_sound_backup_nothing_is_found_and_its_proof_is_seen_again() -> None:
    rig = await backed_up()
    events = await events_of(rig)
    assert [event for event in events if isinstance(event, Finding | Unchecked)] == []
    files = len(rig.files())
    assert {Listed(files), Read(files), Proven(files)} <= set(events)


async def test_nothing_is_written() -> None:
    rig = await backed_up()
    spoil(rig, A, lambda body: b"")
    before = rig.store.objects()
    rig.store.requests.clear()
    assert await findings_of(rig)
    assert {operation for operation, _ in rig.store.requests} <= {"GET", "HEAD", "LIST"}
    assert rig.store.objects() == before


async def test_a_slice_reads_its_files_only_but_compares_all() -> None:
    rig = await backed_up()
    spoil(rig, A, lambda body: b"damaged")
    read = [
        sum(
            event.files
            for event in await events_of(rig, Demands(Slice(n, 3)))
            if type(event) is Read
        )
        for n in (1, 2, 3)
    ]
    assert sum(read) == len(rig.files())
    for n in (1, 2, 3):
        assert Changed(A) in await findings_of(rig, Demands(Slice(n, 3)))


# Listing against record


async def test_a_file_that_was_removed_is_missing() -> None:
    rig = await backed_up()
    rig.store.removed_by_a_stranger(PREFIX + A)
    assert await findings_of(rig) == [Missing(A)]


async def test_a_file_that_somebody_else_wrote_is_changed() -> None:
    rig = await backed_up()
    spoil(rig, A, lambda body: body.replace(b'"1"', b'"2"'))
    assert await findings_of(rig) == [Changed(A)]


async def test_a_file_that_nobody_recorded_is_unknown() -> None:
    rig = await backed_up()
    body = rig.files()[A].replace(b"name: a", b"name: d")
    rig.store.written_by_a_stranger(PREFIX + "default/configmap/d.yaml", body)
    assert await findings_of(rig) == [Unknown("default/configmap/d.yaml")]


async def test_a_key_that_is_not_ours_is_only_mentioned() -> None:
    rig = await backed_up()
    rig.store.written_by_a_stranger(PREFIX + "README.md", b"hello")
    events = await events_of(rig)
    assert Note("keys that are not of watcher's making: 1") in events
    assert not any(isinstance(event, Finding) for event in events)


async def test_what_changed_since_the_checkpoint_is_known_from_the_journal() -> None:
    rig = rig_with_objects()
    await rig.once()
    async with rig.running():
        put(rig, "a", "2")
        rig.cluster.delete("configmaps", "default", "b")
        await asyncio.sleep(130)
        await beat(rig)
        await report(rig)
        assert await findings_of(rig) == []


async def test_what_is_held_is_only_mentioned_whatever_it_is() -> None:
    rig = rig_with_objects()
    rig.store.written_by_a_stranger(PREFIX + "default/configmap/before-us.yaml", b"hello: world")
    await rig.once()
    await report(rig, moving=("default/configmap/before-us.yaml",), hash_root=None)
    events = await events_of(rig)
    assert [event for event in events if isinstance(event, Finding)] == []
    assert Note("files that are held or kept: 1") in events

    rig.store.written_by_a_stranger(PREFIX + "_meta/deletes/held.json", b"hello: world")
    kinds = sorted(type(found).__name__ for found in await findings_of(rig))
    assert kinds == ["Broken", "Damaged"]


# Without a record


async def test_without_a_checkpoint_it_is_said_what_was_not_compared_and_later_a_finding() -> None:
    rig = await backed_up()
    rig.store.removed_by_a_stranger(PREFIX + "_meta/index.ndjson.gz")
    events = await events_of(rig)
    assert not any(isinstance(event, Finding) for event in events)
    assert any("which files should be there" in str(event) for event in events)
    await asyncio.sleep(27 * 3600)
    await beat(rig)
    await report(rig)
    (found,) = await findings_of(rig)
    assert str(found) == "the checkpoint is of no use: there is none"


# Each file


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda body: body[:-9] + b'"', "is not YAML"),
        (lambda body: b"hello: world\n", "is not the file of an object"),
        (lambda body: body + b"\n", "is not written as watcher writes it"),
        (
            lambda body: body.replace(b"name: a", b"name: b"),
            f"holds an object whose place is {B}",
        ),
    ],
)
async def test_a_damaged_file_is_named_with_why(change: Callable[[bytes], bytes], why: str) -> None:
    rig = await backed_up()
    spoil(rig, A, change)
    damaged, changed = sorted(await findings_of(rig), key=str, reverse=True)
    assert changed == Changed(A) or damaged == Changed(A)
    (found,) = (it for it in (damaged, changed) if isinstance(it, Damaged))
    assert (found.key, found.why.partition(" (")[0]) == (A, why)


async def test_bytes_that_rotted_under_their_etag_are_found() -> None:
    rig = await backed_up()
    rig.store.damage(PREFIX + A, rig.files()[A].replace(b'"1"', b'"2"'))
    assert await findings_of(rig) == [Damaged(A, "has bytes that are not those of its ETag")]


async def test_where_etags_are_no_md5s_the_fingerprint_tells_of_rot() -> None:
    rig = rig_with_objects()
    rig.store.etags_are_not_md5()
    await rig.once()
    await report(rig, hash_root=None)
    await beat(rig, released=True)
    assert await findings_of(rig) == []
    rig.store.damage(PREFIX + A, rig.files()[A].replace(b'"1"', b'"2"'))
    assert await findings_of(rig) == [Damaged(A, "has not the content that was written")]


async def test_a_secret_with_a_value_is_found() -> None:
    rig = await backed_up()
    spoil(rig, SECRET, lambda body: body.replace(b"data:\n", b"data:\n  b: aGk=\n"))
    found = [it for it in await findings_of(rig) if isinstance(it, Damaged)]
    assert found == [Damaged(SECRET, "is a Secret with values, though it was to be stored without")]


async def test_secrets_that_were_to_be_stored_whole_are_fine() -> None:
    rig = await backed_up(secrets="plain")
    assert await findings_of(rig) == []


async def test_a_file_that_cannot_be_read_is_a_finding_while_the_bucket_answers() -> None:
    rig = await backed_up()
    rig.store.choose_fault = lambda operation, key: (
        Fault.UNREACHABLE if (operation, key) == ("GET", PREFIX + A) else Fault.NONE
    )
    assert await findings_of(rig) == [Damaged(A, "cannot be read: no answer")]


async def test_a_bucket_that_fails_is_an_error() -> None:
    rig = await backed_up()
    rig.store.choose_fault = lambda operation, key: (
        Fault.UNREACHABLE if "/_meta/" not in key else Fault.NONE
    )
    with pytest.raises(BucketError, match="no answer"):
        await findings_of(rig)


# The claim


async def test_a_prefix_without_a_claim_is_a_finding() -> None:
    rig = await backed_up()
    rig.store.removed_by_a_stranger(PREFIX + "_meta/owner.json")
    assert await findings_of(rig) == [Unowned()]


async def test_a_copied_prefix_is_a_finding() -> None:
    rig = await backed_up()
    other = "example.com/west/"
    for key, body in rig.store.objects().items():
        rig.store.written_by_a_stranger(key.replace(PREFIX, other), body)
    events = await events_of(rig, layout=Layout("example.com", "west"))
    assert [event for event in events if isinstance(event, Finding)] == [
        Misowned("example.com/east")
    ]


async def test_a_report_that_is_none_is_a_finding() -> None:
    rig = await backed_up()
    key = next(k for k in rig.store.objects() if k.startswith(f"{PREFIX}_meta/reports/"))
    rig.store.written_by_a_stranger(key, b"{}")
    (found,) = await findings_of(rig)
    assert isinstance(found, Broken)
    assert key in str(found)


@pytest.mark.parametrize("claimed_at", ["", "soon", "2000-01-01T00:00:00"])
async def test_a_claim_with_an_odd_time_is_still_a_claim(claimed_at: str) -> None:
    rig = await backed_up()
    key = PREFIX + "_meta/owner.json"
    claim = {**orjson.loads(rig.store.objects()[key]), "claimed_at": claimed_at}
    rig.store.written_by_a_stranger(key, orjson.dumps(claim))
    for name in rig.store.objects():
        if "/_meta/reports/" in name:
            rig.store.removed_by_a_stranger(name)
    assert all(isinstance(found, Overdue) for found in await findings_of(rig))


async def test_a_claim_that_is_none_is_refused() -> None:
    rig = await backed_up()
    rig.store.written_by_a_stranger(PREFIX + "_meta/owner.json", b"{}")
    with pytest.raises(RefusedError, match=r"owner\.json is unreadable"):
        await findings_of(rig)


@pytest.mark.parametrize("folder", ["owner.json", "heartbeat/", "reports/"])
async def test_a_newer_format_is_refused(folder: str) -> None:
    rig = await backed_up()
    key = next(k for k in rig.store.objects() if k.startswith(f"{PREFIX}_meta/{folder}"))
    newer = {**orjson.loads(rig.store.objects()[key]), "format": 2}
    rig.store.written_by_a_stranger(key, orjson.dumps(newer))
    with pytest.raises(RefusedError, match="format 2"):
        await findings_of(rig)
