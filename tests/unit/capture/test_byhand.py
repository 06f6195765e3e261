"""A reconcile by hand: beside a running service by that service, else here; a dry run anywhere."""

from collections.abc import Callable

import pytest

from tests.unit.capture.rig import PREFIX, Rig, config_map
from watcher.bucket.reports import Report
from watcher.capture import byhand
from watcher.errors import RefusedError

pytestmark = pytest.mark.looptime

KEY = "default/configmap/map-{:02}.yaml"


def quietly(what: str) -> None: ...


async def by_hand(
    rig: Rig, *, dry_run: bool = False, say: Callable[[str], None] = quietly
) -> Report:
    return await byhand.reconcile(rig.context(), dry_run=dry_run, say=say)


async def backed_up(objects: int = 20) -> Rig:
    rig = Rig()
    for number in range(objects):
        rig.cluster.create(config_map(f"map-{number:02}"))
    await rig.once()
    return rig


def spoil(rig: Rig) -> None:
    """Each kind of drift twice, while nobody runs."""
    for number in (0, 1):
        rig.store.removed_by_a_stranger(PREFIX + KEY.format(number))
    for number in (2, 3):
        rig.store.written_by_a_stranger(PREFIX + KEY.format(number), b"kind: Garbage\n")
    for number in (4, 5):
        rig.cluster.update(config_map(f"map-{number:02}", "changed while nobody looked"))
    for number in (6, 7):
        rig.cluster.delete("configmaps", "default", f"map-{number:02}")


async def test_where_nobody_runs_it_repairs_exactly_what_differs() -> None:
    rig = await backed_up()
    spoil(rig)
    before = rig.writes()
    report = await by_hand(rig)
    assert report.missing == (KEY.format(0), KEY.format(1))
    assert report.changed == tuple(KEY.format(number) for number in (2, 3, 4, 5))
    assert report.orphaned == (KEY.format(6), KEY.format(7))
    assert report.repaired == 8
    assert rig.writes() - before == 8
    assert rig.equal()
    again = await by_hand(rig)
    assert (again.drift, rig.writes() - before) == (0, 8)
    assert again.hash_root
    assert again.hash_root.cluster == again.hash_root.bucket


async def test_a_dry_run_finds_the_same_and_writes_nothing() -> None:
    rig = await backed_up()
    spoil(rig)
    before = rig.store.objects()
    report = await by_hand(rig, dry_run=True)
    assert (report.drift, report.repaired) == (8, 0)
    assert rig.store.objects() == before


async def test_beside_a_running_service_that_service_does_it() -> None:
    rig = await backed_up()
    said: list[str] = []
    async with rig.running():
        rig.store.removed_by_a_stranger(PREFIX + KEY.format(0))
        report = await by_hand(rig, say=said.append)
        assert (report.trigger, report.missing) == ("request", (KEY.format(0),))
        assert rig.equal()
    assert "asking test" in said[0]


async def test_a_dry_run_goes_beside_a_running_service() -> None:
    rig = await backed_up()
    async with rig.running():
        rig.store.removed_by_a_stranger(PREFIX + KEY.format(0))
        assert (await by_hand(rig, dry_run=True)).missing == (KEY.format(0),)
        assert KEY.format(0) not in rig.files()


async def test_a_prefix_that_was_never_synced_is_left_to_a_first_sync() -> None:
    rig = Rig()
    rig.store.written_by_a_stranger(f"{PREFIX}default/configmap/old.yaml", b"kind: ConfigMap\n")
    with pytest.raises(RefusedError, match="first full sync"):
        await by_hand(rig)
    assert "default/configmap/old.yaml" in rig.files()
