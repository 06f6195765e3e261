"""The page /fleet: what a person reads there, whatever clusters and their files are called."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.unit.fleet.samples import DAY, HOUR, MINUTE, NOW, beat, holding, ill, report, seen
from tests.unit.page import HOSTILE, Page
from watcher.bucket.layout import Layout
from watcher.bucket.reports import Root, Tally
from watcher.bucket.retired import Retired
from watcher.fleet.clusters import Fleet, in_order, judged
from watcher.fleet.look import Seen, Unread
from watcher.serve.fleet import render

GONE = Retired(NOW - DAY, "moved to west")


def cluster(name: str, **given: Any) -> Seen:
    return seen(Layout("example.com", name), **given)


def fleet(*clusters: Seen) -> Fleet:
    return Fleet("s3://backups", NOW, in_order(judged(it, NOW) for it in clusters))


def shown(of: Fleet | None, *, now: datetime = NOW + MINUTE, refresh: int | None = 10) -> Page:
    return Page(render(of, now=now, version="1.2.3", refresh=refresh))


def silent(name: str, **given: Any) -> Seen:
    return cluster(name, heartbeat=beat(3 * HOUR), **given)


def retired(name: str) -> Seen:
    return cluster(name, heartbeat=None, retired=GONE)


def many(number: int, make: Any) -> Iterable[Seen]:
    return (make(f"cluster-{each:04}") for each in range(number))


# What it needs


@pytest.mark.parametrize("of", [None, fleet(), fleet(silent("east"), cluster("west"))])
def test_the_page_needs_no_other_file_and_no_script(of: Fleet | None) -> None:
    page = shown(of)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "form", "object"}
    assert not any("//" in source for source in page.sources())
    assert "http:" not in page.html


def test_it_comes_again_or_stays() -> None:
    assert '<meta http-equiv="refresh" content="10">' in shown(fleet()).html
    assert "http-equiv" not in shown(fleet(), refresh=None).html


def test_hostile_names_and_reasons_stay_text() -> None:
    kinds = report(resources={HOSTILE: Tally(1, 1)})
    last = replace(ill(HOSTILE, HOSTILE), watcher_version=HOSTILE, kubernetes_version=HOSTILE)
    of = fleet(
        cluster("east", heartbeat=last, held=Unread(HOSTILE), report=kinds),
        cluster("west", heartbeat=replace(last, failing=()), report=kinds),
        cluster("gone", heartbeat=None, retired=Retired(NOW - DAY, HOSTILE)),
        cluster("also", heartbeat=beat(25 * HOUR, released=True), damaged=(HOSTILE,)),
    )
    page = shown(replace(of, bucket=HOSTILE))
    assert "script" not in {tag for tag, _ in page.tags}
    assert {name for _, given in page.tags for name in given}.isdisjoint({"onerror", "onload"})
    assert not any(it in page.html for it in ("<script", "\u202e", "\x00", "\ud800"))
    # The bucket; twice in what ails east, once what it holds; kinds and versions, and so on.
    assert page.words.count("<script>alert(1)</script>") >= 8
    page.html.encode()


# What it says


def test_all_is_well_at_a_glance() -> None:
    page = shown(fleet(cluster("east"), cluster("west"), retired("gone")))
    assert "✓ clusters: 2 clusters, nothing is wrong" in page.html
    assert "2 clusters, nothing is wrong 1 cluster is retired." in page.words
    assert "Something is wrong" not in page.words
    assert "s3://backups" in page.words
    assert "1.2.3" in page.words


def test_what_is_wrong_says_with_whom_how_bad_and_since_when() -> None:
    page = shown(fleet(cluster("west"), cluster("held", held=holding("a")), silent("east")))
    assert "! clusters: Something is wrong with 2 of 3 clusters" in page.html
    assert "With 1 of them it is critical." in page.words
    east, held, west = (page.words.index(f"example.com/{it}") for it in ("east", "held", "west"))
    assert east < held < west
    told = page.words[east:held]
    words = "the last heartbeat is 3 hours old: nobody keeps this backup up to date since 09:00:00"
    assert words in told
    assert "11,404 objects, heard of 3 h ago" in told
    assert "pods 9,000, secrets 2,404" in told
    assert "critical" in told
    assert "warning" in page.words[held:west]


def test_a_since_that_the_words_tell_is_not_told_twice() -> None:
    page = shown(fleet(cluster("east", heartbeat=ill())))
    assert page.words.count("since") == 1


def test_the_numbers_are_those_of_all_clusters() -> None:
    drifted = cluster("a", report=report(30 * HOUR, missing=("x", "y"), repaired=2))
    page = shown(fleet(drifted, cluster("b", held=holding("k")), retired("c")))
    for number, name in (
        ("3", "clusters"),
        ("2", "something is wrong"),
        ("22,808", "objects"),
        ("1", "deletes held"),
        ("2", "differences found"),
        ("30 h", "oldest reconcile"),
    ):
        assert f"{name} {number}" in page.words


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (None, "Looking at the clusters This is the first look since the start."),
        (fleet(), "No cluster is backed up here"),
        (fleet(retired("gone")), "No cluster is backed up here 1 cluster is retired."),
    ],
)
def test_where_nothing_is_known_nothing_is_called_well(of: Fleet | None, words: str) -> None:
    page = shown(of)
    assert words in page.words
    assert 'class="verdict wait"' in page.html


def test_an_old_look_is_not_called_the_state_of_things() -> None:
    page = shown(fleet(cluster("east")), now=NOW + 40 * MINUTE)
    assert "The bucket cannot be looked at What is below was so 40 min ago." in page.words
    assert "as of 12:00:00 UTC" in page.words
    assert 'class="verdict wait"' in page.html
    assert 'class="verdict good"' in shown(fleet(cluster("east")), now=NOW + 14 * MINUTE).html


def test_what_is_not_there_and_what_cannot_be_read_look_different() -> None:
    nothing = Unread("no answer")
    hidden = cluster("hidden", heartbeat=nothing, report=nothing)
    bare = cluster("bare", heartbeat=None, report=None)
    well = many(100, silent)  # so that the two stand in the table below
    of = Fleet("b", NOW, tuple(judged(it, NOW) for it in (*well, bare, hidden)))
    page = shown(of)
    assert "example.com/bare – – – – – –" in page.words
    assert "example.com/hidden ? ? ? ? ? ?" in page.words


def test_who_ended_in_order_is_said_to_be_stopped() -> None:
    page = shown(fleet(cluster("east", heartbeat=beat(3 * HOUR, released=True))))
    assert "3 h stopped" in page.words


def test_hash_roots_that_differ_are_said_to() -> None:
    differ = report(hash_root=Root("a", "b", 1), missing=("x",), repaired=1)
    page = shown(
        fleet(cluster("east", report=differ), cluster("west", report=report(hash_root=None)))
    )
    assert "hash roots: they differ" in page.words
    assert "10 h none" in page.words


def test_a_retired_cluster_says_since_when_and_why() -> None:
    page = shown(fleet(cluster("east"), retired("gone")))
    assert "Retired 1 cluster example.com/gone since 30 Jun 12:00: moved to west" in page.words


# A thousand clusters


@pytest.mark.parametrize(
    ("make", "size"), [(cluster, 400_000), (silent, 500_000), (retired, 250_000)]
)
def test_a_thousand_clusters_fit_and_all_are_there(make: Any, size: int) -> None:
    page = shown(fleet(*many(1000, make)))
    assert all(f"cluster-{each:04}" in page.words for each in range(1000))
    assert len(page.html) < size


def test_what_is_well_is_folded_and_what_is_wrong_is_not() -> None:
    page = shown(fleet(*many(50, cluster), silent("east")))
    assert page.words.index("example.com/east") < page.words.index("example.com/cluster-0000")
    assert "30 other clusters" in page.words
    assert sum(tag == "details" for tag, _ in page.tags) == 1


def test_of_very_long_reasons_the_beginning_is_told() -> None:
    page = shown(fleet(cluster("east", damaged=tuple(f"{n} {'x' * 5000}" for n in range(9)))))
    assert "and 4 more" in page.words
    assert len(page.html) < 20_000


def test_ages_are_those_at_the_look() -> None:
    later = shown(fleet(cluster("east")), now=NOW + timedelta(minutes=9))
    assert "11,404 60 s 2 min 10 h" in later.words
