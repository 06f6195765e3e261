"""Keys name objects one to one, and everything else is foreign (FORMAT.md section 1)."""

from hashlib import blake2b
from pathlib import Path

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from watcher.bucket.layout import Layout, Place, kind_segment, parse
from watcher.objects.ref import ObjectRef

GOLDEN = orjson.loads((Path(__file__).parents[1] / "golden" / "keys.json").read_bytes())

NAMES = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=300),
    st.text(st.sampled_from("ab.-_~%:/é😀A "), min_size=1, max_size=300),
    st.integers(150, 260).map(lambda length: "a" * length),
    st.integers(50, 90).map(lambda length: "é" * length),
)
NAMESPACES = st.sampled_from(("", "a", "myapp", "a-b", "0", "a" * 63))
KINDS = st.sampled_from(
    (
        ("", "Pod"),
        ("apps", "Deployment"),
        ("example.com", "Deployment"),
        ("snapshot.storage.k8s.io", "VolumeSnapshot"),
        ("metrics.k8s.io", "Pod"),
        ("a.b", "C"),
    )
)


@st.composite
def refs(draw: st.DrawFn) -> ObjectRef:
    group, kind = draw(KINDS)
    return ObjectRef(group, kind, draw(NAMESPACES), draw(NAMES))


@pytest.mark.parametrize(("group", "kind", "namespace", "name", "key"), GOLDEN)
def test_keys_are_as_the_golden_ones(
    group: str, kind: str, namespace: str, name: str, key: str
) -> None:
    assert Layout.key(ObjectRef(group, kind, namespace, name)) == key
    assert parse(key) == (namespace, kind_segment(group, kind), None if "~" in key else name)


def test_a_layout_is_one_clusters_part_of_the_bucket() -> None:
    layout = Layout("production.company.com", "east-cluster")
    assert layout.name == "production.company.com/east-cluster"
    assert layout.prefix == "production.company.com/east-cluster/"
    assert layout.meta("owner.json") == "_meta/owner.json"


def test_a_long_name_is_cut_and_told_by_its_hash() -> None:
    name = "x" * 158 + "é" * 30
    digest = blake2b(name.encode(), digest_size=16).hexdigest()
    assert Layout.key(ObjectRef("", "Pod", "a", name)) == f"a/pod/{'x' * 158}~{digest}.yaml"
    name = "x" * 195
    assert Layout.key(ObjectRef("", "Pod", "a", name)) == f"a/pod/{name}.yaml"


@given(refs(), refs())
@example(ObjectRef("", "Pod", "a", "a~b"), ObjectRef("", "Pod", "a", "a%7Eb"))
def test_different_objects_have_different_keys(one: ObjectRef, other: ObjectRef) -> None:
    assert (Layout.key(one) == Layout.key(other)) == (one == other)


@given(st.sets(NAMES, min_size=2, max_size=20))
def test_different_names_have_different_keys(names: set[str]) -> None:
    keys = {Layout.key(ObjectRef("", "Pod", "a", name)) for name in names}
    assert len(keys) == len(names)


@given(refs())
def test_a_key_tells_its_object_unless_the_name_was_cut(ref: ObjectRef) -> None:
    key = Layout.key(ref)
    place = parse(key)
    name = None if "~" in key else ref.name
    assert place == Place(ref.namespace, kind_segment(ref.group, ref.kind), name)


@given(refs())
def test_no_segment_is_longer_than_a_server_takes(ref: ObjectRef) -> None:
    key = Layout.key(ref)
    assert max(map(len, key.encode().split(b"/"))) <= 255
    assert key.isascii()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a",
        "a/pod",
        "a/pod/b",
        "a/pod/b.yml",
        "a/pod/.yaml",
        "a/pod/b/c.yaml",
        "/pod/b.yaml",
        "a//b.yaml",
        "a/pod/b.yaml/",
        "a/pod/b.yaml\n",
        "A/pod/b.yaml",
        "a_b/pod/b.yaml",
        "a.b/pod/b.yaml",
        "-a/pod/b.yaml",
        "_meta/owner.json",
        "_meta/pod/b.yaml",
        "a/Pod/b.yaml",
        "a/p_d/b.yaml",
        "a/deployment.apps/b.yaml",
        "a/pod./b.yaml",
        "a/.example.com/b.yaml",
        "a/foo.Example.com/b.yaml",
        "a/pod/a:b.yaml",
        "a/pod/a b.yaml",
        "a/pod/ä.yaml",
        "a/pod/a%3a.yaml",
        "a/pod/a%61.yaml",
        "a/pod/a%.yaml",
        "a/pod/a%3.yaml",
        "a/pod/a%ZZ.yaml",
        "a/pod/%FF.yaml",
        "a/pod/a~b.yaml",
        "a/pod/a~" + "0" * 32 + ".yaml",
        "a/pod/" + "a" * 160 + "~" + "A" * 32 + ".yaml",
        "a/pod/" + "a" * 161 + "~" + "0" * 32 + ".yaml",
        "a/pod/" + "a" * 157 + "~" + "0" * 32 + ".yaml",
        "a/pod/" + "a" * 160 + "~" + "0" * 31 + ".yaml",
        "a/pod/" + "a" * 196 + ".yaml",
        "a/pod/" + "a" * 158 + "%3~" + "0" * 32 + ".yaml",
    ],
)
def test_any_other_shape_is_foreign(key: str) -> None:
    assert parse(key) is None


@given(st.text(st.sampled_from("ab/.%3AF~_-yml:"), max_size=30))
@example("a/pod/%3A.yaml")
def test_what_parse_accepts_key_makes(text: str) -> None:
    for key in (text, f"{text}.yaml", f"a/pod/{text}.yaml"):
        place = parse(key)
        if place is not None and place.name is not None:
            kind, _, group = place.kind.partition(".")
            assert Layout.key(ObjectRef(group, kind, place.namespace, place.name)) == key
