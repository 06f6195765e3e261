"""`python -m bench` end to end, small: a simulated cluster, a sink, a real `watcher`."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from bench.__main__ import main
from bench.measure import clusters, session
from bench.measure.place import Place, Plan

SMALL = ("--objects", "200", "--rounds", "1", "--bucket", "sink", "--scenario", "first-sync")


def test_a_first_sync_is_measured_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "--check", "--out", str(tmp_path)]) == 0
    [size] = orjson.loads((tmp_path / "report.json").read_bytes())["sizes"]
    figures = size["figures"]
    objects = figures["first-sync.sink.objects"]
    assert objects >= 200
    assert (
        figures["first-sync.sink.requests_PUT"] - figures["first-sync.sink.puts_beyond_objects"]
        == objects
    )
    assert 0 < figures["first-sync.sink.peak_mb"] < 1000
    assert "first-sync.sink.cpu_ms" in capsys.readouterr().out


def test_the_short_form_fails_for_what_was_not_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "--short", "--check", "--out", str(tmp_path)]) == 1
    assert "not measured: restart.puts_of_objects" in capsys.readouterr().err


def test_to_a_real_cluster_nothing_is_ever_written() -> None:
    possible = session.possible(session.SCENARIOS, real=True)
    assert possible == ["first-sync", "restart", "yardsticks", "reconcile"]


def test_scenarios_run_in_the_order_in_which_all_see_the_same() -> None:
    asked = ["delete", "churn", "first-sync"]
    assert session.possible(asked, real=False) == ["first-sync", "churn", "delete"]


def test_the_short_form_is_of_usual_scenarios() -> None:
    assert set(session.SHORT) <= set(session.USUAL) == set(session.SCENARIOS) - {"soak"}


def test_rounds_are_of_all_that_only_reads_so_that_what_is_compared_shares_its_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[str] = []

    def only_noted(name: str) -> Callable[[Place], None]:
        return lambda place: ran.append(name)

    for name in ("first-sync", "restart"):
        monkeypatch.setitem(session._READING, name, only_noted(name))
    monkeypatch.setitem(session._CHANGING, "delete", only_noted("delete"))
    session.run(
        [10],
        ["first-sync", "restart", "delete"],
        Plan(rounds=2),
        cluster_of=clusters.simulated,
        say=lambda line: None,
    )
    assert ran == ["first-sync", "restart", "first-sync", "restart", "delete"]
