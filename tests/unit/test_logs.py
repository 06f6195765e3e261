"""Log lines: one form for each reader, no secrets in any, and outages are said once."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from watcher.logs import Form, Level, Log, Outage, open_log, take_over_library_logs
from watcher.settings import Secret, load

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
FORMS: list[Form] = ["auto", "logfmt", "json"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def log_to(stream: io.StringIO, form: Form = "logfmt", level: Level = "info") -> Log:
    return open_log(stream, form, level, lambda: NOW)


def test_a_pipe_gets_logfmt() -> None:
    stream = io.StringIO()
    log_to(stream, "auto").warning("bucket slow", code=503, again=True, why='it said "no"\n')
    assert stream.getvalue() == (
        'time=2026-01-02T03:04:05.678Z level=warning event="bucket slow" code=503 again=true'
        ' why="it said \\"no\\"\\n"\n'
    )


def test_json_lines_on_request() -> None:
    stream = io.StringIO()
    log_to(stream, "json").info("ready", objects=3, name="Käse")
    assert json.loads(stream.getvalue()) == {
        "time": "2026-01-02T03:04:05.678Z",
        "level": "info",
        "event": "ready",
        "objects": 3,
        "name": "Käse",
    }


def test_a_terminal_gets_colours_unless_told_otherwise() -> None:
    terminal = Terminal()
    log_to(terminal, "auto").info("ready")
    assert "\x1b[" in terminal.getvalue()

    terminal = Terminal()
    log_to(terminal, "logfmt").info("ready")
    assert terminal.getvalue() == "time=2026-01-02T03:04:05.678Z level=info event=ready\n"


def test_times_are_utc_wherever_the_machine_is() -> None:
    stream = io.StringIO()
    here = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    open_log(stream, "logfmt", "info", lambda: here).info("ready")
    assert stream.getvalue().startswith("time=2026-01-02T03:04:05.678Z ")


def test_lines_below_the_level_are_left_out() -> None:
    stream = io.StringIO()
    log = log_to(stream, level="warning")
    log.info("fine")
    log.bind(kind="pods").error("not fine")
    assert stream.getvalue().splitlines() == [
        'time=2026-01-02T03:04:05.678Z level=error event="not fine" kind=pods'
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_no_secret_gets_into_a_line(form: Form, stream: type[io.StringIO]) -> None:
    settings = load(
        {"cluster-domain": "example.com", "cluster-name": "east", "minio-bucket": "backups"},
        {"MINIO_ACCESS_KEY": "hush", "MINIO_SECRET_KEY": "hush", "FINGERPRINT_KEY": "hush"},
    )
    out = stream()
    log = log_to(out, form, "debug")
    log.info("starting", settings=settings, key=settings.minio_secret_key)
    try:
        fail_with(settings.fingerprint_key)
    except ValueError:
        log.error("failed", exc_info=True)
    assert "***" in out.getvalue()
    assert "hush" not in out.getvalue()


def fail_with(key: Secret) -> None:
    plain = key.reveal()
    raise ValueError(f"bad key {key} of {len(plain)} letters")


@pytest.fixture
def _root_logger_kept() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_root_logger_kept")
def test_warnings_of_libraries_come_out_the_same_way_and_nothing_below() -> None:
    stream = io.StringIO()
    take_over_library_logs(log_to(stream, level="debug"))
    logging.getLogger("botocore").debug("Authorization: hush")
    logging.getLogger("asyncio").warning("took %s seconds", 3)
    assert stream.getvalue() == (
        'time=2026-01-02T03:04:05.678Z level=warning event="took 3 seconds" logger=asyncio\n'
    )


class TestOutage:
    @pytest.fixture
    def stream(self) -> io.StringIO:
        return io.StringIO()

    @pytest.fixture
    def time(self) -> list[float]:
        return [100.0]

    @pytest.fixture
    def outage(self, stream: io.StringIO, time: list[float]) -> Outage:
        return Outage(log_to(stream), "writing to the bucket", lambda: time[0])

    def events(self, stream: io.StringIO) -> list[str]:
        return [line.partition(" event=")[2] for line in stream.getvalue().splitlines()]

    def test_it_is_said_once_and_when_it_is_over(
        self, outage: Outage, stream: io.StringIO, time: list[float]
    ) -> None:
        outage.began("connection refused")
        time[0] += 62.5
        outage.began("timeout")
        assert outage.reason == "timeout"
        outage.ended()
        outage.ended()
        assert outage.reason is None
        assert self.events(stream) == [
            '"writing to the bucket fails" reason="connection refused"',
            '"writing to the bucket works again" after=62.5s',
        ]

    def test_the_next_one_is_said_again_and_counts_from_its_own_begin(
        self, outage: Outage, stream: io.StringIO, time: list[float]
    ) -> None:
        outage.began("timeout")
        outage.ended()
        time[0] += 1000
        outage.began("timeout")
        time[0] += 1
        outage.ended()
        assert self.events(stream)[2:] == [
            '"writing to the bucket fails" reason=timeout',
            '"writing to the bucket works again" after=1.0s',
        ]

    def test_what_never_failed_says_nothing(self, outage: Outage, stream: io.StringIO) -> None:
        outage.ended()
        assert stream.getvalue() == ""
