"""include-kinds and exclude-kinds mean what kubectl means."""

import pytest

from watcher.cluster.kinds import KindFilter, matches
from watcher.objects.ref import APIResource

BOTH = frozenset({"list", "watch", "get"})
PODS = APIResource("", "v1", "pods", "Pod", True, BOTH, "pod", ("po",))
DEPLOYMENTS = APIResource(
    "apps", "v1", "deployments", "Deployment", True, BOTH, "deployment", ("deploy",)
)
EVENTS = APIResource("events.k8s.io", "v1", "events", "Event", True, BOTH, "event", ("ev",))
CERTIFICATES = APIResource(
    "cert-manager.io", "v1", "certificates", "Certificate", True, BOTH, "certificate", ("cert",)
)
OTHER_CERTIFICATES = CERTIFICATES._replace(group="certificates.example.com")
ALL = (PODS, DEPLOYMENTS, EVENTS, CERTIFICATES, OTHER_CERTIFICATES)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("pods", {PODS}),
        ("pod", {PODS}),
        ("Pod", {PODS}),
        ("po", {PODS}),
        ("deploy", {DEPLOYMENTS}),
        ("Deployment", {DEPLOYMENTS}),
        ("deployments.apps", {DEPLOYMENTS}),
        ("deployments.v1.apps", {DEPLOYMENTS}),
        ("pods.v1", {PODS}),
        ("pods.apps", set()),
        ("certificates", {CERTIFICATES, OTHER_CERTIFICATES}),
        ("certificates.cert-manager.io", {CERTIFICATES}),
        ("Certificate.cert-manager.io", {CERTIFICATES}),
        ("*.cert-manager.io", {CERTIFICATES}),
        ("*.example.com", {OTHER_CERTIFICATES}),
        ("*.certificates.example.com", {OTHER_CERTIFICATES}),
        ("*", set(ALL)),
        ("d*", {DEPLOYMENTS}),
        ("widgets", set()),
    ],
)
def test_words_are_kubectls(word: str, expected: set[APIResource]) -> None:
    assert {resource for resource in ALL if matches(word, resource)} == expected


def test_everything_but_the_noisy_kinds_is_wanted_by_default() -> None:
    assert [r for r in ALL if not KindFilter().wants(r)] == [EVENTS]


def test_only_what_is_included_is_wanted() -> None:
    assert [r for r in ALL if KindFilter(include=("po", "ev")).wants(r)] == [PODS, EVENTS]


def test_a_pattern_does_not_name_a_noisy_kind() -> None:
    assert not KindFilter(include=("*",)).wants(EVENTS)
    assert KindFilter(include=("*", "events")).wants(EVENTS)
    assert KindFilter(include=("*", "events")).wants(PODS)


def test_excluding_wins() -> None:
    assert not KindFilter(include=("pods",), exclude=("po",)).wants(PODS)


def test_a_kind_that_cannot_be_watched_is_not_wanted() -> None:
    assert not KindFilter().wants(PODS._replace(verbs=frozenset({"list"})))


def test_words_that_mean_nothing_here_are_told() -> None:
    assert KindFilter(include=("pods", "podz"), exclude=("ev",)).unmatched(ALL) == ["podz"]
