"""When the nightly reconcile is due."""

from datetime import UTC, datetime, timedelta

import pytest

from watcher.schedule import Schedule, offset_of


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_without_a_zone_it_is_utc() -> None:
    nightly = Schedule.parse("0 2 * * *")
    assert nightly.after(at("2026-07-01 01:59")) == at("2026-07-01 02:00")
    assert nightly.after(at("2026-07-01 02:00")) == at("2026-07-02 02:00")


def test_a_zone_has_its_daylight_saving() -> None:
    nightly = Schedule.parse("CRON_TZ=Europe/Berlin 0 4 * * *")
    assert nightly.after(at("2026-07-01 00:00")) == at("2026-07-01 02:00")
    assert nightly.after(at("2026-12-01 00:00")) == at("2026-12-01 03:00")


def test_in_the_night_without_its_hour_it_runs_all_the_same_and_once() -> None:
    nightly = Schedule.parse("CRON_TZ=Europe/Berlin 30 2 * * *")
    first = nightly.after(at("2026-03-29 00:00"))
    assert first.date() == at("2026-03-29 00:00").date()
    assert nightly.after(first).date() == at("2026-03-30 00:00").date()


def test_the_offset_comes_after_the_expressions_time_and_loses_no_night() -> None:
    nightly, offset = Schedule.parse("0 2 * * *"), timedelta(minutes=40)
    assert nightly.after(at("2026-07-01 02:10"), offset) == at("2026-07-01 02:40")
    assert nightly.after(at("2026-07-01 02:40"), offset) == at("2026-07-02 02:40")


@pytest.mark.parametrize(
    "text", ["", "nightly", "0 2 * *", "61 2 * * *", "0 0 30 2 *", "CRON_TZ=Mars/Base 0 2 * * *"]
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Schedule.parse(text)


def test_a_cluster_always_has_the_same_offset_and_a_thousand_spread_over_the_window() -> None:
    offsets = [offset_of(f"example.com/c{number}", 3600.0) for number in range(1000)]
    assert offsets == [offset_of(f"example.com/c{number}", 3600.0) for number in range(1000)]
    minutes = [int(offset.total_seconds() // 60) for offset in offsets]
    assert set(minutes) == set(range(60))
    assert max(map(minutes.count, range(60))) < 40
