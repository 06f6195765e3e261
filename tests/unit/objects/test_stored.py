"""A stored file is read back only where it is, byte for byte, what we would write."""

from pathlib import Path

import pytest
from hypothesis import given

from tests.unit.objects.json_data import OBJECTS
from watcher.objects.content import Content, canonical_json, fingerprint
from watcher.objects.ref import ObjectRef
from watcher.objects.stored import read
from watcher.objects.yaml import emit

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = sorted([*GOLDEN.glob("clean/*.yaml"), *GOLDEN.glob("secrets/*.yaml")])
MAP = b"""\
apiVersion: v1
data:
  a: "1"
kind: ConfigMap
metadata:
  name: web
  namespace: shop
"""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_files_are_read_back(path: Path) -> None:
    assert emit(read(path.read_bytes()).content) == path.read_bytes()


@given(OBJECTS)
def test_whatever_was_written_is_read_back(some: dict[str, object]) -> None:
    whole = {**some, "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    body = canonical_json(whole)
    content = Content((), body, fingerprint((), body))
    assert read(emit(content)).content == content


def test_it_tells_which_object_it_is() -> None:
    assert read(MAP).ref == ObjectRef("", "ConfigMap", "shop", "web")
    cluster_scoped = MAP.replace(b"  namespace: shop\n", b"")
    assert read(cluster_scoped).ref == ObjectRef("", "ConfigMap", "", "web")


@pytest.mark.parametrize(
    ("api_version", "kind", "group"),
    [
        ("v1", "Event", "events.k8s.io"),
        ("apps/v1", "Deployment", "apps"),
        ("extensions/v1beta1", "Deployment", "apps"),
        ("extensions/v1beta1", "Ingress", "networking.k8s.io"),
        ("extensions/v1beta1", "NetworkPolicy", "networking.k8s.io"),
        ("authorization.openshift.io/v1", "RoleBinding", "rbac.authorization.k8s.io"),
        ("cert-manager.io/v1", "Certificate", "cert-manager.io"),
    ],
)
def test_the_group_is_the_one_that_it_is_stored_under(
    api_version: str, kind: str, group: str
) -> None:
    body = MAP.replace(b"apiVersion: v1", f"apiVersion: {api_version}".encode())
    assert read(body.replace(b"kind: ConfigMap", f"kind: {kind}".encode())).ref.group == group


OWNERS = b'# ownerReferences: [{"kind":"ReplicaSet","name":"web-1"}]\n'


@pytest.mark.parametrize(
    "header", [b"", OWNERS, b"# finished: Complete\n", OWNERS + b"# finished: Failed\n"]
)
def test_header_lines_are_part_of_the_content(header: bytes) -> None:
    assert read(header + MAP).content.header == tuple(header.decode().splitlines())


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"\xff" + MAP, "is not UTF-8"),
        (b"", "is not the file of an object"),
        (b"- a\n", "is not the file of an object"),
        (b"apiVersion: v1\nkind: Pod\nmetadata: []\n", "is not the file of an object"),
        (MAP.replace(b"name: web", b"name: 1"), "is not the file of an object"),
        (MAP[:-9] + b': "', "is not YAML"),
        (MAP + b"a: {b: [}\n", "is not YAML (line 8)"),
        (MAP + b"a: !!binary aGk=\n", "holds what is no JSON"),
        (MAP + b"\n", "is not written as watcher writes it"),
        (MAP.replace(b'"1"', b"'1'"), "is not written as watcher writes it"),
        (MAP.replace(b'"1"', b"2001-01-01"), "is not written as watcher writes it"),
        (MAP.replace(b'"1"', b"*a").replace(b"v1", b"&a v1"), "is not written as watcher"),
        (MAP + b"# end\n", "is not written as watcher writes it"),
        (b"# made by hand\n" + MAP, "has header lines that are not ours"),
        (b"# finished: Complete\n" + OWNERS + MAP, "has header lines that are not ours"),
        (OWNERS.replace(b"}", b',"uid":"1"}') + MAP, "has a malformed header line"),
        (OWNERS.replace(b",", b", ") + MAP, "has a malformed header line"),
        (OWNERS.replace(b"]", b"") + MAP, "has a malformed header line"),
    ],
)
def test_what_a_file_is_not_is_said(body: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match="^" + complaint.replace("(", r"\(").replace(")", r"\)")):
        read(body)


def test_a_file_that_is_no_yaml_is_not_quoted() -> None:
    with pytest.raises(ValueError) as raised:
        read(MAP + b"a: {hush: [}\n")
    assert "hush" not in str(raised.value)


def test_the_values_of_a_secret_are_counted() -> None:
    secret = MAP.replace(b"ConfigMap", b"Secret")
    for value, redacted in (
        (b"aGk=", 0),
        (b'"<redacted>"', 1),
        (b'"<hmac-sha256:0123456789abcdef>"', 1),
    ):
        file = read(secret.replace(b'"1"', value))
        assert (len(file.values), file.redacted) == (1, redacted)
    assert read(MAP).values == ()
