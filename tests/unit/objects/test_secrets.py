"""No value of a Secret leaves the cluster unless settings say so (FORMAT.md section 3)."""

import base64
import binascii
import hashlib
import hmac
from pathlib import Path
from typing import Any

import orjson
import pytest

from watcher.objects.clean import Cleaner, load_rules
from watcher.objects.ref import APIResource
from watcher.objects.secrets import SecretPolicy
from watcher.objects.yaml import emit

GOLDEN = Path(__file__).parents[2] / "golden" / "secrets"
KEY = b"0123456789abcdef"
POLICIES = {
    "redact": SecretPolicy("redact", None, "example.com", "east"),
    "redact-with-key": SecretPolicy("redact", KEY, "example.com", "east"),
    "plain": SecretPolicy("plain", None, "example.com", "east"),
}
SECRETS = APIResource("", "v1", "secrets", "Secret", True)


def secret(**data: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "myapp", "name": "db"}, "data": data}


@pytest.mark.parametrize("policy", POLICIES)
def test_files_are_as_the_golden_ones(policy: str) -> None:
    item = orjson.loads((GOLDEN / "opaque.json").read_bytes())
    file = emit(Cleaner(load_rules(), POLICIES[policy]).for_resource(SECRETS)(item))
    assert file.decode() == (GOLDEN / f"opaque.{policy}.yaml").read_text("utf-8")


def test_nothing_of_a_value_is_left() -> None:
    for name in ("redact", "redact-with-key"):
        item = orjson.loads((GOLDEN / "opaque.json").read_bytes())
        content = Cleaner(load_rules(), POLICIES[name]).for_resource(SECRETS)(item)
        for trace in (b"hunter2", b"aHVudGVyMg", hashlib.sha256(b"hunter2").hexdigest().encode()):
            assert trace not in content.body


def test_a_key_makes_a_keyed_hash_of_place_and_value() -> None:
    item = secret(password="aHVudGVyMg==")
    POLICIES["redact-with-key"].apply(item)
    message = b"example.com\0east\0myapp\0db\0password\0hunter2"
    digest = hmac.new(KEY, message, hashlib.sha256).hexdigest()[:16]
    assert item["data"] == {"password": f"<hmac-sha256:{digest}>"}


def test_the_same_value_looks_different_in_every_place() -> None:
    seen = set()
    for namespace, name, key in (
        ("a", "b", "c"),
        ("a", "b", "d"),
        ("a", "x", "c"),
        ("y", "b", "c"),
    ):
        item = {"metadata": {"namespace": namespace, "name": name}, "data": {key: "YQ=="}}
        for cluster in ("east", "west"):
            copy = orjson.loads(orjson.dumps(item))
            SecretPolicy("redact", KEY, "example.com", cluster).apply(copy)
            seen.add(copy["data"][key])
    assert len(seen) == 8


@pytest.mark.parametrize("policy", ["redact", "redact-with-key"])
def test_what_stands_for_a_value_is_no_base64(policy: str) -> None:
    item = secret(password="aHVudGVyMg==")
    POLICIES[policy].apply(item)
    with pytest.raises(binascii.Error):
        base64.b64decode(item["data"]["password"], validate=True)


@pytest.mark.parametrize("policy", POLICIES)
def test_cleaning_a_cleaned_secret_changes_nothing(policy: str) -> None:
    clean = Cleaner(load_rules(), POLICIES[policy]).for_resource(SECRETS)
    once = clean(orjson.loads((GOLDEN / "opaque.json").read_bytes()))
    assert clean(orjson.loads(once.body)) == once


def test_an_excluded_secret_that_comes_here_all_the_same_is_redacted() -> None:
    item = secret(password="aHVudGVyMg==")
    SecretPolicy("exclude", None, "example.com", "east").apply(item)
    assert item["data"] == {"password": "<redacted>"}


def test_only_core_secrets_are_secrets() -> None:
    other = APIResource("example.com", "v1", "secrets", "Secret", True)
    clean = Cleaner(load_rules(), POLICIES["redact"]).for_resource(other)
    assert b"aHVudGVyMg==" in clean(secret(password="aHVudGVyMg==")).body
