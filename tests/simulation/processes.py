"""The watchers of one world: started, stopped and killed as a plan wants it.

Exists so that a kill is what it is in life: the process says no more from that moment on, whatever
its code would like to do at its end, and what it sent may still arrive. Promises: each process is
the real `follow` between the world's two edges, known to the judge from its start to its end.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from random import Random

from tests.simulation.bucket import WHO, Bucket
from tests.simulation.invariants import Judge, Life
from tests.simulation.trace import Trace
from tests.simulation.truth import CLEANER
from watcher.capture.context import Context, about_of
from watcher.capture.service import Summary, follow
from watcher.cluster.api import WritableAPI
from watcher.errors import RefusedError
from watcher.logs import open_log
from watcher.metrics import Metrics
from watcher.settings import Settings
from watcher.status import Status


@dataclass(eq=False, slots=True)
class Process:
    life: Life
    stop: asyncio.Event
    logged: io.StringIO
    task: asyncio.Task[Summary] | None = None
    ready: Callable[[], str | None] = lambda: "not started"
    status: Callable[[], Status | None] = lambda: None

    @property
    def ended(self) -> bool:
        return self.task is None or self.task.done()


class Processes:
    def __init__(
        self,
        api: WritableAPI,
        bucket: Bucket,
        settings: Settings,
        judge: Judge,
        trace: Trace,
        *,
        clock: Callable[[], datetime],
        seed: int,
        may_be_refused: Callable[[Life], bool],
        refused: Callable[[str], object],
    ) -> None:
        """may_be_refused: whether a process that ends because it was refused is right. refused:
        told of an instance that ended so."""
        self._api = api
        self._bucket = bucket
        self._settings = settings
        self._judge = judge
        self._trace = trace
        self._clock = clock
        self._seed = seed
        self._may_be_refused = may_be_refused
        self._refused = refused
        self._time = asyncio.get_running_loop().time
        self._doomed: dict[str, int] = {}  # instance -> requests until it is killed
        self._newest: dict[str, Process] = {}  # of each instance
        bucket.on_ask = self._asked

    @property
    def all(self) -> list[Process]:
        """The newest of each instance, dead or alive."""
        return list(self._newest.values())

    @property
    def alive(self) -> list[Process]:
        return [p for p in self.all if not p.life.dead and not p.ended]

    def start(self, instance: str, *, abroad: bool) -> None:
        """abroad: whether it meets another cluster."""
        last = self._newest.get(instance)
        if last and not last.ended:
            if last not in self.alive or last.life.released is not None:  # it is still ending
                again = asyncio.get_running_loop().call_later
                again(1.0, lambda: self.start(instance, abroad=abroad))
            return
        number = len(self._judge.lives)
        life = Life(number, instance, self._time(), self._judge.truth.restored, deceived=abroad)
        self._judge.lives.append(life)
        process = self._newest[instance] = Process(life, asyncio.Event(), io.StringIO())
        context = copy_context()
        context.run(WHO.set, life)
        loop = asyncio.get_running_loop()
        process.task = loop.create_task(self._follow(process), context=context)
        process.task.add_done_callback(lambda task: self._has_ended(process, task))
        self._trace.note(f"{life} starts")

    def kill(self, instance: str) -> None:
        for process in self.alive:
            if process.life.instance == instance and process.task:
                self._trace.note(f"{process.life} is killed")
                process.life.dead = True
                process.task.cancel()

    def kill_at_request(self, instance: str, n: int) -> None:
        """When its n-th request from now on has left."""
        self._doomed[instance] = n

    def stop(self, instance: str) -> None:
        for process in self.alive:
            if process.life.instance == instance and process.life.released is None:
                self._trace.note(f"{process.life} is told to stop")
                process.life.released = self._time()
                process.stop.set()

    def spare(self) -> None:
        """Nobody is doomed any more."""
        self._doomed.clear()

    async def _follow(self, process: Process) -> Summary:
        @asynccontextmanager
        async def serve(
            *,
            live: Callable[[], str | None],
            ready: Callable[[], str | None],
            status: Callable[[], Status],
        ) -> AsyncIterator[None]:
            process.ready, process.status = ready, status
            yield

        instance, metrics = process.life.instance, _Metrics("test")
        context = Context(
            self._api,
            self._bucket,
            self._settings,
            CLEANER,
            about_of(self._settings, self._bucket, metrics, instance, self._clock()),
            metrics,
            open_log(process.logged, "logfmt", "error", self._clock),
            Random(self._seed * 100 + process.life.number),
            self._clock,
        )
        return await follow(context, once=False, stop=process.stop, serve=serve, progress=None)

    def _has_ended(self, process: Process, task: asyncio.Task[Summary]) -> None:
        life = process.life
        self._trace.note(f"{life} ends")
        if "Traceback" in process.logged.getvalue():
            self._judge.breach(f"swallowed: {life}: {process.logged.getvalue()}")
        error = _first(None if task.cancelled() else task.exception())
        in_order = life.dead or (life.released is not None and not error)
        refused = isinstance(error, RefusedError) and self._may_be_refused(life)
        if refused and life.released is None:
            self._refused(life.instance)
        if not in_order and not refused:
            self._judge.breach(f"ended: {life}: {error!r}")
        life.dead = True

    def _asked(self, life: Life) -> None:
        left = self._doomed.get(life.instance)
        if left is None:
            return
        self._doomed[life.instance] = left - 1
        if left <= 1:
            del self._doomed[life.instance]
            asyncio.get_running_loop().call_soon(self.kill, life.instance)


class _Metrics(Metrics):
    async def observe_event_loop(self, interval: float = 1.0) -> None:
        """Virtual time lags by nothing, and looking at that each second is half of the work."""
        await asyncio.Event().wait()


def _first(error: BaseException | None) -> BaseException | None:
    """What went wrong first, in a group of task groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
