"""Many PUTs at a time, and what they take: the loop that yardsticks share."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

AT_ONCE = 32  # watcher's default too


async def timed(
    files: Mapping[str, bytes], put: Callable[[str, bytes], Awaitable[object]]
) -> tuple[float, float]:
    """Seconds of wall and of CPU that it takes to `put` each key and its bytes."""
    waiting = iter(files.items())

    async def put_in_turn() -> None:
        for key, body in waiting:
            await put(key, body)

    began, cpu = time.monotonic(), time.process_time()
    async with asyncio.TaskGroup() as putting:
        for _ in range(AT_ONCE):
            putting.create_task(put_in_turn())
    return time.monotonic() - began, time.process_time() - cpu
