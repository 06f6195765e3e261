"""The shipped alerts and dashboards: tested, documented, made of metrics that exist.

Whether the rules do what they should is for a real promtool to say: tests/e2e/test_alert_rules.py.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click import Command, Group

from tests.rules import (
    ALERTS,
    DASHBOARD,
    FLEET_DASHBOARD,
    ROOT,
    alerts,
    cases,
    dashboard,
    load,
    metrics_of,
    panels,
    rules,
)
from watcher.cli import cli
from watcher.metrics import FleetMetrics, Metrics
from watcher.settings import SETTINGS

OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNBOOKS = "https://watcher.example.com/docs/operations#"  # to be replaced: see the README there

each_alert = pytest.mark.parametrize("name", list(alerts()))


def existing() -> set[str]:
    """Metrics of a fresh /metrics of each kind of process; a counter by its samples' name."""
    pages = "".join(of("test").render()[0].decode() for of in (Metrics, FleetMetrics))
    return set(re.findall(r"^# TYPE (\w+)", pages, re.MULTILINE)) | {"up"}  # Prometheus' own


def judged(name: str) -> Iterator[tuple[list[dict[str, Any]], set[str]]]:
    """What is expected of an alert in each of its cases, and the metrics that are there then."""
    for case in cases():
        given = " ".join(series["series"] for series in case["input_series"])
        for expected in case["alert_rule_test"]:
            if expected["alertname"] == name:
                yield expected["exp_alerts"], metrics_of(given)


# Alerts


@each_alert
def test_a_case_fires_it(name: str) -> None:
    assert any(fires for fires, _ in judged(name))


@each_alert
def test_a_case_in_which_its_metrics_are_there_leaves_it_quiet(name: str) -> None:
    read = metrics_of(alerts()[name]["expr"])
    assert any(not fires and read & given for fires, given in judged(name))


def test_every_case_is_of_an_alert_that_exists() -> None:
    tested = {expected["alertname"] for case in cases() for expected in case["alert_rule_test"]}
    assert tested == set(alerts())


@each_alert
def test_it_says_how_bad_it_is_what_is_at_risk_and_where_to_read_on(name: str) -> None:
    alert = alerts()[name]
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["annotations"]["runbook_url"] == RUNBOOKS + name.lower()
    assert len(alert["annotations"]["summary"]) <= 120
    assert "{{" not in alert["annotations"]["description"]  # else the cases had to repeat it


@each_alert
def test_its_runbook_says_what_it_means_what_to_look_at_and_what_to_do(name: str) -> None:
    (section,) = re.findall(rf"^### {name}\n(.*?)(?=^##)", OPERATIONS, re.MULTILINE | re.DOTALL)
    parts = re.findall(r"^\*\*(.+?)\.\*\*", section, re.MULTILINE)
    assert parts == ["Means", "Look at", "Do"]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_metric_of_a_rule_exists(rule: dict[str, Any]) -> None:
    read = metrics_of(rule["expr"])
    assert read
    assert read <= existing()


def test_the_operators_rules_are_the_plain_ones() -> None:
    rule = load(ALERTS.parent / "prometheusrule.yaml")
    assert rule["kind"] == "PrometheusRule"
    assert rule["spec"] == load(), "make alerts"


def test_both_monitors_scrape_alike_and_name_the_job_that_alerts_rely_on() -> None:
    by_pod = dict(load(ALERTS.parent / "podmonitor.yaml")["spec"])
    by_service = dict(load(ALERTS.parent / "servicemonitor.yaml")["spec"])
    assert by_pod["jobLabel"] == "app.kubernetes.io/name"
    (chosen,) = by_pod["selector"]["matchExpressions"]
    assert chosen["key"] == by_pod["jobLabel"]
    relied_on = "|".join(re.findall(r'job=~?"([^"]+)"', ALERTS.read_text("utf-8")))
    assert set(chosen["values"]) == set(relied_on.split("|"))
    assert by_pod.pop("podMetricsEndpoints") == by_service.pop("endpoints")
    assert by_pod == by_service


# Operations


def test_the_table_of_metrics_is_whole() -> None:
    listed = re.findall(r"^\| `(watcher_\w+)` \|", OPERATIONS, re.MULTILINE)
    assert set(listed) == {name for name in existing() if name.startswith("watcher_")}
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_metric_that_a_document_names_exists(path: Path) -> None:
    for named in metrics_of(path.read_text("utf-8")):
        family = named.endswith("_")  # as in watcher_cluster_*
        assert any(it.startswith(named) if family else it == named for it in existing()), named


def test_every_link_in_operations_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", OPERATIONS, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", OPERATIONS)) <= anchors


def named_commands() -> list[str]:
    """`watcher deletes list` or `w deletes list`: the words up to the first that is none."""
    found = re.findall(r"(?:`|^)(?:watcher|w) ((?:[a-z][a-z0-9]* ?)+)", OPERATIONS, re.MULTILINE)
    return sorted({words.strip() for words in found})


@pytest.mark.parametrize("words", named_commands())
def test_every_command_that_operations_name_exists(words: str) -> None:
    command: Command | None = cli
    for word in words.split():
        command = command.commands.get(word) if isinstance(command, Group) else None
    assert command


@pytest.mark.parametrize(
    "anchor",
    [
        "max-delay",
        "concurrency",
        "exclude-kinds",
        "reconcile-schedule",
        "reconcile-window",
        "trash-days",
    ],
)
def test_every_setting_that_operations_advise_exists(anchor: str) -> None:
    assert f"`{anchor}`" in OPERATIONS
    assert anchor in {setting.name for setting in SETTINGS}


# The dashboards


def queries(path: Path = DASHBOARD) -> list[str]:
    return [target["expr"] for panel in panels(path) for target in panel["targets"]]


@pytest.mark.parametrize("query", queries())
def test_every_query_is_of_existing_metrics_and_of_what_was_chosen(query: str) -> None:
    read = metrics_of(query)
    assert read
    assert read <= existing()
    chosen = query.count('{job=~"$job",instance=~"$instance"')
    assert chosen == len(re.findall(r"\b(?:watcher|process)_\w+\{", query)) > 0


def test_every_variable_is_filled_from_existing_metrics() -> None:
    variables = {variable["name"]: variable for variable in dashboard()["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance"]
    for name in ("job", "instance"):
        assert metrics_of(variables[name]["definition"]) <= existing()


@pytest.mark.parametrize("query", queries(FLEET_DASHBOARD))
def test_every_query_of_the_fleet_is_of_existing_metrics_and_of_what_was_chosen(query: str) -> None:
    read = metrics_of(query)
    assert read
    assert read <= existing()
    chosen = query.count('{domain=~"$domain",cluster=~"$cluster"}')
    assert chosen == len(re.findall(r"\bwatcher_cluster_\w+\b", query))


def test_every_variable_of_the_fleet_is_filled_from_existing_metrics() -> None:
    found = dashboard(FLEET_DASHBOARD)["templating"]["list"]
    variables = {variable["name"]: variable for variable in found}
    assert list(variables) == ["datasource", "domain", "cluster"]
    for name in ("domain", "cluster"):
        assert metrics_of(variables[name]["definition"]) <= existing()


def test_the_two_dashboards_are_told_apart() -> None:
    both = [dashboard(), dashboard(FLEET_DASHBOARD)]
    assert len({it["uid"] for it in both}) == len({it["title"] for it in both}) == 2


@pytest.mark.parametrize(
    "panel", [*panels(), *panels(FLEET_DASHBOARD)], ids=lambda panel: panel["title"]
)
def test_every_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize(
    ("path", "questions"),
    [
        (
            DASHBOARD,
            ["Is it safe?", "How far behind?", "What changes most?", "What costs most?"],
        ),
        (
            FLEET_DASHBOARD,
            ["Are all clusters backed up?", "Which are not?", "The mirror in git"],
        ),
    ],
)
def test_panels_lie_in_the_order_of_the_questions_and_never_on_each_other(
    path: Path, questions: list[str]
) -> None:
    panels = dashboard(path)["panels"]
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == questions
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (place["x"] + dx, place["y"] + dy)
            for dx in range(place["w"])
            for dy in range(place["h"])
        }
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)
