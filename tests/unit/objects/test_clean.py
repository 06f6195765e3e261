"""Only what somebody wants shows up in the backup (FORMAT.md section 3)."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.objects.json_data import OBJECTS
from watcher.objects.clean import Cleaner, load_rules, origin
from watcher.objects.content import Origin, canonical_json, fingerprint
from watcher.objects.ref import APIResource
from watcher.objects.rules import parse_rules
from watcher.objects.secrets import SecretPolicy
from watcher.objects.yaml import emit

GOLDEN = Path(__file__).parents[2] / "golden" / "clean"
GOLDENS = sorted(GOLDEN.glob("*.json"))
CLEANER = Cleaner(load_rules(), SecretPolicy("redact", None, "example.com", "east"))


def resource_of(item: dict[str, Any]) -> APIResource:
    group, _, version = item["apiVersion"].rpartition("/")
    kind = item["kind"]
    return APIResource(group, version, f"{kind.lower()}s", kind, "namespace" in item["metadata"])


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda path: path.stem)
def test_files_are_as_the_golden_ones(golden: Path) -> None:
    item = orjson.loads(golden.read_bytes())
    file = emit(CLEANER.for_resource(resource_of(item))(item))
    assert file.decode() == golden.with_suffix(".yaml").read_text("utf-8")


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda path: path.stem)
def test_cleaning_a_cleaned_object_changes_nothing(golden: Path) -> None:
    item = orjson.loads(golden.read_bytes())
    clean = CLEANER.for_resource(resource_of(item))
    once = clean(item)
    assert clean(orjson.loads(once.body)).body == once.body


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda path: path.stem)
def test_items_of_lists_get_the_kind_and_version_they_lack(golden: Path) -> None:
    item = orjson.loads(golden.read_bytes())
    clean = CLEANER.for_resource(resource_of(item))
    bare = {key: item[key] for key in item if key not in ("kind", "apiVersion")}
    assert clean(orjson.loads(orjson.dumps(bare))) == clean(item)


NOISE = st.fixed_dictionaries(
    {},
    optional={
        "uid": st.just("u"),
        "creationTimestamp": st.sampled_from((None, "", "2026-01-02T03:04:05Z")),
        "annotations": st.dictionaries(
            st.sampled_from(("pv.kubernetes.io/bind-completed", "a")), st.just("yes")
        ),
        "finalizers": st.lists(st.sampled_from(("orphan", "example.com/a")), max_size=2),
    },
)


@given(OBJECTS, st.sampled_from(("ConfigMap", "Pod", "Foo")), NOISE)
def test_cleaning_any_object_is_idempotent(
    spec: dict[str, Any], kind: str, noise: dict[str, Any]
) -> None:
    template = {"metadata": noise, "other": [{"metadata": {"creationTimestamp": None}}]}
    item = {"metadata": {**noise, "name": "a"}, "template": template, "data": spec, "status": spec}
    resource = APIResource("" if kind != "Foo" else "example.com", "v1", "foos", kind, True)
    clean = CLEANER.for_resource(resource)
    once = clean(orjson.loads(canonical_json(item)))
    assert clean(orjson.loads(once.body)) == once


@given(OBJECTS)
def test_what_no_rule_names_is_kept(data: dict[str, Any]) -> None:
    item = {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "a"}, "x": data}
    expected = canonical_json(item)
    resource = APIResource("example.com", "v1", "foos", "Foo", True)
    if b'"creationTimestamp":' not in expected:
        assert CLEANER.for_resource(resource)(item).body == expected


def test_the_fingerprint_is_that_of_header_and_body() -> None:
    item = orjson.loads((GOLDEN / "pod-succeeded.json").read_bytes())
    content = CLEANER.for_resource(resource_of(item))(item)
    assert content.fingerprint == fingerprint(content.header, content.body)


def test_rules_go_by_the_canonical_group() -> None:
    rules = parse_rules("- kinds: [Deployment.apps]\n  fields: [spec.replicas]", "x")
    cleaner = Cleaner(rules, SecretPolicy("redact", None, "d", "c"))
    old = APIResource("extensions", "v1beta1", "deployments", "Deployment", True)
    content = cleaner.for_resource(old)({"metadata": {"name": "a"}, "spec": {"replicas": 1}})
    assert content.body == (
        b'{"apiVersion":"extensions/v1beta1","kind":"Deployment","metadata":{"name":"a"}}'
    )


@pytest.mark.parametrize("kind", ["Pod", "Service", "Secret", "Job"])
def test_an_object_of_unusual_shape_does_no_harm(kind: str) -> None:
    resource = APIResource("batch" if kind == "Job" else "", "v1", f"{kind.lower()}s", kind, True)
    clean = CLEANER.for_resource(resource)
    bare: dict[str, Any] = {"metadata": {"name": "a", "uid": "u"}}
    shapes: tuple[dict[str, Any], ...] = (
        {},
        {"spec": {}, "data": {}, "status": {}},
        {"spec": None, "data": None, "status": None},
    )
    for shape in shapes:
        assert clean({**bare, "metadata": {**bare["metadata"]}, **shape}).body


def entry(manager: str, time: str | None, **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "time": time, **more}


def test_the_origin_is_the_newest_managed_fields_entry() -> None:
    fields = [
        entry("old", "2026-01-01T00:00:00Z"),
        entry("newest", "2026-01-03T00:00:00Z", operation="Apply"),
        entry("older", "2026-01-02T00:00:00Z", subresource="scale"),
        entry("timeless", None),
    ]
    item = {"metadata": {"uid": "u", "resourceVersion": "7", "managedFields": fields}}
    assert origin(item) == Origin("u", "7", "newest", "Apply", "2026-01-03T00:00:00Z")


def test_who_writes_the_status_is_no_origin() -> None:
    fields = [
        entry("kubectl", "2026-01-01T00:00:00Z"),
        entry("kubelet", "2026-01-02T00:00:00Z", subresource="status"),
    ]
    assert origin({"metadata": {"managedFields": fields}}).manager == "kubectl"


def test_an_object_without_managed_fields_has_an_empty_origin() -> None:
    assert origin({"metadata": {"name": "a"}}) == Origin("", "", "", "", "")
