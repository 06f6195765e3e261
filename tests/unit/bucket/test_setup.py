"""Setting a bucket up: what is changed, and above all what is not."""

from typing import Any

import pytest

from watcher.bucket.setup import Found, Step, Wish, dangers, steps, with_rule

WISH = Wish(90)
BLOCKED = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)


def by_name(found: Found, wish: Wish = WISH) -> dict[str, Step]:
    return {step.what: step for step in steps(found, wish)}


def done(wish: Wish = WISH) -> Found:
    """What the steps for an empty bucket make of it."""
    to = {name: step.to for name, step in by_name(Found(), wish).items()}
    return Found(
        "Enabled",
        [dict(to["old versions"]), dict(to["unfinished uploads"])],
        dict(to["default encryption"]),
        dict(to["public access"]),
    )


@pytest.mark.parametrize("wish", [WISH, Wish(7, "AES256"), Wish(1, "aws:kms", "key/1")])
def test_what_was_done_need_not_be_done_again(wish: Wish) -> None:
    assert [step.what for step in steps(done(wish), wish) if step.needed] == []


def test_no_rule_of_ours_removes_what_a_key_holds_now() -> None:
    for step in steps(Found(), WISH):
        assert not {"Days", "Date"} & step.to.get("Expiration", {}).keys()
        assert "Transitions" not in step.to
    assert dangers(done().lifecycle) == []


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (Found("Suspended"), "versioning"),
        (Found("Enabled", public_access={**BLOCKED, "BlockPublicAcls": False}), "public access"),
    ],
)
def test_half_of_it_is_not_enough(found: Found, what: str) -> None:
    assert by_name(found)[what].needed


def changed(rule: dict[str, Any], **different: Any) -> Found:
    return Found("Enabled", [{**rule, **different}])


def test_a_rule_of_ours_that_somebody_changed_is_put_right() -> None:
    old, unfinished = done().lifecycle
    for found in (
        changed(old, Status="Disabled"),
        changed(old, NoncurrentVersionExpiration={"NoncurrentDays": 30}),
        changed(old, Expiration={"Days": 1}),
        changed(old, Filter={"Prefix": "logs/"}),
        changed(old, Filter={"And": {"Prefix": "", "Tags": [{"Key": "a", "Value": "b"}]}}),
    ):
        assert by_name(found)["old versions"].needed, found
    assert by_name(changed(unfinished, Status="Disabled"))["unfinished uploads"].needed


def test_stores_may_say_the_same_in_other_words() -> None:
    old, _ = done().lifecycle
    ways: list[dict[str, Any]] = [{"Filter": {}}, {"Filter": None, "Prefix": ""}]
    for words in ways:
        assert not by_name(changed(old, **words))["old versions"].needed


def test_without_a_wish_the_default_encryption_stays_what_it_is() -> None:
    step = by_name(Found(encryption={"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "theirs"}))
    assert not step["default encryption"].needed
    assert by_name(Found(), Wish(90, "AES256"))["default encryption"].needed


def test_rules_of_others_stay_and_ours_is_there_once() -> None:
    theirs = {"ID": "theirs", "Status": "Enabled"}
    ours = {"ID": "ours", "Status": "Enabled"}
    changed = {"ID": "ours", "Status": "Disabled"}
    assert with_rule([ours, theirs], changed) == [theirs, changed]
    assert with_rule([{"Status": "Enabled"}], ours) == [{"Status": "Enabled"}, ours]


def test_a_rule_of_others_that_removes_files_by_age_is_a_danger() -> None:
    rule = {"ID": "tidy", "Status": "Enabled", "Expiration": {"Days": 30}}
    assert dangers([rule]) == ["lifecycle rule 'tidy' removes what is stored, by age"]
    assert dangers([{**rule, "Status": "Disabled"}]) == []
