"""Cleaning rules are data, which a user's file extends (FORMAT.md section 3)."""

from pathlib import Path

import pytest

from watcher.errors import UsageError
from watcher.objects.prune import EACH
from watcher.objects.rules import Rule, load_rules, parse_rules


def test_a_users_file_extends_the_packaged_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(
        """
- kinds: [Certificate.cert-manager.io, "*.example.com"]
  fields: ['spec.ports[].nodePort', 'data["a.b/c"]', 'spec["x"][].y']
  annotations: [example.com/touched]
  labels: [example.com/hash]
  finalizers: [example.com/mine]
"""
    )
    packaged = load_rules()
    assert load_rules(file) == (
        *packaged,
        Rule(
            kinds=("Certificate.cert-manager.io", "*.example.com"),
            fields=(
                ("spec", "ports", EACH, "nodePort"),
                ("data", "a.b/c"),
                ("spec", "x", EACH, "y"),
            ),
            annotations=("example.com/touched",),
            labels=("example.com/hash",),
            finalizers=("example.com/mine",),
        ),
    )


def test_an_empty_file_adds_nothing() -> None:
    assert parse_rules("# nothing yet\n", "mine.yaml") == ()


def test_a_rule_names_kinds_with_their_group_unless_it_is_core() -> None:
    rule = Rule(kinds=("Service", "*.example.com", "Job.batch"))
    assert rule.applies_to("", "Service")
    assert rule.applies_to("example.com", "Anything")
    assert rule.applies_to("batch", "Job")
    assert not rule.applies_to("serving.knative.dev", "Service")
    assert not rule.applies_to("batch", "CronJob")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b", "mine.yaml: expected a list of rules"),
        ("- [", "mine.yaml: not a YAML file (line 1)"),
        ("- a", "mine.yaml: rule 1: expected a map with kinds, fields"),
        ("- {kinds: [A], fields: [a]}\n- {fields: [a]}", "mine.yaml: rule 2: expected kinds and"),
        ("- {kinds: [A]}", "rule 1: expected kinds and at least one of fields, annotations"),
        ("- {kinds: [A], field: [a]}", "rule 1: field: unknown, expected kinds, fields"),
        ("- {kinds: A, fields: [a]}", "rule 1: kinds: expected a list of strings"),
        ("- {kinds: [], fields: [a]}", "rule 1: kinds: expected a list of strings"),
        ("- {kinds: [A], fields: [1]}", "rule 1: fields: expected a list of strings"),
        ("- {kinds: [A], fields: [spec..a]}", "rule 1: fields: spec..a: expected a path like"),
        ("- {kinds: [A], fields: [.spec]}", "rule 1: fields: .spec: expected a path like"),
        ("- {kinds: [A], fields: [spec.]}", "rule 1: fields: spec.: expected a path like"),
        ("- {kinds: [A], fields: ['[].a']}", "rule 1: fields: [].a: expected a path like"),
        ("- {kinds: [A], fields: ['a[]b']}", "rule 1: fields: a[]b: expected a path like"),
        ("- {kinds: [A], fields: ['a[0]']}", "rule 1: fields: a[0]: expected a path like"),
        ("- {kinds: [A], fields: ['a[]']}", "rule 1: fields: a[]: expected the path of a field"),
        ("- {kinds: [A], fields: [kind]}", "rule 1: fields: kind: expected the path of a field"),
        ("- {kinds: [A], fields: [metadata]}", "fields: metadata: expected the path of a field"),
        ("- {kinds: [A], fields: ['metadata[\"name\"]']}", "expected the path of a field besides"),
    ],
)
def test_a_malformed_file_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rules(text, "mine.yaml")
    assert str(caught.value).startswith("clean-rules: mine.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"clean-rules: .*/none.yaml: cannot be read: No such"):
        load_rules(tmp_path / "none.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read: not UTF-8"):
        load_rules(binary)
