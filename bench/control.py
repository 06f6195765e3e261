"""What a benchmark asks of the simulated cluster while it runs: load, bursts, deletions, counts.

Exists because the cluster is in a process of its own, and what happens in it must be told by number
and moment. Promises: a burst or a deletion is whole when it is answered; nothing here is the API of
Kubernetes: it lies under `/bench`, which no real API server serves.

    POST /bench?churn=500&changes=20    so many a second from here on, anywhere
    POST /bench?turns=100               the same, of one object after the other
    POST /bench?burst=5000              that many different objects change at once
    POST /bench?delete=500              that many objects go at once
    GET  /bench                         {"objects": …, "requests": {"list pods": …}}
"""

import asyncio
from collections.abc import Coroutine, Mapping
from random import Random

from bench.bulk import mixed
from bench.cluster import Cluster
from bench.load import churn, edits, mark, turns

PATH = "/bench"


class Control:
    """Of one cluster. `close` when done: it holds the load's tasks."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self._load: dict[str, asyncio.Task[None]] = {}
        self._bursts = 0

    def act(self, asked: Mapping[str, str]) -> dict[str, object]:
        """Raises ValueError or KeyError for what is not understood."""
        for what, number in asked.items():
            match what:
                case "churn" | "changes" | "turns":
                    self._set_rate(what, float(number))
                case "burst":
                    self._burst(int(number))
                case "delete":
                    self._delete(int(number))
                case _:
                    raise KeyError(what)
        counted = self._cluster.requests
        requests = {f"{verb} {what}": number for (verb, what), number in counted.items()}
        return {"objects": len(self._cluster), "requests": requests}

    async def close(self) -> None:
        for task in self._load.values():
            task.cancel()
        await asyncio.gather(*self._load.values(), return_exceptions=True)

    def _set_rate(self, what: str, rate: float) -> None:
        if running := self._load.pop(what, None):
            running.cancel()
        if rate:
            self._load[what] = asyncio.create_task(self._changing(what, rate))

    def _changing(self, what: str, rate: float) -> Coroutine[None, None, None]:
        if what == "turns":
            return turns(self._cluster, rate, mixed(self._cluster, len(self._cluster)))
        return {"churn": churn, "changes": edits}[what](self._cluster, rate, self._random)

    def _burst(self, count: int) -> None:
        self._bursts += 1
        for place in mixed(self._cluster, count):
            mark(self._cluster, *place, f"burst-{self._bursts}")

    def _delete(self, count: int) -> None:
        for place in mixed(self._cluster, count):
            self._cluster.delete(*place)
