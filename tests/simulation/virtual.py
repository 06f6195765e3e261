"""An event loop whose time passes only when nobody has anything left to do.

Exists so that hours of a simulated life take milliseconds and two runs of it are the same: no
wall clock, no real I/O, and tasks that hash by their number, for what asyncio keeps in sets (a
TaskGroup cancels in that order) would else follow memory addresses. Promises: time stands still
while anything can run; a loop that turns without time passing, or that waits for what never
comes, fails instead of hanging.
"""

import asyncio
import selectors
from collections.abc import Coroutine, Generator
from contextvars import Context
from itertools import count
from typing import Any, TypeVar

_T = TypeVar("_T")
_TURNS = 50_000  # of the loop while time stands still: nobody has that much to do at once


class Stuck(AssertionError):
    """Nothing is left to wait for, or somebody turns without waiting."""


class _Time(selectors.SelectSelector):
    """Waiting, for a loop that has nobody to hear from."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("everybody waits for something that never comes")
        if timeout > 0:
            self.now += timeout
            self._turns = 0
        else:
            self._turns += 1
            if self._turns > _TURNS:
                raise Stuck("somebody turns in a circle without waiting")
        return []


class _Task(asyncio.Task[_T]):
    def __init__(
        self,
        coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
        loop: asyncio.AbstractEventLoop,
        number: int,
        context: Context | None,
    ) -> None:
        self._number = number
        super().__init__(coro, loop=loop, name=f"task {number}", context=context)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._time = _Time()
        super().__init__(self._time)
        numbers = count(1)

        def numbered(
            loop: asyncio.AbstractEventLoop,
            coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
            *,
            context: Context | None = None,
        ) -> _Task[_T]:
            return _Task(coro, loop, next(numbers), context)

        self.set_task_factory(numbered)

    def time(self) -> float:
        return self._time.now


def run(story: Coroutine[Any, Any, _T]) -> _T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)
