"""Log lines: logfmt where a machine reads them, colours on a terminal, JSON on request.

Exists so that one call says a thing once, in the form that the reader of this run wants. Promises:
one line an entry, time first, UTC, RFC 3339; `Secret`s stay hidden in every form; no global
logger: who logs was given a `Log`. What libraries log (from warnings up) comes out the same way;
below that they would print request headers and bodies.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

Log = FilteringBoundLogger

Form = Literal["auto", "logfmt", "json"]
Level = Literal["debug", "info", "warning", "error"]


@dataclass(slots=True)
class Threshold:
    """The lowest level that is written. Moved while a log is open, it counts from then on."""

    level: Level


def open_log(
    stream: TextIO, form: Form, level: Level | Threshold, clock: Callable[[], datetime]
) -> Log:
    """A log on this stream. clock: now, with a time zone."""
    ranks = logging.getLevelNamesMapping()
    threshold = level if isinstance(level, Threshold) else Threshold(level)

    def sift(_: WrappedLogger, name: str, entry: EventDict) -> EventDict:
        if ranks[name.upper()] < ranks[threshold.level.upper()]:
            raise structlog.DropEvent
        return entry

    def stamp(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
        now = clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"time": now, "level": entry.pop("level"), "event": entry.pop("event"), **entry}

    return structlog.wrap_logger(  # type: ignore[no-any-return]
        structlog.WriteLogger(stream),
        processors=[sift, structlog.processors.add_log_level, stamp, *_rendering(stream, form)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=True,
    )


def _rendering(stream: TextIO, form: Form) -> list[Processor]:
    if form == "auto" and stream.isatty():
        # The default formatter prints local variables: bodies of Secrets among them.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(timestamp_key="time", exception_formatter=plain)]
    one_line: list[Processor] = [structlog.processors.format_exc_info]
    if form == "json":
        return [*one_line, structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]
    return [*one_line, structlog.processors.LogfmtRenderer(bool_as_flag=False)]


class Outage:
    """Something that should work and may not: says once that it stopped, and when it is over.

    what: the thing, as in "writing to the bucket". clock: seconds, monotonic: `loop.time`.
    """

    def __init__(self, log: Log, what: str, clock: Callable[[], float]) -> None:
        self._log = log
        self._what = what
        self._clock = clock
        self._since = 0.0
        self.reason: str | None = None  # the latest one; None: it works

    def began(self, reason: str) -> None:
        """Call at each failure: the first is a warning, a new reason meanwhile a debug line."""
        if self.reason is None:
            self._since = self._clock()
            self._log.warning(f"{self._what} fails", reason=reason)
        elif reason != self.reason:
            self._log.debug(f"{self._what} still fails", reason=reason)
        self.reason = reason

    def ended(self) -> None:
        """Call at each success."""
        if self.reason is not None:
            self.reason = None
            self._log.info(f"{self._what} works again", after=f"{self._clock() - self._since:.1f}s")


class _ToLog(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(
            record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info
        )


def take_over_library_logs(log: Log) -> None:
    """Let what aiohttp, asyncio and the clients log come out of this log: once, by the program."""
    logging.basicConfig(handlers=[_ToLog(log)], level=logging.WARNING, force=True)
