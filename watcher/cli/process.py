"""What every command that talks to a cluster or a bucket runs in: an event loop, signals, a log."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from watcher.logs import Level, Log, Threshold, open_log, take_over_library_logs
from watcher.settings import Settings

_T = TypeVar("_T")


def log_of(settings: Settings, *, level: Level | Threshold | None = None) -> Log:
    """The log on stderr that the settings want, with what libraries log.

    level: instead of that of the settings.
    """
    log = open_log(
        sys.stderr, settings.log_format, level or settings.log_level, lambda: datetime.now(UTC)
    )
    take_over_library_logs(log)
    for warning in settings.warnings:
        log.warning(warning)
    return log


def run_until_done(work: Coroutine[Any, Any, _T], log: Log) -> _T:
    """The result of `work`, in an event loop of its own."""
    import uvloop

    # Pages of lists are thousands of objects that no collection frees: looking at them at the
    # default of 700 took a fifth of a first sync's CPU, and memory is the same without.
    gc.set_threshold(10_000)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except Exception:
        log.debug("stopped by an error", exc_info=True)
        raise


def heed_sigterm() -> None:
    """SIGTERM ends every command as Ctrl-C does, where it is PID 1 of a container: there the kernel
    drops a signal that nobody handles, and the kubelet would wait for nothing, then kill."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def stop_by_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second one ends the process as it always does."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def request_stop() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, request_stop)
    return stop


def version_of_program() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("watcher")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "0"
