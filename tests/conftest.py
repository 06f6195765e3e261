"""What holds for every test: it leaves nothing behind, and it never waits for real.

- A test that leaves a task, a thread or a child process behind fails.
- `@pytest.mark.looptime` runs a test in virtual time: sleeping costs nothing, the `looptime`
  fixture is the time, and waiting for what never comes fails instead of hanging.
- hypothesis draws the same examples on every run.
"""

import asyncio
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "same-every-time", derandomize=True, deadline=None, database=None
)
hypothesis.settings.load_profile("same-every-time")

# All end by themselves: the first with the test's event loop, the second (asyncio's, up to Python
# 3.11) with a child process, the third (of moto's server) with the client's connection.
_PASSING_THREADS = ("asyncio_", "waitpid-", "process_request_thread")


def pytest_configure() -> None:
    # Says that there is no loop. Else the plugins' look for the current one, ahead of a test that
    # has none, would make one that nobody closes.
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if marker := item.get_closest_marker("looptime"):
            # With nothing left to wait for, two seconds for real I/O, then fail. When time goes on
            # nothing is ready: to look another 42 times (its default) takes most of a test.
            options = {"start": 0, "idle_step": 1, "idle_timeout": 2, "noop_cycles": 0}
            options |= marker.kwargs
            item.add_marker(pytest.mark.looptime(*marker.args, **options), append=False)


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    threads, children = set(threading.enumerate()), _children()
    handlers = logging.root.handlers[:]
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_leaves_no_task_behind")
    yield
    logging.root.handlers[:] = handlers  # a command run in-process takes library logs over
    left: list[object] = [
        thread
        for thread in set(threading.enumerate()) - threads
        if not any(name in thread.name for name in _PASSING_THREADS)
    ]
    left += [f"process {pid}" for pid in _children() - children]
    assert not left, f"left behind: {left}"


@pytest.fixture
async def _leaves_no_task_behind() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)  # lets a task end that was cancelled last
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"left behind: {left}"


def _children() -> set[str]:
    """Ids of this process's children, those that ended unnoticed too (Linux; else none)."""
    found: set[str] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(path.read_text().split())
        except OSError:  # the thread has just ended
            continue
    return found
