"""The command line: what people and CI jobs type, read and branch on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from watcher import cli
from watcher.capture import service
from watcher.cli.options import CAPTURE
from watcher.errors import ClusterError, RefusedError, UsageError, WatcherError
from watcher.settings import SETTINGS

ARGUMENTS = [
    "--cluster-domain=example.com",
    "--cluster-name=east",
    "--minio-bucket=file:///backup",
    "--http-port=0",
]
SUMMARY = service.Summary(written=12, unchanged=3, deleted=1, skipped=4, seconds=1.25)


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no settings of the shell they are started from."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """What the service was started with. It ends at once; see `service_does` for other ends."""
    return service_does(monkeypatch, lambda: SUMMARY)


def service_does(
    monkeypatch: pytest.MonkeyPatch, end: Callable[[], service.Summary]
) -> list[SimpleNamespace]:
    calls: list[SimpleNamespace] = []

    async def run(settings: object, **given: Any) -> service.Summary:
        calls.append(SimpleNamespace(settings=settings, **given))
        return end()

    monkeypatch.setattr(service, "run", run)
    return calls


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def end() -> service.Summary:
        raise error

    service_does(monkeypatch, end)


def test_run_starts_the_service_with_the_settings_given(calls: list[SimpleNamespace]) -> None:
    assert cli.main(["run", *ARGUMENTS, "--debounce=1s", "--fsync", "--no-exclude-owned"]) == 0
    (call,) = calls
    assert not call.once
    assert call.settings.cluster_name == "east"
    assert call.settings.debounce == 1.0
    assert call.settings.fsync
    assert call.settings.sources["exclude-owned"] == "flag --exclude-owned"


def test_the_environment_gives_settings_too(
    calls: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBOUNCE", "1s")
    assert cli.main(["run", *ARGUMENTS]) == 0
    assert calls[0].settings.sources["debounce"] == "environment DEBOUNCE"


def test_the_last_line_of_run_once_says_what_was_done(
    calls: list[SimpleNamespace], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "--once", *ARGUMENTS]) == 0
    assert calls[0].once
    assert capsys.readouterr().out == "12 written, 3 unchanged, 1 deleted, 4 skipped in 1.2 s\n"


def test_http_is_served_while_following_unless_the_port_is_0(calls: list[SimpleNamespace]) -> None:
    cli.main(["run", *ARGUMENTS, "--http-port=8080"])
    cli.main(["run", *ARGUMENTS, "--http-port=0"])
    cli.main(["run", "--once", *ARGUMENTS, "--http-port=8080"])
    assert [call.serve is not None for call in calls] == [True, False, False]


def test_what_could_not_be_backed_up_is_listed_and_exits_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = tuple(f"kind {number}: 403" for number in range(25))
    service_does(monkeypatch, lambda: service.Summary(failed=failed))
    assert cli.main(["run", "--once", *ARGUMENTS]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "watcher: kind 0: 403"
    assert lines[-1] == "watcher: and 5 more"
    assert len(lines) == 21


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClusterError("the API server is away", hint="is it up?"), 1),
        (UsageError("http-port 8080: Address already in use"), 2),
        (RefusedError("the prefix is another cluster's"), 3),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    error: WatcherError,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fails_with(monkeypatch, error)
    assert cli.main(["run", *ARGUMENTS]) == code
    assert capsys.readouterr().err == f"watcher: {error}\n"


def test_of_errors_that_came_together_each_is_said_and_the_gravest_decides(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = ExceptionGroup("tasks", [RefusedError("not ours"), ClusterError("away")])
    fails_with(monkeypatch, ExceptionGroup("tasks", [inner]))
    assert cli.main(["run", *ARGUMENTS]) == 3
    assert capsys.readouterr().err == "watcher: not ours\nwatcher: away\n"


def test_a_bug_is_one_line_too_and_a_traceback_on_request_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_with(monkeypatch, KeyError("x"))
    assert cli.main(["run", *ARGUMENTS]) == 1
    assert capsys.readouterr().err == "watcher: a bug: KeyError('x')\n"

    assert cli.main(["run", *ARGUMENTS, "--log-level=debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "--debunce=2s"], "No such option '--debunce'. (Did you mean"),
        (["rum"], "No such command 'rum'."),
        (["version", "now"], "Got unexpected extra argument (now)"),
        (
            ["run", *ARGUMENTS, "--debounce=2 parsecs"],
            "debounce '2 parsecs' from flag --debounce: expected a duration such as 500ms, 2s or"
            " 1m30s",
        ),
    ],
)
def test_bad_usage_is_one_line_and_exits_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"watcher: {complaint}")
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""


def test_a_warning_about_settings_is_logged(
    calls: list[SimpleNamespace], tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "debunce").write_text("2s")
    assert cli.main(["run", *ARGUMENTS, f"--secret-dir={tmp_path}"]) == 0
    assert "level=warning" in (line := capsys.readouterr().err)
    assert "did you mean debounce?" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_the_service_to_stop(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(settings: object, *, stop: asyncio.Event, **_: object) -> service.Summary:
        os.kill(os.getpid(), number)
        await stop.wait()
        return SUMMARY

    monkeypatch.setattr(service, "run", run)
    assert cli.main(["run", *ARGUMENTS]) == 0
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_ctrl_c_does_not_wait(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(settings: object, *, stop: asyncio.Event, **_: object) -> service.Summary:
        os.kill(os.getpid(), signal.SIGINT)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
        return SUMMARY

    monkeypatch.setattr(service, "run", run)
    assert cli.main(["run", *ARGUMENTS]) == 1
    assert capsys.readouterr().err.strip() == "watcher: stopped before it was done"


def test_settings_shows_values_and_sources_but_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIO_ACCESS_KEY", "hush")
    monkeypatch.setenv("MINIO_SECRET_KEY", "hush")
    assert cli.main(["settings", *ARGUMENTS]) == 0
    rows = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert ["cluster-name", "east", "flag --cluster-name"] in rows
    assert ["minio-secret-key", "***", "environment MINIO_SECRET_KEY"] in rows
    assert ["max-delay", "15s", "default"] in rows
    assert len(rows) == 1 + len(SETTINGS)


def test_settings_shows_what_there_is_and_then_what_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["settings", "--output=json", "--cluster-name=east"]) == 2
    captured = capsys.readouterr()
    assert '"value": "east"' in captured.out
    assert [line.split()[1] for line in captured.err.splitlines()] == [
        "cluster-domain",
        "minio-bucket",
    ]


def test_too_many_deletions_at_once_make_once_refuse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service_does(monkeypatch, lambda: service.Summary(held=60))
    assert cli.main(["run", "--once", *ARGUMENTS]) == 3
    assert "60 files are kept though their objects are gone" in capsys.readouterr().err
    assert cli.main(["run", *ARGUMENTS]) == 0


def test_help_teaches_groups_an_example_and_the_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["run", "--help"]) == 0
    out = capsys.readouterr().out
    for taught in ("Example", "The bucket:\n", "--debounce DURATION", "[2s]", "Exit codes:\n"):
        assert taught in out
    assert all(
        f"--{s.name} " in out or f"--[no-]{s.name} " in out for s in SETTINGS if s.group in CAPTURE
    )
    assert "--git-" not in out


def test_no_command_at_all_shows_the_help_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["version"], ["run", "--help"], ["settings"]])
def test_what_needs_no_client_library_loads_none(arguments: list[str]) -> None:
    code = (
        "import sys; from watcher import cli; cli.main(sys.argv[1:]);"
        "print(sorted({'kubernetes_asyncio', 'aiobotocore', 'aiohttp', 'uvloop'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "watcher", "version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("watcher ")
