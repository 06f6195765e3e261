"""A real Prometheus, with the shipped alerts, sees what happens to a real `watcher`."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Minio
from tests.e2e.process import until
from tests.e2e.prometheus import Prometheus, faster
from tests.e2e.scene import QUICK, Maps, maps_of
from tests.e2e.watcher_process import Watcher
from tests.rules import panels

# Heartbeats and bookmarks come as often as ever, however fast Prometheus' clock is.
_OWN_PACE = {"WatcherHeartbeatStale", "WatcherKindNotWatched"}
_LONGEST = 15  # seconds: the longest `for` of the alerts that this could raise, and the scrapes

_VARIABLES = {"$job": ".+", "$instance": ".+", "$__rate_interval": "10s", "$__range": "1m"}
_MAY_BE_EMPTY = {  # panels of what need not have happened yet
    "Since the last full check",
    "Until the next full check",
    "Since the last heartbeat",
    "Watches begun anew most",
    "Objects left out",
}


@pytest.fixture
def watcher(bare_api: ControlPlane, own_minio: Minio, start_watcher: StartWatcher) -> Watcher:
    bucket = own_minio.new_bucket(versioned=True)
    started = start_watcher(bare_api.kubeconfig(), bucket, **QUICK)
    started.wait_ready()
    return started


@pytest.fixture
def prometheus(watcher: Watcher, tmp_path: Path) -> Iterator[Prometheus]:
    target = watcher.url.removeprefix("http://")
    server = Prometheus(tmp_path / "prometheus", target, faster(but=_OWN_PACE))
    yield server
    server.close()


@pytest.fixture
def maps(bare_api: ControlPlane) -> Iterator[Maps]:
    with maps_of(bare_api) as maps:
        yield maps


class Shift:
    """Objects change; whoever is on call writes down which alerts fire."""

    def __init__(self, prometheus: Prometheus, maps: Maps) -> None:
        self._prometheus = prometheus
        self._maps = maps
        self._changes = 0

    def watch(self, seconds: float, *, until_fires: bool = False) -> set[str]:
        """All that fired; ends early when the first one does, if so asked."""
        fired: set[str] = set()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (until_fires and fired):
            self._maps.put("abc"[self._changes % 3], f"change {self._changes}")
            self._changes += 1
            time.sleep(0.5)
            fired |= self._prometheus.firing()
        return fired


def test_while_minio_is_stopped_one_alert_fires_and_it_ends_when_minio_is_back(
    own_minio: Minio, prometheus: Prometheus, maps: Maps
) -> None:
    shift = Shift(prometheus, maps)
    assert shift.watch(_LONGEST) == set()
    assert prometheus.unhealthy_rules() == []
    assert empty_panels(prometheus) <= _MAY_BE_EMPTY

    own_minio.stop()
    assert shift.watch(30, until_fires=True) == {"WatcherChangesWait"}
    assert shift.watch(3) == {"WatcherChangesWait"}
    (alert,) = (a for a in prometheus.alerts() if a["state"] == "firing")
    assert alert["labels"]["job"] == "watcher"
    assert alert["labels"]["severity"] == "critical"
    assert "Changes have not reached the backup for" in alert["annotations"]["summary"]

    own_minio.start()
    until(lambda: not prometheus.firing(), "end of the alert", timeout=40)
    assert shift.watch(5) == set()


def empty_panels(prometheus: Prometheus) -> set[str]:
    """Titles of the dashboard's panels of which a query has no answer now."""
    empty = set()
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for variable, value in _VARIABLES.items():
                query = query.replace(variable, value)
            if prometheus.value(query) is None:
                empty.add(panel["title"])
    return empty
