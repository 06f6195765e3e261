"""How many requests at once: less when the bucket says so, more again when it goes well."""

import asyncio
from random import Random

import pytest

from watcher.capture.pace import Pace

pytestmark = pytest.mark.looptime


async def _turns(pace: Pace) -> int:
    """How many turns are to be had at once."""
    taken = 0
    try:
        async with asyncio.timeout(0.01):
            while True:
                await pace.turn()
                taken += 1
    except TimeoutError:
        for _ in range(taken):
            pace.unused()
        return taken


async def _one(pace: Pace) -> float:
    await pace.turn()
    return asyncio.get_running_loop().time()


async def test_as_many_at_once_as_settings_allow() -> None:
    assert await _turns(Pace(8, Random(1))) == 8


async def test_slow_down_halves_it_and_waits_as_told() -> None:
    pace = Pace(8, Random(1))
    pace.was_throttled(await _one(pace), retry_after=7.0)
    await pace.turn()
    assert asyncio.get_running_loop().time() >= 7.0
    pace.unused()
    assert await _turns(pace) == 4


async def test_many_answers_of_the_same_moment_halve_it_once() -> None:
    pace = Pace(8, Random(1))
    began = [await _one(pace) for _ in range(8)]
    await asyncio.sleep(1.0)
    for moment in began:
        pace.was_throttled(moment, None)
    await asyncio.sleep(60)
    assert await _turns(pace) == 4


async def test_a_failure_leaves_one_and_waits_longer_each_time_up_to_15_seconds() -> None:
    pace = Pace(8, Random(1))
    waits = []
    for _ in range(10):
        began = await _one(pace)
        pace.failed(began)
        await pace.turn()
        waits.append(asyncio.get_running_loop().time() - began)
        pace.unused()
        assert await _turns(pace) == 1
    assert waits[0] < 1.0
    assert 7.5 <= waits[-1] <= 15.1


async def test_success_brings_all_of_it_back() -> None:
    pace = Pace(8, Random(1))
    pace.failed(await _one(pace))
    for _ in range(8):
        await pace.turn()
        pace.went_well()
    assert await _turns(pace) == 8


async def test_after_slow_down_it_grows_by_one_a_round() -> None:
    pace = Pace(8, Random(1))
    pace.was_throttled(await _one(pace), None)
    for _ in range(5):
        await pace.turn()
        pace.went_well()
    assert await _turns(pace) == 5
