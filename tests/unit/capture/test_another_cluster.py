"""What answers at our cluster's address may be another cluster: nothing of it is believed."""

import asyncio
import re

import pytest

from bench.cluster import Cluster
from tests.unit.capture.rig import Rig, config_map, following, refusal
from watcher.errors import RefusedError

pytestmark = pytest.mark.looptime

REFUSAL = "another cluster answers at this address: its UID is .*, the backup is of the one with"


def filled() -> Rig:
    rig = Rig()
    for number in range(30):
        rig.cluster.create(config_map(f"c{number}"))
    return rig


def another(rig: Rig) -> Cluster:
    """Of the same names, with other contents."""
    other = Cluster(rig.clock, seed=99)
    other.create(config_map("c0", "theirs"))
    other.create(config_map("stranger"))
    return other


def answers(rig: Rig, other: Cluster) -> None:
    """From now on the other one answers in the place of ours."""
    rig.cluster._tables, rig.cluster.version = other._tables, other.version
    rig.cluster.floor = other.floor


@pytest.mark.parametrize("further", [False, True], ids=["behind ours", "further than ours"])
async def test_it_ends_the_run_before_anything_of_it_is_stored(further: bool) -> None:
    rig = filled()
    async with following(rig) as task:
        await rig.until(lambda: rig.ready() is None)
        before, other = rig.files(), another(rig)
        while further and other.version < rig.cluster.version + 100:
            other.update(config_map("c0", f"theirs {other.version}"))
        answers(rig, other)
        rig.cluster.faults.drop_watches()
        await rig.until(task.done, 40)
        assert re.match(REFUSAL, str(refusal(task)))
        assert rig.files() == before


async def test_it_is_noticed_within_a_minute_though_no_connection_broke() -> None:
    rig = filled()
    async with following(rig) as task:
        await rig.until(lambda: rig.ready() is None)
        before = rig.files()
        answers(rig, another(rig))
        await rig.until(task.done, 61)
        assert re.match(REFUSAL, str(refusal(task)))
        assert rig.files() == before


async def test_one_that_does_not_tell_yet_which_it_is_is_waited_for() -> None:
    """As an API server that comes back on an empty etcd: kube-system takes it some seconds."""
    rig = filled()
    async with following(rig) as task:
        await rig.until(lambda: rig.ready() is None)
        before, other = rig.files(), another(rig)
        other.delete("namespaces", "", "kube-system")
        answers(rig, other)
        rig.cluster.faults.drop_watches()
        await asyncio.sleep(120)
        assert not task.done()
        assert rig.files() == before
        rig.cluster.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}
        )
        await rig.until(task.done, 61)
        assert re.match(REFUSAL, str(refusal(task)))
        assert rig.files() == before


async def test_a_right_that_went_missing_does_not_end_the_backup_of_the_rest() -> None:
    rig = filled()
    async with rig.running():
        rig.cluster.faults.forbid("namespaces")
        rig.cluster.faults.drop_watches()
        await asyncio.sleep(120)
        rig.cluster.create(config_map("new"))
        await asyncio.sleep(20)
        assert rig.equal()


async def test_all_kinds_that_break_at_once_cost_one_question() -> None:
    rig = filled()
    async with rig.running():
        await asyncio.sleep(10)
        before = rig.cluster.requests["list", "namespaces"]
        rig.cluster.faults.drop_watches()
        await asyncio.sleep(40)
        asked = rig.cluster.requests["list", "namespaces"] - before
        assert asked <= 3  # ours, the probe of the informer itself, and that of the minute


async def test_its_prefix_is_refused_to_another_one() -> None:
    rig = Rig()
    await rig.once()
    other = Rig()
    other.cluster = type(other.cluster)(other.clock, seed=99)
    other.store = rig.store
    before = rig.files()
    other.cluster.create(config_map("hello"))
    with pytest.raises(RefusedError, match="belongs to the cluster with UID"):
        await other.once()
    assert rig.files() == before
