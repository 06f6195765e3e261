"""Metrics: the names and labels of DESIGN.md section 11, in a registry of their own."""

import asyncio
import re

import pytest

from watcher.metrics import Metrics

# By name, the labels. What a Prometheus rule or dashboard of somebody's relies on.
CONTRACT = {
    "leader": set(),
    "ready": set(),
    "capture_lag_seconds": set(),
    "oldest_pending_seconds": set(),
    "pending_objects": set(),
    "pending_bytes": set(),
    "journal_pending_lines": set(),
    "heartbeat_last_success_timestamp_seconds": set(),
    "reconcile_last_success_timestamp_seconds": set(),
    "reconcile_last_failure_timestamp_seconds": set(),
    "reconcile_next_timestamp_seconds": set(),
    "reconcile_duration_seconds": set(),
    "reconcile_drift_objects": {"type"},
    "verify_failures_total": set(),
    "objects": {"side"},
    "changes_total": {"resource", "action"},
    "changes_dropped_total": {"reason"},
    "bucket_requests_total": {"operation", "code"},
    "bucket_request_duration_seconds": {"operation"},
    "bucket_retries_total": {"reason"},
    "watch_last_activity_timestamp_seconds": {"resource"},
    "watch_restarts_total": {"resource", "reason"},
    "informers": {"state"},
    "kinds_failing": {"resource"},
    "discovery_failures_total": set(),
    "deletes_held": set(),
    "objects_skipped_total": {"reason"},
    "secrets_redacted": set(),
    "last_put_timestamp_seconds": set(),
    "event_loop_lag_seconds": set(),
    "build_info": {"version", "python"},
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


def page(metrics: Metrics) -> str:
    return metrics.render()[0].decode()


def series(metrics: Metrics) -> dict[str, str]:
    """Name and labels -> value."""
    lines = (line for line in page(metrics).splitlines() if not line.startswith("#"))
    return dict(line.rsplit(" ", 1) for line in lines)


def test_every_metric_has_its_contracted_name_and_labels(metrics: Metrics) -> None:
    touch_every_label(metrics)

    found: dict[str, set[str]] = {}
    for name in series(metrics):
        if name.startswith("watcher_"):
            bare = re.sub(r"_(bucket|sum|count)(?={|$)", "", name.removeprefix("watcher_"))
            labels = set(re.findall(r'[{,](\w+)="', bare)) - {"le"}
            found.setdefault(bare.split("{")[0], set()).update(labels)
    assert found == CONTRACT


def touch_every_label(metrics: Metrics) -> None:
    metrics.objects.labels("cluster").set(1)
    metrics.changes.labels("pods", "create").inc()
    metrics.changes_dropped.labels("unchanged").inc()
    metrics.observe_request("PUT", "200", 0.002)
    metrics.bucket_retries.labels("throttled").inc()
    metrics.watch_last_activity.labels("pods").set(1)
    metrics.watch_restarts.labels("pods", "gone").inc()
    metrics.informers.labels("watching").set(1)
    metrics.failing("pods", True)
    metrics.objects_skipped.labels("owned").inc()


def test_two_programs_in_one_process_count_apart(metrics: Metrics) -> None:
    metrics.changes.labels("pods", "create").inc()
    assert "pods" not in page(Metrics("1.2.3"))


def test_a_request_to_the_bucket_is_counted_and_timed(metrics: Metrics) -> None:
    metrics.observe_request("PUT", "503", 0.2)
    found = series(metrics)
    assert found['watcher_bucket_requests_total{code="503",operation="PUT"}'] == "1.0"
    assert found['watcher_bucket_request_duration_seconds_sum{operation="PUT"}'] == "0.2"


def test_a_gauge_may_be_asked_for_when_somebody_scrapes(metrics: Metrics) -> None:
    pending = [1, 2]
    metrics.pending_objects.set_function(lambda: len(pending))
    pending.append(3)
    assert series(metrics)["watcher_pending_objects"] == "3.0"


def test_a_kind_that_is_gone_is_no_longer_late_or_failing(metrics: Metrics) -> None:
    metrics.watch_last_activity.labels("pods").set(1)
    metrics.failing("pods", True)
    metrics.watch_restarts.labels("pods", "gone").inc()
    metrics.forget_resource("pods")
    metrics.forget_resource("pods")
    found = series(metrics)
    assert 'watcher_watch_last_activity_timestamp_seconds{resource="pods"}' not in found
    assert 'watcher_kinds_failing{resource="pods"}' not in found
    assert found['watcher_watch_restarts_total{reason="gone",resource="pods"}'] == "1.0"


def test_a_kind_is_shown_as_failing_only_while_it_fails(metrics: Metrics) -> None:
    failing = 'watcher_kinds_failing{resource="pods"}'
    metrics.failing("pods", True)
    assert series(metrics)[failing] == "1.0"
    metrics.failing("pods", False)
    assert failing not in series(metrics)


def test_a_standby_tells_nothing_of_the_promise(metrics: Metrics) -> None:
    metrics.standby = True
    found = series(metrics)
    assert {
        name
        for name in found
        if re.search("lag_seconds|pending|ready|reconcile|heartbeat|held|last_put", name)
    } == {name for name in found if name.startswith("watcher_event_loop_lag_seconds")}
    assert found["watcher_leader"] == "0.0"
    metrics.standby = False
    assert series(metrics)["watcher_oldest_pending_seconds"] == "0.0"


@pytest.mark.parametrize(
    "counted",
    [
        *(
            f'watcher_bucket_retries_total{{reason="{reason}"}}'
            for reason in (
                "throttled", "unreachable", "rejected", "fenced", "conflict", "stranger",
                "second-writer",
            )
        ),
        'watcher_objects_skipped_total{reason="error"}',
        "watcher_verify_failures_total",
        "watcher_discovery_failures_total",
    ],
)  # fmt: skip
def test_what_alerts_count_is_0_before_it_first_happens(metrics: Metrics, counted: str) -> None:
    assert series(metrics)[counted] == "0.0"


def test_the_page_tells_the_version_and_the_process(metrics: Metrics) -> None:
    assert 'version="1.2.3"' in page(metrics)
    assert "process_resident_memory_bytes" in page(metrics)


def test_the_format_is_the_one_that_was_asked_for(metrics: Metrics) -> None:
    body, content_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    assert metrics.render()[1].startswith("text/plain; version=0.0.4")


@pytest.mark.looptime
async def test_a_late_event_loop_is_noticed(metrics: Metrics) -> None:
    task = asyncio.create_task(metrics.observe_event_loop(interval=1.0))
    await asyncio.sleep(10.5)
    task.cancel()
    found = series(metrics)
    assert found["watcher_event_loop_lag_seconds_count"] == "10.0"
    assert found['watcher_event_loop_lag_seconds_bucket{le="0.001"}'] == "10.0"


def test_the_lag_is_told_to_the_next_bound_of_its_histogram(metrics: Metrics) -> None:
    assert metrics.lag(0.5) is None
    for seconds in (2.1, 2.1, 2.2, 9.0):
        metrics.capture_lag.observe(seconds)
    assert metrics.lag(0.5) == 2.25
    assert metrics.lag(0.99) == 10
    metrics.capture_lag.observe(100_000)
    assert metrics.lag(0.99) == float("inf")
