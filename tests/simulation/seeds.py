"""Many seeds, on as many cores as there are."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice

from tests.simulation.play import Outcome, play_seed


def outcomes(seeds: range, jobs: int, *, share: int = 5) -> Iterator[Outcome]:
    """What became of each, in their order. share: how many a process takes at once."""
    if jobs == 1:
        yield from map(play_seed, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        try:
            left = iter(seeds)
            waiting = [pool.submit(_play, some) for some in _shares(left, share, 2 * jobs)]
            while waiting:
                yield from waiting.pop(0).result()
                waiting += [pool.submit(_play, some) for some in _shares(left, share, 1)]
        finally:
            pool.shutdown(cancel_futures=True)


def _shares(seeds: Iterator[int], size: int, n: int) -> Iterator[list[int]]:
    for _ in range(n):
        if some := list(islice(seeds, size)):
            yield some


def _play(seeds: list[int]) -> list[Outcome]:
    return [play_seed(seed) for seed in seeds]
