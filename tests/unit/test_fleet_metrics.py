"""The metrics of git-sync: the names and labels that rules and dashboards of somebody's rely on."""

import re
from dataclasses import replace

import pytest

from watcher.metrics import ClusterFigures, FleetMetrics

OF_A_CLUSTER = {"domain", "cluster"}
CONTRACT = {
    "cluster_heartbeat_timestamp_seconds": OF_A_CLUSTER,
    "cluster_healthy": OF_A_CLUSTER,
    "cluster_released": OF_A_CLUSTER,
    "cluster_retired": OF_A_CLUSTER,
    "cluster_objects": OF_A_CLUSTER,
    "cluster_last_change_timestamp_seconds": OF_A_CLUSTER,
    "cluster_claimed_timestamp_seconds": OF_A_CLUSTER,
    "cluster_reconcile_last_success_timestamp_seconds": OF_A_CLUSTER,
    "cluster_reconcile_drift_objects": OF_A_CLUSTER,
    "cluster_deletes_held": OF_A_CLUSTER,
    "cluster_findings": OF_A_CLUSTER,
    "fleet_clusters": set(),
    "fleet_last_look_timestamp_seconds": set(),
    "git_last_success_timestamp_seconds": set(),
    "git_round_duration_seconds": set(),
    "git_unpushed_commits": set(),
    "git_refused_files": {"reason"},
    "git_behind_clusters": set(),
    "git_commits_total": set(),
    "git_files_total": {"action"},
    "git_failures_total": {"reason"},
    "bucket_requests_total": {"operation", "code"},
    "bucket_request_duration_seconds": {"operation"},
    "event_loop_lag_seconds": set(),
    "build_info": {"version", "python"},
}

EAST = ClusterFigures(
    domain="example.com",
    cluster="east",
    heartbeat=1000.0,
    healthy=True,
    released=False,
    objects=11404,
    last_change=990.0,
    claimed=10.0,
    reconciled=500.0,
    drift=0,
    held=0,
    findings=0,
    retired=False,
)


@pytest.fixture
def metrics() -> FleetMetrics:
    return FleetMetrics("1.2.3")


def series(metrics: FleetMetrics) -> dict[str, float]:
    """Name and labels -> value."""
    lines = metrics.render()[0].decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def of(metrics: FleetMetrics, cluster: str) -> dict[str, float]:
    """What is told of a cluster: name without what all have in common -> value."""
    labels = f'{{cluster="{cluster}",domain="example.com"}}'
    return {
        name.removeprefix("watcher_cluster_").removesuffix(labels): value
        for name, value in series(metrics).items()
        if name.endswith(labels)
    }


def test_every_metric_has_its_contracted_name_and_labels(metrics: FleetMetrics) -> None:
    metrics.show_clusters((EAST,), at=1010.0)
    metrics.observe_request("GET", "200", 0.002)

    found: dict[str, set[str]] = {}
    for name in series(metrics):
        if name.startswith("watcher_"):
            bare = re.sub(r"_(bucket|sum|count)(?={|$)", "", name.removeprefix("watcher_"))
            labels = set(re.findall(r'[{,](\w+)="', bare)) - {"le"}
            found.setdefault(bare.split("{")[0], set()).update(labels)
    assert found == CONTRACT


def test_a_look_is_told_cluster_by_cluster(metrics: FleetMetrics) -> None:
    west = replace(EAST, cluster="west", healthy=False, held=3, findings=2)
    metrics.show_clusters((EAST, west), at=1010.0)
    assert of(metrics, "east") == {
        "heartbeat_timestamp_seconds": 1000,
        "healthy": 1,
        "released": 0,
        "objects": 11404,
        "last_change_timestamp_seconds": 990,
        "claimed_timestamp_seconds": 10,
        "reconcile_last_success_timestamp_seconds": 500,
        "reconcile_drift_objects": 0,
        "deletes_held": 0,
        "findings": 0,
        "retired": 0,
    }
    told = of(metrics, "west")
    assert (told["healthy"], told["deletes_held"], told["findings"]) == (0, 3, 2)
    found = series(metrics)
    assert found["watcher_fleet_clusters"] == 2
    assert found["watcher_fleet_last_look_timestamp_seconds"] == 1010


def test_a_cluster_that_is_gone_from_the_bucket_has_no_series_any_more(
    metrics: FleetMetrics,
) -> None:
    metrics.show_clusters((EAST, replace(EAST, cluster="west")), at=1010.0)
    metrics.show_clusters((EAST,), at=1020.0)
    assert of(metrics, "east")
    assert not of(metrics, "west")


def test_what_a_look_could_not_tell_is_no_zero(metrics: FleetMetrics) -> None:
    unread = ClusterFigures(
        domain="example.com",
        cluster="newer",
        heartbeat=None,
        healthy=None,
        released=None,
        objects=None,
        last_change=None,
        claimed=None,
        reconciled=None,
        drift=None,
        held=None,
        findings=1,
        retired=False,
    )
    metrics.show_clusters((unread,), at=1010.0)
    assert of(metrics, "newer") == {"findings": 1, "retired": 0}


@pytest.mark.parametrize(
    "counted",
    [
        "watcher_git_last_success_timestamp_seconds",
        "watcher_fleet_last_look_timestamp_seconds",
        "watcher_git_behind_clusters",
        "watcher_git_commits_total",
        *(
            f'watcher_git_refused_files{{reason="{reason}"}}'
            for reason in ("plain-secret", "rejected", "unreadable")
        ),
        *(f'watcher_git_files_total{{action="{it}"}}' for it in ("create", "update", "delete")),
        *(f'watcher_git_failures_total{{reason="{it}"}}' for it in ("bucket", "remote", "copy")),
    ],
)
def test_what_alerts_read_is_0_before_it_first_happens(metrics: FleetMetrics, counted: str) -> None:
    assert series(metrics)[counted] == 0


def test_a_mirror_makes_no_promise_of_a_cluster(metrics: FleetMetrics) -> None:
    # The alerts on those would speak of a cluster that nobody knows.
    assert not {name for name in series(metrics) if re.search("ready|leader|pending", name)}


def test_the_page_tells_the_version_and_the_process(metrics: FleetMetrics) -> None:
    page = metrics.render()[0].decode()
    assert 'version="1.2.3"' in page
    assert "process_resident_memory_bytes" in page
