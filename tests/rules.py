"""The shipped alerts and dashboards, and the cases of `promtool test rules` that test the alerts.

Exists because both the fast tests (is each alert tested, documented, made of metrics that exist?)
and those with a real promtool read them. The cases in tests/promtool are promtool's own format,
less what the rules themselves tell: `rule_files`, and of an expected alert its severity and the
annotations that are fixed text.
"""

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DASHBOARD = ROOT / "manifests" / "grafana" / "watcher.json"
FLEET_DASHBOARD = DASHBOARD.with_name("watcher-fleet.json")
ALERTS = ROOT / "manifests" / "monitoring" / "alerts.yaml"
CASES = sorted((ROOT / "tests" / "promtool").glob("*.yaml"))

Rule = dict[str, Any]
Case = dict[str, Any]

# What PromQL names that is no metric of ours: functions have "(" behind them, labels none of these.
_METRIC = re.compile(r"\b(?:watcher|process)_[a-z_]+\b|\bup\b")
_SERIES_OF_HISTOGRAM = re.compile(r"_(?:bucket|count|sum)$")


@cache
def load(path: Path = ALERTS) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return loaded


def rules() -> list[Rule]:
    return [rule for group in load()["groups"] for rule in group["rules"]]


def alerts() -> dict[str, Rule]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def cases() -> Iterator[Case]:
    for path in CASES:
        yield from load(path)["tests"]


def dashboard(path: Path = DASHBOARD) -> dict[str, Any]:
    return load(path)  # JSON is YAML


def panels(path: Path = DASHBOARD) -> list[dict[str, Any]]:
    """Those of the dashboard that show something."""
    return [panel for panel in dashboard(path)["panels"] if panel["type"] != "row"]


def metrics_of(expression: str) -> set[str]:
    """Metrics that PromQL reads; a histogram by its own name, a recorded one by its source's."""
    for rule in rules():
        if "record" in rule:
            expression = expression.replace(rule["record"], rule["expr"])
    found = set(_METRIC.findall(expression))
    return {_SERIES_OF_HISTOGRAM.sub("", name) for name in found}


def for_promtool(path: Path) -> dict[str, Any]:
    """The cases of a file as promtool takes them."""
    known = alerts()
    whole = copy.deepcopy(load(path))
    for case in whole["tests"]:
        for expected in case["alert_rule_test"]:
            rule = known[expected["alertname"]]
            for alert in expected["exp_alerts"]:
                alert["exp_labels"] |= rule["labels"]
                alert["exp_annotations"] = rule["annotations"] | alert["exp_annotations"]
    # Without it promtool takes groups in any order, and alerts may see what was recorded before.
    order = [group["name"] for group in load()["groups"]]
    return {"rule_files": [str(ALERTS)], "group_eval_order": order, **whole}
