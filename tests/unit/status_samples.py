"""Statuses to look at: of a cluster that is well, and of those that are not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from watcher.status import (
    About,
    Failing,
    Kind,
    Numbers,
    Promise,
    Recent,
    Reconcile,
    Standing,
    Status,
)

NOW = datetime(2026, 10, 17, 14, 3, 12, tzinfo=UTC)
STARTED = NOW - timedelta(days=12, hours=3)
ROOT = "9f2c4b1e7a5d8036c1fe22ab90d4475613bb8e0fa7c2d9914e6b70c35a18fd42"

ABOUT = About("example.com", "east", "cluster-backups", "1.2.3", "watcher-0", STARTED)
RECONCILE = Reconcile(
    started=NOW - timedelta(hours=11, minutes=32),
    finished=NOW - timedelta(hours=11, minutes=31),
    trigger="schedule",
    objects=11404,
    root_cluster=ROOT,
    root_bucket=ROOT,
    read_back_slice="7/30",
    read_back=381,
    report="_meta/reports/reconcile-20261017T023112Z.json",
)


def status(**given: Any) -> Status:
    """Nothing is known but who it is."""
    return replace(Status(about=ABOUT, at=NOW), **given)


def well(**given: Any) -> Status:
    """Everything is known, and as it should be."""
    everything = status(
        epoch=17,
        promises=tuple(Standing(promise, STARTED) for promise in Promise),
        last_healthy=NOW,
        numbers=Numbers(11404, 11404, 3, 1.42, 2.25, 3.0),
        kinds=(Kind("pods", 120, "watching", NOW, NOW), Kind("secrets", 7, "watching")),
        reconcile=RECONCILE,
        next_reconcile=NOW + timedelta(hours=12),
        recent=(Recent(NOW, "shop/deployment/web.yaml", "update", "argocd"),),
    )
    return replace(everything, **given)


def at_risk(*failing: Failing, **given: Any) -> Status:
    """These promises are at risk, the others hold."""
    standings = []
    for promise in Promise:
        of_it = tuple(each for each in failing if each.promise == promise)
        standings.append(Standing(promise, min((f.since for f in of_it), default=STARTED), of_it))
    return well(promises=tuple(standings), **given)
