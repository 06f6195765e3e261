"""Which promises are at risk, since when: for heartbeat and status page."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.status_samples import RECONCILE
from watcher.capture.health import Findings, Health, Risk, Signs, risks, unknowns
from watcher.status import Failing, Promise, Standing

T0 = datetime(2026, 10, 17, 14, 0, tzinfo=UTC)
LOOKED = Findings(reconcile=RECONCILE, other_writer="")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def standing(health: Health, promise: Promise) -> Standing:
    return next(each for each in health.standings if each.promise == promise)


# What makes a promise a risk


def found(**signs: object) -> set[tuple[Promise, str, str]]:
    given = Signs(**{"findings": LOOKED, **signs})  # type: ignore[arg-type]
    return {(risk.promise, risk.kind, risk.reason) for risk in risks(given, T0)}


def test_nothing_to_complain_of_is_no_risk() -> None:
    assert found() == set()
    assert unknowns(Signs(findings=LOOKED)) == {}


@pytest.mark.parametrize(
    ("signs", "promise", "kind", "reason"),
    [
        ({"first_sync": "first sync: 1 of 2"}, Promise.CAPTURED, "", "first sync: 1 of 2"),
        ({"late": "the oldest waits"}, Promise.CAPTURED, "", "the oldest waits"),
        ({"bucket": "503"}, Promise.CAPTURED, "", "the bucket takes no writes: 503"),
        (
            {"unwritable": 2},
            Promise.CAPTURED,
            "",
            "2 changes cannot be written: the log says why",
        ),
        (
            {"odd": {"pods": 3}},
            Promise.CAPTURED,
            "pods",
            "3 objects cannot be stored: the log says why",
        ),
        ({"discovery": "no answer"}, Promise.KINDS_KNOWN, "", "no answer"),
        ({"unwatched": {"secrets": "403"}}, Promise.WATCHED, "secrets", "403"),
        (
            {"held": 1},
            Promise.NOTHING_HELD,
            "",
            "1 file is kept until an operator decides",
        ),
    ],
)
def test_each_sign_is_a_risk_of_one_promise(
    signs: dict[str, object], promise: Promise, kind: str, reason: str
) -> None:
    assert found(**signs) == {(promise, kind, reason)}


def test_an_api_server_that_is_away_is_a_risk_of_all_kinds_at_once() -> None:
    assert found(cluster="connection refused") == {
        (Promise.REACHABLE, "", "connection refused"),
        (Promise.WATCHED, "", "none can be watched while the API server is away"),
    }


@pytest.mark.parametrize(
    ("findings", "promise", "reason"),
    [
        ({"reconcile_failure": "403"}, Promise.RECONCILED, "the last one failed: 403"),
        ({"reconcile_due": at(-60)}, Promise.RECONCILED, "overdue since 2026-10-17 13:59 UTC"),
        (
            {"reconcile": replace(RECONCILE, missing=2, orphaned=1)},
            Promise.RECONCILED,
            "the last one found drift: 3 objects",
        ),
        (
            {"reconcile": replace(RECONCILE, unread=2)},
            Promise.RECONCILED,
            "nothing was proven of 2 kinds: not readable",
        ),
        (
            {"reconcile": replace(RECONCILE, root_bucket="ab")},
            Promise.RECONCILED,
            "cluster and bucket do not have the same hash root",
        ),
        (
            {"reconcile": replace(RECONCILE, differing=("a/b/c.yaml",))},
            Promise.VERIFIED,
            "1 of 381 files are not what was written",
        ),
        (
            {"other_writer": "watcher-1/18"},
            Promise.ONE_WRITER,
            "watcher-1/18 writes to this prefix, too",
        ),
    ],
)
def test_each_finding_is_a_risk_of_one_promise(
    findings: dict[str, object], promise: Promise, reason: str
) -> None:
    given = replace(LOOKED, **findings)  # type: ignore[arg-type]
    assert found(findings=given) == {(promise, "", reason)}


def test_a_reconcile_that_is_due_later_is_not_overdue() -> None:
    assert found(findings=replace(LOOKED, reconcile_due=at(60))) == set()


def test_what_nobody_has_looked_at_is_unknown() -> None:
    assert set(unknowns(Signs())) == {Promise.RECONCILED, Promise.VERIFIED, Promise.ONE_WRITER}
    nothing_read = replace(LOOKED, reconcile=replace(RECONCILE, read_back=0))
    assert set(unknowns(Signs(findings=nothing_read))) == {Promise.VERIFIED}
    starting = Signs(looked=False, first_sync="first sync: 0 of 0", findings=LOOKED)
    assert set(unknowns(starting)) == {Promise.KINDS_KNOWN, Promise.WATCHED, Promise.NOTHING_HELD}


# Since when


FORBIDDEN = Risk(Promise.WATCHED, "403", "secrets")


def test_before_anybody_looked_nothing_is_healthy() -> None:
    health = Health()
    assert not health.healthy
    assert health.last_healthy is None


def test_a_risk_is_dated_to_when_it_was_first_seen_whatever_its_reason_became() -> None:
    health = Health()
    health.look([], T0)
    health.look([FORBIDDEN], at(10))
    health.look([replace(FORBIDDEN, reason="503")], at(20))
    assert health.failing == (Failing(Promise.WATCHED, "secrets", at(10), "503"),)
    assert not health.healthy
    assert health.last_healthy == T0


def test_each_kind_has_its_own_date_and_the_promise_the_earliest() -> None:
    health = Health()
    health.look([FORBIDDEN], at(10))
    health.look([replace(FORBIDDEN, kind="pods"), FORBIDDEN], at(20))
    of_it = standing(health, Promise.WATCHED)
    assert {(each.kind, each.since) for each in of_it.failing} == {
        ("secrets", at(10)),
        ("pods", at(20)),
    }
    assert of_it.since == at(10)


def test_a_risk_that_was_over_for_a_while_begins_anew() -> None:
    health = Health()
    for seconds, present in ((0, [FORBIDDEN]), (10, []), (20, [FORBIDDEN])):
        health.look(present, at(seconds))
    assert health.failing[0].since == at(20)
    assert health.last_healthy == at(10)


def test_what_a_retry_cures_in_time_is_no_news_and_what_lasts_began_when_it_began() -> None:
    health = Health()
    blip = Risk(Promise.CAPTURED, "503", patience=30)
    assert health.look([blip], T0)  # the first look of all
    assert not health.look([blip], at(29))
    assert health.healthy
    assert health.look([blip], at(30))
    assert health.failing == (Failing(Promise.CAPTURED, "", T0, "503"),)


def test_a_promise_that_holds_says_since_when() -> None:
    health = Health()
    health.look([], T0)
    health.look([], at(10))
    assert standing(health, Promise.WATCHED) == Standing(Promise.WATCHED, T0)
    health.look([FORBIDDEN], at(20))
    health.look([], at(30))
    health.look([], at(40))
    assert standing(health, Promise.WATCHED) == Standing(Promise.WATCHED, at(30))


def test_a_promise_that_becomes_known_holds_since_then() -> None:
    health = Health()
    health.look([], T0, {Promise.VERIFIED: "nobody looked"})
    assert standing(health, Promise.VERIFIED) == Standing(
        Promise.VERIFIED, T0, unknown="nobody looked"
    )
    assert health.healthy  # nothing is known to be wrong
    health.look([], at(10))
    assert standing(health, Promise.VERIFIED) == Standing(Promise.VERIFIED, at(10))


def test_every_promise_is_told_in_the_same_order() -> None:
    health = Health()
    health.look([FORBIDDEN], T0)
    assert [each.promise for each in health.standings] == list(Promise)


def test_a_change_of_what_is_at_risk_is_told_once() -> None:
    health = Health()
    assert health.look([], T0)
    assert not health.look([], at(1))
    assert health.look([FORBIDDEN], at(2))
    assert not health.look([replace(FORBIDDEN, reason="other words")], at(3))
    assert health.look([replace(FORBIDDEN, kind="pods")], at(4))
    assert health.look([], at(5))


def test_a_clock_that_is_put_back_makes_no_risk_begin_in_the_future() -> None:
    health = Health()
    health.look([FORBIDDEN], at(3600))
    health.look([FORBIDDEN], T0)
    assert health.failing[0].since == T0
    assert standing(health, Promise.CAPTURED).since == T0


def test_an_earlier_run_may_have_known_when_all_was_well() -> None:
    health = Health(last_healthy=at(-600))
    health.look([FORBIDDEN], T0)
    assert health.last_healthy == at(-600)
