"""The page /: what a person reads there, whatever the cluster's names and errors are made of."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.page import HOSTILE, Page
from tests.unit.status_samples import NOW, RECONCILE, ROOT, at_risk, status, well
from watcher.serve.status import render
from watcher.serve.words import ago, count, duration, moment, text
from watcher.status import (
    Failing,
    FirstSync,
    Held,
    Kind,
    Numbers,
    Promise,
    Recent,
    Standing,
    Status,
)


def page_of(of: Status, refresh: int | None = 10) -> Page:
    return Page(render(of, refresh=refresh))


def test_a_standby_says_that_it_is_one_and_who_writes() -> None:
    page = page_of(status(leader="watcher-1_0f", doing="11404 objects followed"))
    assert "Standing by: watcher-1_0f writes" in page.words
    assert "11404 objects followed" in page.words
    assert "Starting" not in page.words


# What it needs


@pytest.mark.parametrize("of", [status(doing="starting"), well()])
def test_the_page_needs_no_other_file_and_no_script(of: Status) -> None:
    page = page_of(of)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "form", "object"}
    assert not any("//" in source for source in page.sources())
    assert "http:" not in page.html
    assert "url(" not in page.html
    assert "@import" not in page.html


def test_a_phone_shows_it_at_its_own_width_and_both_colour_schemes_are_there() -> None:
    page = page_of(well())
    viewport = {"name": "viewport", "content": "width=device-width, initial-scale=1"}
    assert ("meta", viewport) in page.tags
    assert "@media (prefers-color-scheme: dark)" in page.html
    assert "@media (max-width:" in page.html


def test_it_comes_again_or_stays() -> None:
    assert '<meta http-equiv="refresh" content="10">' in page_of(well()).html
    still = page_of(well(), refresh=None)
    assert "http-equiv" not in still.html
    assert "paused" in still.words


# Nobody's text becomes markup


def everywhere(words: str) -> Status:
    """This text at each place where a page shows text of others."""
    of = at_risk(
        *(Failing(promise, words, NOW, words) for promise in Promise),
        kinds=(Kind(words, 1, words, NOW, NOW, trouble=words), Kind(words, 1, words)),
        held=(Held(words, words, NOW),),
        held_count=3,
        recent=(Recent(NOW, words, words, words),),
        reconcile=replace(
            RECONCILE,
            trigger=words,
            root_cluster=words,
            root_bucket=words + "2",
            read_back_slice=words,
            differing=(words,),
            report=words,
        ),
    )
    about = replace(
        of.about, domain=words, cluster=words, bucket=words, instance=words, version=words
    )
    return replace(of, about=about)


@pytest.mark.parametrize(
    "of", [everywhere(HOSTILE), replace(everywhere(HOSTILE), promises=(), doing=HOSTILE)]
)
def test_hostile_names_and_reasons_stay_text(of: Status) -> None:
    page, harmless = page_of(of), page_of(well())
    assert "script" not in {tag for tag, _ in page.tags}
    assert {k for _, given in page.tags for k in given} <= {
        *(k for _, given in harmless.tags for k in given),
        "colspan",
        "start",
    }
    assert "\u202e" not in page.html
    assert "\x00" not in page.html
    page.html.encode()  # a lone surrogate would not


def test_text_that_cannot_be_seen_is_made_visible_and_lines_become_one() -> None:
    assert text("a\u202eb\x1bc") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert text("one\ntwo\t three") == "one two three"
    assert text("Grüße, 世界") == "Grüße, 世界"


# Promises


def test_all_is_well_at_a_glance() -> None:
    page = page_of(well())
    assert "All promises hold" in page.words
    assert "Reconciled 12 h ago: 11,404 objects the same in cluster and bucket." in page.words
    assert page.words.count("holds since 5 Oct 11:03") == len(Promise) == 8
    assert "at risk" not in page.words
    assert "<title>✓ east: All promises hold</title>" in page.html


def test_every_promise_is_named_whatever_its_state() -> None:
    fine, broken = page_of(well()), page_of(at_risk(*(Failing(p, "", NOW, "why") for p in Promise)))
    for words in (
        "Every change is in the bucket in time",
        "Every kind is watched",
        "All kinds of the cluster are known",
        "The API server can be reached",
        "Reconcile is recent and found no drift",
        "No delete is held",
        "Files read back are what was written",
        "Nobody else writes to this prefix",
    ):
        assert words in fine.words
        assert words in broken.words


def test_all_red() -> None:
    everything = [Failing(promise, "", NOW, f"why {promise}") for promise in Promise]
    page = page_of(at_risk(*everything, last_healthy=None))
    assert "8 of 8 promises at risk" in page.words
    assert "All was well at no time since the start." in page.words
    assert page.words.count("at risk since 14:03:12") == 8
    assert all(f"why {promise}" in page.words for promise in Promise)
    assert "holds since" not in page.words
    assert "<title>! east: 8 of 8 promises at risk</title>" in page.html


def test_a_promise_at_risk_says_for_which_kind_since_when_and_why() -> None:
    earlier = NOW - timedelta(minutes=42)
    page = page_of(
        at_risk(
            Failing(Promise.WATCHED, "secrets", earlier, "403: forbidden"),
            Failing(Promise.WATCHED, "pods", NOW, "503: unavailable"),
            last_healthy=earlier,
        )
    )
    assert "1 of 8 promises at risk" in page.words
    assert "All was last well 42 min ago (2026-10-17 13:21:12 UTC)." in page.words
    assert "secrets 403: forbidden since 13:21:12" in page.words
    assert "pods 503: unavailable since 14:03:12" in page.words
    assert "at risk since 13:21:12" in page.words


def test_of_very_many_reasons_the_first_are_told() -> None:
    reasons = [Failing(Promise.WATCHED, f"kind{n}", NOW, "403") for n in range(1000)]
    page = page_of(at_risk(*reasons))
    assert "kind4 403" in page.words
    assert "kind5 403" not in page.words
    assert "and 995 more" in page.words


def test_what_nobody_knows_yet_is_not_called_kept() -> None:
    unknown = Standing(Promise.VERIFIED, NOW, unknown="no reconcile has read files back yet")
    page = page_of(well(promises=(Standing(Promise.CAPTURED, NOW), unknown), reconcile=None))
    assert "All promises hold" not in page.words
    assert "No promise at risk 1 not known yet." in page.words
    assert "no reconcile has read files back yet not known yet" in page.words


# Before the first sync


def test_a_start_says_what_it_waits_for() -> None:
    page = page_of(status(doing="claiming the prefix in the bucket: 403 AccessDenied"))
    assert "Starting claiming the prefix in the bucket: 403 AccessDenied" in page.words
    assert "epoch –" in page.words
    assert "Every kind is watched" not in page.words


def test_the_first_sync_is_shown_with_its_progress() -> None:
    risk = Failing(Promise.CAPTURED, "", NOW, "first sync: 34 of 62 kinds listed")
    page = page_of(at_risk(risk, first_sync=FirstSync(62, 34, 5210, 3120, 2090)))
    assert "First sync: 34 of 62 kinds listed 3,120 written, 2,090 to write." in page.words
    assert "the backup cannot be relied on" in page.words
    assert ("progress", {"max": "62", "value": "34"}) in page.tags


def test_what_goes_wrong_during_the_first_sync_is_said_beside_it() -> None:
    sync = Failing(Promise.CAPTURED, "", NOW, "first sync")
    away = Failing(Promise.REACHABLE, "", NOW, "connection refused")
    page = page_of(at_risk(sync, away, first_sync=FirstSync(62, 34, 5210, 3120, 2090)))
    assert "1 other promise at risk." in page.words


# Numbers, reconcile, held deletes


def test_who_writes_where_and_how_much() -> None:
    page = page_of(well())
    assert "example.com/ east" in page.words
    for fact in ("bucket cluster-backups", "epoch 17", "writer watcher-0", "up 12 d"):
        assert fact in page.words
    for number in ("objects in cluster 11,404", "files in bucket 11,404", "pending 3"):
        assert number in page.words
    assert "half stored within 2.25 s 99 % stored within 3 s" in page.words


def test_a_lag_that_nobody_has_measured_is_no_number() -> None:
    assert "half stored within –" in page_of(well(numbers=Numbers(1, 1, 0, 0.0))).words


def test_the_proof_of_the_last_reconcile() -> None:
    page = page_of(well())
    assert f"same hash root on both sides {ROOT}" in page.words
    assert "drift none" in page.words
    assert "381 files, slice 7/30: every byte as written" in page.words
    assert "report _meta/reports/reconcile-20261017T023112Z.json" in page.words
    assert "next 18 Oct 02:03" in page.words


def test_a_reconcile_that_proves_the_opposite() -> None:
    found = replace(
        RECONCILE,
        missing=3,
        changed=20,
        repaired=23,
        unread=2,
        root_bucket="ab",
        differing=("a/b/c.yaml",),
    )
    page = page_of(well(reconcile=found))
    assert "unread 2 kinds" in page.words
    assert "3 missing, 20 changed; 23 repaired" in page.words
    assert "the hash roots differ" in page.words
    assert "1 differ a/b/c.yaml" in page.words


def test_a_bucket_whose_etags_are_no_md5s_has_no_root_to_show() -> None:
    page = page_of(well(reconcile=replace(RECONCILE, root_cluster="", root_bucket="")))
    assert "no hash root: ETags of this bucket are no MD5s" in page.words


def test_no_reconcile_yet() -> None:
    page = page_of(well(reconcile=None))
    assert "None has run yet. next 18 Oct 02:03" in page.words


def test_held_deletes_say_why_and_what_to_do() -> None:
    held = tuple(Held(f"shop/configmap/c{n}.yaml", "many", NOW) for n in range(2))
    page = page_of(well(held=held, held_count=41))
    assert "41 files are kept" in page.words
    assert "shop/configmap/c0.yaml too many deletes at once · 14:03:12" in page.words
    assert "and 39 more" in page.words
    for command in ("list", "allow", "keep"):
        assert f"watcher deletes {command}" in page.words


# Kinds and recent changes


def kinds(number: int, **given: str) -> tuple[Kind, ...]:
    group = "provider-aws.upbound.example.io"
    return tuple(
        Kind(f"managedresources{n:04}.{group}", n, "watching", NOW, NOW, **given)
        for n in range(number)
    )


def test_kinds_in_trouble_come_first_then_all_by_name() -> None:
    page = page_of(
        well(
            kinds=(
                Kind("services", 3, "watching"),
                Kind("secrets", 9, "forbidden", trouble="403: secrets is forbidden"),
                Kind("configmaps", 5, "waiting"),
            )
        )
    )
    assert "1 forbidden, 1 retrying, 1 watching" in page.words
    places = [page.words.index(f"{kind} {n} – –") for kind, n in
              (("secrets", 9), ("configmaps", 5), ("services", 3))]  # fmt: skip
    assert places == sorted(places)
    assert "! forbidden 403: secrets is forbidden" in page.words


def test_a_thousand_kinds_are_folded_and_fit() -> None:
    page = page_of(well(kinds=kinds(1000)))
    assert len(page.html.encode()) < 300_000
    assert [tag for tag, _ in page.tags].count("details") == 1
    assert "980 more kinds, all well" in page.words
    assert page.words.index("managedresources0019") < page.words.index("980 more kinds")


def test_no_kind_in_trouble_is_folded() -> None:
    page = page_of(well(kinds=(*kinds(1000, trouble="503: " + "x" * 5000), Kind("pods", 1, ""))))
    assert "more kind" not in page.words
    assert page.words.count("! watching 503: xxx") == 1000
    assert len(page.html.encode()) < 300_000


def test_recent_changes_say_when_what_and_who() -> None:
    changes = tuple(
        Recent(NOW - timedelta(seconds=n), f"shop/configmap/c{n}.yaml", "update", "helm" * (n % 2))
        for n in range(50)
    )
    page = page_of(well(recent=changes))
    assert (
        "now update shop/configmap/c0.yaml – 1 s update shop/configmap/c1.yaml helm" in page.words
    )
    assert page.words.index("the 35 changes before") < page.words.index("c15.yaml")
    assert "Recent changes" not in page_of(well(recent=None)).words
    assert "None since the start." in page_of(well(recent=())).words


# Words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (0.0, "0 s"),
        (1.417, "1.42 s"),
        (2.25, "2.25 s"),
        (42.4, "42 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7199.0, "120 min"),
        (7200.0, "2 h"),
        (172_800.0, "2 d"),
        (float("inf"), "over 1 h"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_how_long_ago() -> None:
    assert ago(None, NOW) == "–"
    assert ago(NOW + timedelta(seconds=5), NOW) == "now"  # clocks differ
    assert ago(NOW - timedelta(seconds=3.9), NOW) == "3 s"


def test_moments_are_as_short_as_they_can_be() -> None:
    assert moment(NOW, NOW).endswith(">14:03:12</time>")
    assert moment(NOW - timedelta(days=1), NOW).endswith(">16 Oct 14:03</time>")
    assert moment(NOW - timedelta(days=365), NOW).endswith(">17 Oct 2025 14:03</time>")
    assert re.search(r'title="2026-10-17 14:03:12 UTC"', moment(NOW, NOW))


def test_counts() -> None:
    assert count(11404) == "11,404"
    assert count(1, "file") == "1 file"
    assert count(2, "file is", "files are") == "2 files are"
