"""The emitter's files are read by everyone exactly as they were meant (FORMAT.md section 2)."""

import io
import random
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml as pyyaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tests.unit.objects.json_data import OBJECTS, STRINGS, SUSPICIOUS
from watcher.objects.content import Content, canonical_json
from watcher.objects.yaml import emit

GOLDEN = Path(__file__).parents[2] / "golden" / "yaml"


def file_of(document: dict[str, Any], header: tuple[str, ...] = ()) -> bytes:
    return emit(Content(header, canonical_json(document), b""))


def assert_reads_as(file: bytes, document: dict[str, Any]) -> None:
    """Compared as canonical JSON, which tells 1 from 1.0 from true and 0.0 from -0.0."""
    expected = canonical_json(document)
    assert canonical_json(pyyaml.safe_load(file)) == expected, "YAML 1.1"
    assert canonical_json(YAML(typ="safe", pure=True).load(io.BytesIO(file))) == expected, "1.2"


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_files_are_as_the_golden_ones(golden: Path) -> None:
    document = orjson.loads(golden.read_bytes())
    file = file_of(document)
    assert file.decode() == golden.with_suffix(".yaml").read_bytes().decode()
    assert_reads_as(file, document)


@settings(max_examples=200)
@given(OBJECTS)
def test_both_yaml_versions_read_any_object_exactly(document: dict[str, Any]) -> None:
    assert_reads_as(file_of(document), document)


@settings(max_examples=150)
@given(STRINGS)
def test_any_string_survives_in_every_place(text: str) -> None:
    document = {
        text: text,
        "in": {"map": {text: [text]}, "list": [text, [text, {"a": text}], {text: 1, "z": text}]},
        "last": [[text]],
    }
    assert_reads_as(file_of(document), document)


def test_suspicious_strings_survive_in_every_place() -> None:
    for text in SUSPICIOUS:
        document = {text: text, "in": {"list": [text, [text, {"a": text}], {text: text}]}}
        assert_reads_as(file_of(document), document)


@pytest.mark.parametrize("length", [999, 1000, 1001, 1022, 1024, 1025, 5000])
def test_long_keys_survive(length: int) -> None:
    for key in ("k" * length, "é" * length, "\n" * length):
        document = {key: {key: ["a\nb\n\n"], "z": {key: {}}}, "list": [{key: [{key: "a\nb"}]}]}
        assert_reads_as(file_of(document), document)


@given(OBJECTS)
def test_a_file_ends_with_exactly_one_newline(document: dict[str, Any]) -> None:
    file = file_of(document)
    assert file.endswith(b"\n")
    assert not file.endswith(b"\n\n")


@given(OBJECTS, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(document: dict[str, Any], rng: random.Random) -> None:
    assert file_of(shuffled(document, rng)) == file_of(document)


def shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    if isinstance(value, list):
        return [shuffled(item, rng) for item in value]
    return value


def test_header_lines_come_first_and_change_nothing_of_the_object() -> None:
    document = {"kind": "Pod"}
    file = file_of(document, ('# ownerReferences: [{"name":"a: b"}]', "# finished: Failed"))
    assert file == b'# ownerReferences: [{"name":"a: b"}]\n# finished: Failed\nkind: Pod\n'
    assert_reads_as(file, document)


def test_a_file_is_the_same_however_many_strings_came_before() -> None:
    document = {"key": "value", "other": "yes", "text": "a\nb\n"}
    before = file_of(document)
    for number in range(0, 45_000, 1_000):
        file_of({f"k{one}": f"v{one}" for one in range(number, number + 1_000)})
    assert file_of(document) == before


def test_deep_nesting_survives() -> None:
    document: dict[str, Any] = {"a": "b"}
    for _ in range(150):
        document = {"a": [document]}
    file = file_of(document)
    assert file.count(b"\n") == 151
    assert file.endswith(b"- a: b\n")
