"""What counts as wrong with a cluster, how bad it is, since when, and what is not told twice."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.unit.fleet.samples import (
    CLAIMED,
    DAY,
    EAST,
    HOUR,
    MINUTE,
    NOW,
    beat,
    holding,
    ill,
    owned,
    report,
    seen,
)
from watcher.bucket.layout import Layout
from watcher.bucket.reports import ReadBack, Root, Tally
from watcher.bucket.retired import Retired
from watcher.fleet.clusters import in_order, judged
from watcher.fleet.judgement import Severity, Trouble, is_retired, judge
from watcher.fleet.look import Seen, Unread
from watcher.status import Promise

CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING
RETIRED = Retired(NOW - DAY)
SECOND = timedelta(seconds=1)


def kinds(of: Seen) -> list[str]:
    return [trouble.kind for trouble in judge(of, NOW)]


def only(of: Seen) -> Trouble:
    (trouble,) = judge(of, NOW)
    return trouble


def test_nothing_is_wrong_with_a_cluster_that_is_well() -> None:
    assert judge(seen(), NOW) == ()


@pytest.mark.parametrize(
    ("of", "kind", "severity", "since", "words"),
    [
        (
            seen(heartbeat=beat(16 * MINUTE)),
            "silent",
            CRITICAL,
            NOW - 16 * MINUTE,
            "the last heartbeat is 16 minutes old: nobody keeps this backup up to date",
        ),
        (
            seen(heartbeat=None),
            "silent",
            CRITICAL,
            CLAIMED,
            "there is no heartbeat: nobody keeps this backup up to date",
        ),
        (
            seen(heartbeat=beat(25 * HOUR, released=True), report=report(26 * HOUR)),
            "stopped",
            CRITICAL,
            NOW - 25 * HOUR,
            "watcher was stopped 25 hours ago and not started again",
        ),
        (
            seen(heartbeat=ill(Promise.CAPTURED, "")),
            "ailing",
            CRITICAL,
            NOW - HOUR,
            "the writer says that it is not well since 2026-07-01 11:00:00 UTC: captured-in-time",
        ),
        (
            seen(heartbeat=ill(Promise.WATCHED, "pods")),
            "ailing",
            WARNING,
            NOW - HOUR,
            "the writer says that it is not well since 2026-07-01 11:00:00 UTC:"
            " every-kind-watched (pods)",
        ),
        (
            seen(heartbeat=beat(-HOUR)),
            "fast",
            WARNING,
            None,
            "the last heartbeat is 60 minutes in the future: a clock is wrong",
        ),
        (
            seen(report=None),
            "overdue",
            WARNING,
            CLAIMED,
            "no reconcile in the 26 hours that it may take until the first",
        ),
        (
            seen(report=report(30 * HOUR)),
            "overdue",
            WARNING,
            NOW - 30 * HOUR,
            "the last reconcile was 30 hours ago, more than 26 hours",
        ),
        (
            seen(report=report(missing=("a", "b"), changed=("c",), repaired=3)),
            "drifted",
            WARNING,
            NOW - 10 * HOUR,
            "differences that the last reconcile found and repaired: 3",
        ),
        (
            seen(report=report(missing=("a", "b"), repaired=1)),
            "drift",
            WARNING,
            NOW - 10 * HOUR,
            "differences between cluster and bucket that the last reconcile left: 1",
        ),
        (
            seen(report=report(missing=("a", "b"), dry_run=True)),
            "drift",
            WARNING,
            NOW - 10 * HOUR,
            "differences between cluster and bucket that the last reconcile left: 2",
        ),
        (
            seen(report=report(resources={"pods": Tally(0, 9, unread="403 Forbidden")})),
            "incomplete",
            WARNING,
            NOW - 10 * HOUR,
            "the last reconcile could not compare pods: 403 Forbidden",
        ),
        (
            seen(report=report(hash_root=Root("a" * 64, "b" * 64, 9))),
            "unequal",
            WARNING,
            NOW - 10 * HOUR,
            "the last reconcile found no difference, but its hash roots are not the same",
        ),
        (
            seen(report=report(read_back=ReadBack("7/30", 381, ("a", "b")))),
            "differing",
            CRITICAL,
            NOW - 10 * HOUR,
            "files that the last reconcile read back are not what was written: 2",
        ),
        (
            seen(held=holding("a", "b")),
            "held",
            WARNING,
            NOW - HOUR,
            "deletes that wait for a decision: 2; see watcher deletes list",
        ),
        (
            seen(owner=None),
            "unowned",
            WARNING,
            None,
            "there is no _meta/owner.json: never claimed by a cluster, or the claim was removed",
        ),
        (
            seen(owner=owned(Layout("example.com", "west"))),
            "misowned",
            WARNING,
            None,
            "_meta/owner.json is of example.com/west: was the prefix copied or renamed?",
        ),
        (
            seen(report=Unread("reconcile-1.json has format 2", newer=True)),
            "newer",
            WARNING,
            None,
            "reconcile-1.json has format 2",
        ),
        (seen(held=Unread("held.json is bad")), "broken", WARNING, None, "held.json is bad"),
        (seen(damaged=("x is no heartbeat",)), "broken", WARNING, None, "x is no heartbeat"),
        (
            seen(retired=RETIRED),
            "revived",
            WARNING,
            None,
            "it is marked as retired, yet somebody writes: see watcher clusters unretire",
        ),
    ],
    ids=lambda it: it if isinstance(it, str) and " " not in it else "",
)
def test_each_thing_that_is_wrong_is_one_finding(
    of: Seen, kind: str, severity: Severity, since: datetime | None, words: str
) -> None:
    trouble = only(of)
    assert (trouble.kind, trouble.severity, trouble.since) == (kind, severity, since)
    assert str(trouble) == words


@pytest.mark.parametrize(
    "of",
    [
        seen(heartbeat=beat(15 * MINUTE - SECOND)),
        seen(heartbeat=beat(-14 * MINUTE)),
        seen(heartbeat=beat(23 * HOUR, released=True)),
        seen(heartbeat=ill(ago=14 * MINUTE)),
        seen(report=report(26 * HOUR)),
        seen(report=None, owner=owned(claimed=NOW - 25 * HOUR)),
        seen(report=report(hash_root=None, read_back=None)),
        seen(held=holding()),
        seen(heartbeat=beat(23 * HOUR, released=True), report=report(40 * HOUR)),
    ],
)
def test_what_may_be_for_a_while_is_not_wrong_yet(of: Seen) -> None:
    assert judge(of, NOW) == ()


def test_a_first_sync_may_take_half_an_hour() -> None:
    first = replace(ill(Promise.CAPTURED), last_healthy=None)
    young = seen(heartbeat=first, report=None, owner=owned(claimed=NOW - 29 * MINUTE))
    assert judge(young, NOW) == ()
    assert kinds(replace(young, owner=owned(claimed=NOW - 31 * MINUTE))) == ["ailing"]


# Nothing is told twice


def test_a_silent_cluster_is_not_also_overdue_or_ill() -> None:
    last = replace(ill(), at=NOW - 3 * DAY)
    assert kinds(seen(heartbeat=last, report=report(4 * DAY))) == ["silent"]


@pytest.mark.parametrize(
    ("promise", "of", "kind"),
    [
        (Promise.NOTHING_HELD, {"held": holding("a")}, "held"),
        (Promise.VERIFIED, {"report": report(read_back=ReadBack("1/30", 9, ("a",)))}, "differing"),
        (Promise.RECONCILED, {"report": report(30 * HOUR)}, "overdue"),
        (Promise.RECONCILED, {"report": report(missing=("a",), repaired=1)}, "drifted"),
    ],
)
def test_what_the_writer_says_too_is_told_once(
    promise: Promise, of: dict[str, Any], kind: str
) -> None:
    assert kinds(seen(heartbeat=ill(promise), **of)) == [kind]
    assert kinds(seen(heartbeat=ill(promise))) == ["ailing"]


def test_a_file_that_cannot_be_read_is_not_also_missing() -> None:
    nothing = Unread("no answer")
    of = seen(owner=nothing, heartbeat=nothing, report=nothing, held=nothing, retired=nothing)
    assert kinds(of) == ["broken"]


def test_without_a_claim_nobody_can_tell_what_is_overdue() -> None:
    assert kinds(seen(owner=None, report=None)) == ["unowned"]
    unclaimed = replace(owned(), claimed_at="some day")
    assert kinds(seen(owner=unclaimed, report=None)) == []


# Retired


@pytest.mark.parametrize("last", [beat(3 * DAY), beat(3 * DAY, released=True), None])
def test_nothing_is_wrong_with_a_retired_cluster_that_nobody_writes(last: object) -> None:
    of = seen(heartbeat=last, report=None, held=holding("a"), retired=RETIRED)
    assert judge(of, NOW) == ()
    assert is_retired(of, NOW)


def test_a_retired_cluster_that_was_written_since_is_judged_as_any_other() -> None:
    of = seen(heartbeat=beat(20 * HOUR), retired=RETIRED)
    assert kinds(of) == ["silent", "revived"]
    assert not is_retired(of, NOW)


# The order


def test_the_worst_is_told_first_of_a_cluster() -> None:
    of = seen(heartbeat=beat(HOUR), held=holding("a"), owner=None)
    assert kinds(of) == ["silent", "unowned", "held"]


def test_the_worst_clusters_come_first_and_the_retired_last() -> None:
    clusters = {
        "well": seen(Layout("example.com", "b")),
        "also well": seen(Layout("example.com", "a")),
        "gone": seen(EAST, heartbeat=beat(3 * DAY), retired=RETIRED),
        "warned": seen(Layout("example.com", "y"), held=holding("a")),
        "silent": seen(Layout("example.com", "z"), heartbeat=beat(HOUR)),
    }
    found = in_order(judged(of, NOW) for of in clusters.values())
    assert [it.seen.layout.cluster for it in found] == ["z", "y", "a", "b", "east"]
