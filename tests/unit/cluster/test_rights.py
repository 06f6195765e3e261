"""The rules of RBAC that settings come to."""

from watcher.cluster.kinds import KindFilter
from watcher.cluster.rights import EVERYTHING, Rule, rules, unknown
from watcher.objects.ref import APIResource

WATCHED = frozenset({"list", "watch", "get"})
ALWAYS = {
    "": ("namespaces",),
    "apiextensions.k8s.io": ("customresourcedefinitions",),
    "apiregistration.k8s.io": ("apiservices",),
}


def resource(group: str, plural: str, kind: str, **more: object) -> APIResource:
    given = {"verbs": WATCHED, "singular": kind.lower(), **more}
    return APIResource(group, "v1", plural, kind, True, **given)  # type: ignore[arg-type]


SERVED = (
    resource("", "pods", "Pod", short_names=("po",)),
    resource("", "secrets", "Secret"),
    resource("", "bindings", "Binding", verbs=frozenset({"create"})),
    resource("apps", "deployments", "Deployment", short_names=("deploy",)),
    resource("events.k8s.io", "events", "Event"),
    resource("example.com", "widgets", "Widget"),
)


def granted(include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> dict[str, object]:
    found = rules(KindFilter(include, exclude), SERVED)
    return {rule.group: rule.resources for rule in found}


def test_with_no_kind_left_out_it_is_everything_and_nobody_is_asked() -> None:
    assert rules(KindFilter(), ()) == rules(KindFilter(("*",)), ()) == EVERYTHING
    assert (Rule("*", ("*",)),) == EVERYTHING


def test_nothing_but_list_and_watch_is_ever_granted() -> None:
    assert Rule("apps", ("deployments",)).as_object() == {
        "apiGroups": ["apps"],
        "resources": ["deployments"],
        "verbs": ["list", "watch"],
    }


def test_kinds_that_are_named_in_any_word_are_granted_by_their_plural() -> None:
    assert granted(("po", "Deployment")) == {
        **ALWAYS,
        "": ("namespaces", "pods"),
        "apps": ("deployments",),
    }


def test_what_is_excluded_is_not_granted_and_all_that_is_left_is() -> None:
    assert granted((), ("secrets",)) == {
        **ALWAYS,
        "": ("namespaces", "pods"),
        "apps": ("deployments",),
        "example.com": ("widgets",),
    }


def test_what_says_which_kinds_and_namespaces_there_are_is_always_granted() -> None:
    assert granted((), ("namespaces", "customresourcedefinitions", "apiservices", "*")) == ALWAYS


def test_a_kind_that_is_yet_to_come_is_granted_where_it_is_named_in_full() -> None:
    words = ("pods", "Certificates.cert-manager.io", "gadgets", "*.later.example.com")
    assert granted(words) == {
        **ALWAYS,
        "": ("namespaces", "pods"),
        "cert-manager.io": ("certificates",),
    }
    assert unknown(KindFilter(words), SERVED) == ["gadgets", "*.later.example.com"]
    assert granted(words, ("*.cert-manager.io",)) == {**ALWAYS, "": ("namespaces", "pods")}
