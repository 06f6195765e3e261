"""Kubernetes' rules of list and watch, a line each."""

import pytest

from watcher.cluster.phases import (
    Failed,
    Listing,
    Page,
    Pause,
    Phase,
    Probing,
    Step,
    Watched,
    Watching,
    step,
)
from watcher.errors import ClusterError, ClusterUnreachableError, StatusError


def _status(status: int, **more: object) -> StatusError:
    return StatusError(status, "told so", **more)  # type: ignore[arg-type]


GONE = ClusterUnreachableError("broken pipe")


def test_a_list_goes_on_with_the_token_of_its_last_page() -> None:
    assert step(Listing(), Page("7", "abc")) == Step(Listing("abc"))


def test_the_last_page_ends_the_list_and_begins_a_watch_at_the_version_of_the_list() -> None:
    assert step(Listing("abc"), Page("7", "")) == Step(Watching("7"), complete=True)


def test_a_list_that_broke_off_goes_on_at_the_same_page() -> None:
    assert step(Listing("abc"), Failed(GONE)) == Step(
        Listing("abc"), Pause.BACKOFF, restart="connection"
    )


def test_a_continue_token_that_expired_makes_the_list_come_in_one_piece() -> None:
    for refused in (410, 400):
        taken = step(Listing("abc"), Failed(_status(refused)))
        assert taken.phase == Listing(paged=False)
        assert not taken.complete


def test_a_watch_that_ended_in_order_goes_on_at_once() -> None:
    taken = step(Watching("7"), Watched("9", events=3, seconds=300, error=None))
    assert (taken.phase, taken.pause) == (Watching("9"), Pause.NONE)


def test_a_watch_that_ended_at_once_with_nothing_said_does_not_spin() -> None:
    taken = step(Watching("7"), Watched("7", events=0, seconds=0.2, error=None))
    assert taken.pause is Pause.BACKOFF


def test_a_bookmark_alone_does_not_let_it_spin_but_tells_that_history_is_whole() -> None:
    taken = step(Watching("7"), Watched("9", events=0, seconds=0.2, error=None, bookmarks=1))
    assert (taken.phase, taken.pause) == (Watching("9"), Pause.BACKOFF)


def test_a_silent_watch_is_followed_by_a_look_at_the_servers_version() -> None:
    taken = step(Watching("7"), Watched("7", events=0, seconds=300, error=None))
    assert taken.phase == Probing("7")


@pytest.mark.parametrize("error", [GONE, ClusterError("garbage"), _status(500), _status(503)])
def test_a_server_that_was_away_may_have_lost_history(error: ClusterError) -> None:
    taken = step(Watching("7"), Watched("9", events=2, seconds=50, error=error))
    assert (taken.phase, taken.pause) == (Probing("9"), Pause.BACKOFF)


def test_a_version_behind_ours_means_that_absence_proves_nothing() -> None:
    assert step(Probing("9"), Page("8", "")).phase == Listing(trusted=False, known="9")


@pytest.mark.parametrize("theirs", ["9", "10", "opaque"])
def test_a_version_that_is_not_behind_ours_lets_the_watch_go_on(theirs: str) -> None:
    assert step(Probing("9"), Page(theirs, "")) == Step(Watching("9"))


def test_versions_are_compared_as_numbers() -> None:
    assert step(Probing("9"), Page("10", "")).phase == Watching("9")


def test_distrust_lasts_until_the_list_came_to_its_end() -> None:
    distrusting = Listing(trusted=False)
    assert step(distrusting, Page("7", "abc")).phase == Listing("abc", trusted=False)
    assert step(Listing("abc", trusted=False), Failed(_status(410))).phase == Listing(
        paged=False, trusted=False
    )


def test_an_expired_version_is_a_new_list() -> None:
    taken = step(Watching("7"), Watched("9", events=2, seconds=5, error=_status(410)))
    assert (taken.phase, taken.pause) == (Listing(known="9"), Pause.NONE)
    assert taken.restart == "expired"


def test_a_list_that_is_older_than_what_was_seen_before_is_distrusted() -> None:
    # What a server that was put back answers to a watch is 410, as after any compaction.
    taken = step(Listing(known="9"), Page("8", ""))
    assert (taken.complete, taken.trusted) == (True, False)
    assert step(Listing(known="9"), Page("9", "")).trusted
    assert step(Listing(known="9"), Page("10", "")).trusted


def test_a_list_that_begins_anew_still_knows_what_was_seen_before() -> None:
    first = step(Listing(known="9"), Page("8", "abc")).phase
    assert first == Listing("abc", trusted=False, known="9")
    for refused in (400, 404, 410):
        taken = step(Listing("abc", known="9"), Failed(_status(refused))).phase
        assert isinstance(taken, Listing)
        assert taken.known == "9"


def test_a_version_of_the_future_is_a_distrusted_list_after_the_time_told() -> None:
    error = _status(504, reason="ResourceVersionTooLarge", retry_after=1.0)
    assert step(Watching("9"), Watched("9", events=0, seconds=0, error=error)) == Step(
        Listing(trusted=False, known="9"), Pause.BACKOFF, 1.0, restart="history-lost"
    )


@pytest.mark.parametrize(
    ("phase", "outcome"),
    [
        (Watching("7"), Watched("7", 0, 0.1, _status(429, retry_after=5.0))),
        (Listing("abc"), Failed(_status(429, retry_after=5.0))),
    ],
)
def test_too_many_requests_keeps_everything_and_waits_as_told(
    phase: Phase, outcome: Failed | Watched
) -> None:
    assert step(phase, outcome) == Step(phase, Pause.BACKOFF, 5.0, restart="throttled")


@pytest.mark.parametrize("phase", [Listing(), Watching("7")])
def test_a_missing_right_is_parked_with_its_place_kept(phase: Phase) -> None:
    error = _status(403)
    outcome = Failed(error) if isinstance(phase, Listing) else Watched("7", 0, 0.1, error)
    assert step(phase, outcome) == Step(phase, Pause.PARK, restart="forbidden")


def test_expired_credentials_keep_the_place() -> None:
    taken = step(Watching("7"), Watched("8", 1, 5, _status(401)))
    assert (taken.phase, taken.pause) == (Watching("8"), Pause.BACKOFF)


def test_a_kind_that_is_not_found_is_looked_for_again() -> None:
    taken = step(Watching("7"), Watched("7", 0, 0.1, _status(404)))
    assert taken.rediscover
    assert taken.phase == Listing(known="7")


def test_an_outcome_that_does_not_answer_its_phase_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        step(Watching("7"), Page("7", ""))


def test_only_a_list_that_came_to_its_end_is_complete() -> None:
    outcomes: list[Failed | Page] = [
        Failed(GONE),
        Failed(_status(410)),
        Failed(_status(403)),
        Page("7", "more"),
    ]
    assert not any(step(Listing("abc"), outcome).complete for outcome in outcomes)
