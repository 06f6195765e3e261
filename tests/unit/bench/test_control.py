"""What a benchmark asks of the simulated cluster happens, at once or at its rate."""

import asyncio
from datetime import UTC, datetime
from random import Random

import aiohttp
import pytest

from bench.bulk import fill, mixed
from bench.cluster import Cluster
from bench.control import PATH, Control
from bench.server import serve

OBJECTS = 400


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    fill(made, OBJECTS)
    return made


def versions(cluster: Cluster) -> dict[tuple[str, str, str], str]:
    return {
        place: cluster.get(*place)["metadata"]["resourceVersion"]
        for place in mixed(cluster, OBJECTS)
    }


def test_a_burst_changes_as_many_objects_and_each_once(cluster: Cluster) -> None:
    before, version = versions(cluster), cluster.version
    Control(cluster, Random(0)).act({"burst": "50"})
    after = versions(cluster)
    assert sum(after[place] != before[place] for place in before) == 50
    assert cluster.version == version + 50


def test_two_bursts_change_the_same_objects_anew(cluster: Cluster) -> None:
    control, version = Control(cluster, Random(0)), cluster.version
    control.act({"burst": "50"})
    control.act({"burst": "50"})
    assert cluster.version == version + 100


def test_a_deletion_is_whole_when_it_is_answered(cluster: Cluster) -> None:
    before = len(cluster)
    told = Control(cluster, Random(0)).act({"delete": "40"})
    assert told["objects"] == len(cluster) == before - 40


@pytest.mark.looptime
@pytest.mark.parametrize("load", ["churn", "changes", "turns"])
async def test_load_has_the_rate_that_was_asked_for_until_it_is_ended(
    cluster: Cluster, load: str
) -> None:
    control, version = Control(cluster, Random(0)), cluster.version
    control.act({load: "100"})
    await asyncio.sleep(2)
    assert cluster.version == pytest.approx(version + 200, abs=10)
    control.act({load: "0"})
    ended = cluster.version
    await asyncio.sleep(2)
    assert cluster.version == ended
    await control.close()


@pytest.mark.looptime
async def test_in_turns_none_changes_again_before_all_others_have(cluster: Cluster) -> None:
    control, before = Control(cluster, Random(0)), versions(cluster)
    control.act({"turns": str(len(before))})
    await asyncio.sleep(1.0)
    await control.close()
    changed = [place for place, version in versions(cluster).items() if version != before[place]]
    assert len(changed) >= 0.9 * len(before)


async def test_it_is_asked_over_http_and_says_what_it_does_not_understand(
    cluster: Cluster,
) -> None:
    control = Control(cluster, Random(0))
    async with (
        serve(cluster, control=control) as url,
        aiohttp.ClientSession() as session,
    ):
        async with session.post(f"{url}{PATH}?burst=5") as answer:
            assert (await answer.json())["objects"] == len(cluster)
        async with session.post(f"{url}{PATH}?burn=5") as answer:
            assert answer.status == 400
