"""A real Prometheus that judges a `watcher` by the shipped alerts, sixty times faster.

Exists because a rule that promtool accepts may still not fit what `watcher` really exports.
Promises: the rules are the shipped ones but for their clock: see `faster`.
"""

import copy
import json
import re
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.parts.build import binary
from tests.e2e.process import Process, free_ports, until
from tests.rules import load

_TIME = re.compile(r"\b(\d+)([dhm])\b|\* (3600|60)\b")
_MINUTES = {"d": 24 * 60, "h": 60, "m": 1}
_SCRAPE = "1s"


def faster(*, but: set[str]) -> dict[str, Any]:
    """The shipped rules with a clock of their own: a minute of theirs takes a second.

    Every duration (`for`, windows, offsets) and every bound that is written in minutes or hours
    (`2 * 60`, `26 * 3600`) is divided by sixty; nothing else is changed. but: alerts that stay as
    they are, since what they wait for has a pace of its own.
    """
    whole = copy.deepcopy(load())
    for group in whole["groups"]:
        group["interval"] = _SCRAPE
        for rule in group["rules"]:
            for part in rule.keys() & {"expr", "for"}:
                if rule.get("alert") not in but:
                    rule[part] = _TIME.sub(_sixtieth, rule[part])
    return whole


def _sixtieth(time: re.Match[str]) -> str:
    number, unit, bound = time.groups()
    return f"* {int(bound) // 60}" if bound else f"{int(number) * _MINUTES[unit]}s"


class Prometheus:
    """One server, with one target: job `watcher`. Running from the start on."""

    def __init__(self, folder: Path, target: str, rules: dict[str, Any]) -> None:
        """target: host:port."""
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        folder.mkdir()
        folder.joinpath("alerts.yaml").write_text(yaml.safe_dump(rules, allow_unicode=True))
        config = {
            "global": {
                "scrape_interval": _SCRAPE,
                "scrape_timeout": _SCRAPE,
                "evaluation_interval": _SCRAPE,
            },
            "rule_files": ["alerts.yaml"],
            "scrape_configs": [
                {"job_name": "watcher", "static_configs": [{"targets": [target]}]},
            ],
        }
        folder.joinpath("prometheus.yaml").write_text(yaml.safe_dump(config))
        self._process = Process(
            "prometheus",
            [
                binary("prometheus"),
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            log=folder / "prometheus.log",
        )
        try:
            until(self._ready, "ready Prometheus", needs=self._process)
        except BaseException:
            self.close()
            raise

    @property
    def processes(self) -> list[Process]:
        return [self._process]

    def close(self) -> None:
        self._process.kill()

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        return {
            alert["labels"]["alertname"] for alert in self.alerts() if alert["state"] == "firing"
        }

    def alerts(self) -> list[dict[str, Any]]:
        """Those that fire and those that are about to, as the HTTP API tells them."""
        found: list[dict[str, Any]] = self._get("/api/v1/alerts")["alerts"]
        return found

    def value(self, query: str) -> float | None:
        """Of the first result; None: there is none."""
        quoted = urllib.parse.quote(query)  # a wrong query is a 400: HTTPError
        result = self._get(f"/api/v1/query?query={quoted}")["result"]
        return float(result[0]["value"][1]) if result else None

    def unhealthy_rules(self) -> list[str]:
        """What Prometheus could not work out, and why."""
        groups = self._get("/api/v1/rules")["groups"]
        return [
            f"{rule['name']}: {rule.get('lastError')}"
            for group in groups
            for rule in group["rules"]
            if rule["health"] == "err"
        ]

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
