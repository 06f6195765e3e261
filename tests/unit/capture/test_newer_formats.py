"""A prefix that a newer program has written, and an older one that comes (back) to it.

FORMAT.md section 5: every file of `_meta/` carries a `format`; a newer one is refused. Whoever
raises it says so in `owner.json` first, which is read before anything is written.
"""

import asyncio
import gzip
from collections.abc import Callable, Mapping

import orjson
import pytest

from tests.unit.capture.rig import PREFIX, Rig, config_map, following, refusal
from watcher.bucket import held, requests, retired
from watcher.bucket.layout import Layout
from watcher.bucket.retired import Retired

pytestmark = pytest.mark.looptime

META = f"{PREFIX}_meta/"


def in_json(body: bytes) -> bytes:
    return orjson.dumps({**orjson.loads(body), "format": 2})


def in_first_line(body: bytes) -> bytes:
    first, rest = body.split(b"\n", 1)
    return in_json(first) + b"\n" + rest


def in_compressed_header(body: bytes) -> bytes:
    return gzip.compress(in_first_line(gzip.decompress(body)))


RAISED: Mapping[str, Callable[[bytes], bytes]] = {
    "owner.json": in_json,
    "heartbeat/": in_json,
    "index.ndjson.gz": in_compressed_header,
    "journal/": in_first_line,
    "deletes/held.json": in_json,
    "deletes/allow.json": in_json,
    "reports/": in_json,
    "requests/": in_json,
    "retired.json": in_json,
}
READ_AT_A_START = [name for name in RAISED if name not in ("reports/", "requests/", "retired.json")]
LAYOUT = Layout("example.com", "east")


async def a_prefix_with_every_file() -> Rig:
    """Its last run was killed, so that the next start reads its journal."""
    rig = Rig()
    rig.cluster.create(config_map("first"))
    async with rig.killed(reconcile_schedule="* * * * *"):
        await rig.until(lambda: {"journal/", "reports/"} <= paths(rig).keys())
    old = paths(rig)["journal/"]
    rig.cluster.create(config_map("later"))
    async with rig.killed():
        await rig.until(lambda: paths(rig)["journal/"] != old)
    at = rig.clock()
    await held.save(rig.store, LAYOUT, held.Book(), etag="", conditional=True, at=at)
    await held.change_orders(rig.store, LAYOUT, lambda orders: orders)
    await requests.ask(rig.store, LAYOUT, by="laptop", at=at)
    await retired.mark(rig.store, LAYOUT, Retired(at))
    return rig


def paths(rig: Rig) -> dict[str, str]:
    """The newest file of each sort -> its key."""
    return {
        name: key for name in RAISED for key in rig.store.objects() if key.startswith(META + name)
    }


def raise_format(rig: Rig, name: str) -> None:
    key = paths(rig)[name]
    rig.store.written_by_a_stranger(key, RAISED[name](rig.store.objects()[key]))


async def test_the_table_names_every_file_that_there_is() -> None:
    rig = await a_prefix_with_every_file()
    assert paths(rig).keys() == RAISED.keys()
    unnamed = [
        key
        for key in rig.store.objects()
        if key.startswith(META) and not any(key.startswith(META + name) for name in RAISED)
    ]
    assert unnamed == []


async def test_what_this_program_has_written_is_not_newer() -> None:
    rig = await a_prefix_with_every_file()
    async with rig.running():
        assert rig.equal()


async def test_a_newer_owner_is_refused_before_anything_is_written() -> None:
    rig = await a_prefix_with_every_file()
    raise_format(rig, "owner.json")
    before = rig.store.objects()
    rig.cluster.create(config_map("second"))
    async with following(rig) as run:
        await asyncio.wait([run], timeout=600)
        assert "owner.json has format 2, this program knows up to 1" in str(refusal(run))
    assert rig.store.objects() == before


@pytest.mark.parametrize("name", READ_AT_A_START)
async def test_any_newer_file_that_a_start_reads_is_refused_before_an_object_is_written(
    name: str,
) -> None:
    rig = await a_prefix_with_every_file()
    raise_format(rig, name)
    before, raised = rig.files(), rig.store.objects()[paths(rig)[name]]
    rig.cluster.create(config_map("second"))
    async with following(rig) as run:
        await asyncio.wait([run], timeout=600)
        assert f"{paths(rig)[name].removeprefix(PREFIX)} has format 2" in str(refusal(run))
    assert rig.files() == before
    assert rig.store.objects()[paths(rig)[name]] == raised


@pytest.mark.parametrize("name", ["reports/", "requests/", "deletes/allow.json"])
async def test_a_newer_file_that_is_read_later_ends_the_run_and_stays_as_it_is(name: str) -> None:
    rig = await a_prefix_with_every_file()
    async with following(rig) as run:
        await rig.until(lambda: rig.ready() is None)
        raise_format(rig, name)
        raised = rig.store.objects()[paths(rig)[name]]
        await asyncio.wait([run], timeout=3 * 86_400)
        assert f"{paths(rig)[name].removeprefix(PREFIX)} has format 2" in str(refusal(run))
    assert rig.store.objects()[paths(rig)[name]] == raised


async def test_the_mark_of_a_retired_cluster_is_nothing_that_a_run_heeds() -> None:
    rig = await a_prefix_with_every_file()
    raise_format(rig, "retired.json")
    async with rig.running():
        assert rig.equal()
