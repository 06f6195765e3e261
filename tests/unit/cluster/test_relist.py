"""A list beside the informer's: whole and consistent, or an error."""

from random import Random

import pytest

from bench.cluster import Cluster
from bench.memory_api import MemoryAPI, loop_clock
from watcher.cluster.client import PAGE_SIZE, Item
from watcher.cluster.relist import relist
from watcher.errors import ClusterError, StatusError
from watcher.objects.ref import APIResource

pytestmark = pytest.mark.looptime

CONFIG_MAPS = APIResource("", "v1", "configmaps", "ConfigMap", True)
COUNT = PAGE_SIZE * 2 + 7


class Taker:
    """What a list has shown since it last began."""

    def __init__(self) -> None:
        self.begun = 0
        self.names: list[str] = []

    def begin(self) -> None:
        self.begun += 1
        self.names = []

    def take(self, items: list[Item]) -> None:
        self.names += [item["metadata"]["name"] for item in items]


def filled() -> Cluster:
    cluster = Cluster(loop_clock())
    for number in range(COUNT):
        metadata = {"name": f"m-{number:04}", "namespace": "default"}
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    return cluster


async def listed(cluster: Cluster) -> Taker:
    taker = Taker()
    await relist(
        MemoryAPI(cluster), CONFIG_MAPS, begin=taker.begin, take=taker.take, random=Random(1)
    )
    return taker


async def test_it_shows_every_object_once() -> None:
    taker = await listed(filled())
    assert taker.names == [f"m-{number:04}" for number in range(COUNT)]
    assert taker.begun == 1


async def test_a_list_that_broke_off_begins_anew() -> None:
    cluster = filled()
    cluster.faults.cut_lists()
    taker = await listed(cluster)
    assert (len(taker.names), taker.begun) == (COUNT, 2)


async def test_an_expired_token_leads_to_a_list_in_one_piece() -> None:
    cluster = filled()
    cluster.faults.expire_tokens()
    taker = await listed(cluster)
    assert (len(taker.names), taker.begun) == (COUNT, 2)


async def test_throttling_is_waited_out() -> None:
    cluster = filled()
    cluster.faults.throttle(2, retry_after=30)
    assert len((await listed(cluster)).names) == COUNT


async def test_what_stays_forbidden_is_an_error() -> None:
    cluster = filled()
    cluster.faults.forbid("configmaps")
    with pytest.raises(StatusError, match="403"):
        await listed(cluster)


async def test_a_server_that_stays_away_is_an_error() -> None:
    cluster = filled()
    cluster.faults.stop()
    with pytest.raises(ClusterError):
        await listed(cluster)
