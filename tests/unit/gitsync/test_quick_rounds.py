"""Rounds by journals, between two comparisons of everything: cheap, and never the last word."""

from tests.memory_store import Fault
from tests.unit.gitsync.rig import EAST, WEST, Rig

WEB = "default/deployment/web.yaml"
CONF = "default/configmap/conf.yaml"


async def test_a_writer_whose_epoch_begins_anew_is_followed(rig: Rig) -> None:
    rig.begin_journal(EAST, epoch=7)
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.flush_journals()
    rig.clock.tick(minutes=5)
    async with rig.started(git_sync_schedule="continuous") as mirror:
        await mirror.round()
        rig.begin_journal(EAST, epoch=1)
        await rig.put(EAST, WEB, "replicas: 2\n")
        await rig.flush_journals()
        await mirror.round(full=False)
    assert rig.mirrored() == rig.expected()


async def test_where_there_is_a_schedule_nothing_is_followed_before_its_time(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    async with rig.started() as mirror:
        await mirror.round()
        await rig.put(EAST, WEB, "replicas: 2\n")
        await rig.flush_journals()
        await mirror.round(full=False)
    assert len(rig.host.commits()) == 1


async def test_a_quick_round_lists_no_objects(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.put(EAST, CONF, "data: {}\n")
    await rig.flush_journals()
    async with rig.started(git_sync_schedule="continuous") as mirror:
        await mirror.round()
        await rig.put(EAST, WEB, "replicas: 2\n")
        await rig.delete(EAST, CONF)
        await rig.flush_journals()
        rig.forget_requests()
        await mirror.round(full=False)
    assert rig.mirrored() == rig.expected()
    assert ("LIST", EAST.prefix) not in rig.store.requests
    assert rig.read() == [EAST.prefix + CONF, EAST.prefix + WEB]  # the first is not there any more


async def test_a_cluster_that_is_new_is_compared_at_once(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    async with rig.started(git_sync_schedule="continuous") as mirror:
        await mirror.round()
        await rig.put(WEST, WEB, "replicas: 1\n")
        await mirror.round(full=False)
    assert rig.mirrored() == rig.expected()


async def test_what_no_journal_tells_of_is_found_by_a_full_round(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    async with rig.started(git_sync_schedule="continuous") as mirror:
        await mirror.round()
        rig.clock.tick(hours=1)
        rig.store.written_by_a_stranger(EAST.prefix + CONF, b"data: {}\n")
        await mirror.round(full=False)
        assert EAST.prefix + CONF not in rig.mirrored()
        await mirror.round()
    assert rig.mirrored() == rig.expected()


async def test_a_quick_round_takes_a_position_no_further(rig: Rig) -> None:
    """A journal may lack what its writer could not write any more."""
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.flush_journals()
    async with rig.started(git_sync_schedule="continuous") as mirror:
        await mirror.round()
        rig.clock.tick(hours=1)
        rig.store.written_by_a_stranger(EAST.prefix + CONF, b"data: {}\n")
        await rig.put(EAST, WEB, "replicas: 2\n")
        await rig.flush_journals()
        await mirror.round(full=False)
    await rig.sync()  # a new process, which knows no more than the commits say
    assert rig.mirrored() == rig.expected()


async def test_a_journal_that_cannot_be_read_makes_its_cluster_be_compared(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.flush_journals()
    async with rig.started(git_sync_schedule="continuous") as mirror:
        await mirror.round()
        await rig.put(EAST, WEB, "replicas: 2\n")
        await rig.flush_journals()
        rig.store.choose_fault = lambda operation, key: (
            Fault.REJECTED if "_meta/journal" in key else Fault.NONE
        )
        summary = await mirror.round(full=False)
        assert list(summary.behind) == ["example.com/east"]
        rig.store.recover()
        await mirror.round(full=False)
    assert rig.mirrored() == rig.expected()
