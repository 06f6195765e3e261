"""What a bucket for backups should be like, and what is to be changed in one that is there.

Exists so that a bucket is set up the same way every time, and a second time nothing happens.
Promises: pure; of what is there only what differs is changed; lifecycle rules of others stay; none
of ours ever removes what a key holds now (it removes what was replaced or deleted long ago, the
mark of a deletion once nothing is left under it, and uploads that nobody finished).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

What = Literal[
    "bucket",
    "versioning",
    "old versions",
    "unfinished uploads",
    "default encryption",
    "public access",
]
Rule = dict[str, Any]  # of a lifecycle, as S3 has it

_OLD_VERSIONS = "watcher-old-versions"
_UNFINISHED = "watcher-unfinished-uploads"
_UNFINISHED_DAYS = 7
_NOBODY = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """keep_days: how long replaced and deleted versions stay. sse: "" leaves the default
    encryption as it is. kms_key: "" is the store's default key."""

    keep_days: int
    sse: str = ""
    kms_key: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A bucket as it is, or would be just after its creation."""

    versioning: str = ""  # "Enabled", "Suspended"; "" if it never was enabled
    lifecycle: Sequence[Rule] = ()
    encryption: Mapping[str, str] = field(default_factory=dict)
    public_access: Mapping[str, bool] = field(default_factory=dict)
    unknown: Mapping[What, str] = field(default_factory=dict)  # to the store -> what it answered


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is to be so. before, after: for people. to: what S3 is to be told."""

    what: What
    before: str
    after: str
    to: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needed(self) -> bool:
        return self.before != self.after


def steps(found: Found, wish: Wish) -> Iterator[Step]:
    """All that is to be so in a bucket that is there, in the order in which to do it."""
    versioned = "on" if found.versioning == "Enabled" else "off"
    yield Step("versioning", versioned, "on", {"Status": "Enabled"})
    ours = {rule.get("ID"): rule for rule in found.lifecycle}
    old, unfinished = _old_versions(wish), _unfinished()
    yield Step("old versions", _said(ours.get(_OLD_VERSIONS)), _said(old), old)
    yield Step("unfinished uploads", _said(ours.get(_UNFINISHED)), _said(unfinished), unfinished)
    default: Mapping[str, str] = {"SSEAlgorithm": wish.sse}
    if wish.kms_key:
        default = {**default, "KMSMasterKeyID": wish.kms_key}
    default = default if wish.sse else found.encryption
    yield Step("default encryption", _encrypted(found.encryption), _encrypted(default), default)
    blocked = "blocked" if found.public_access == _NOBODY else "not blocked"
    yield Step("public access", blocked, "blocked", _NOBODY)


def with_rule(rules: Sequence[Rule], rule: Rule) -> list[Rule]:
    """The lifecycle with this rule instead of the one of its name, the others as they are."""
    return [*(it for it in rules if it.get("ID") != rule["ID"]), rule]


def dangers(rules: Sequence[Rule]) -> list[str]:
    """Rules of others that remove files of a backup though nobody deleted them."""
    return [
        f"lifecycle rule {rule.get('ID', '')!r} removes what is stored, by age"
        for rule in rules
        if rule.get("Status") == "Enabled" and {"Days", "Date"} & rule.get("Expiration", {}).keys()
    ]


def _old_versions(wish: Wish) -> Rule:
    return {
        "ID": _OLD_VERSIONS,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": wish.keep_days},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    }


def _unfinished() -> Rule:
    return {
        "ID": _UNFINISHED,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _UNFINISHED_DAYS},
    }


def _said(rule: Rule | None) -> str:
    """All that a rule does, so that two which do the same are said the same."""
    if rule is None or rule.get("Status") != "Enabled":
        return "kept for ever"
    said = []
    if days := rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"):
        said.append(f"removed after {days} days")
    if days := rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"):
        said.append(f"removed after {days} days")
    for name, value in rule.get("Expiration", {}).items():
        if name == "ExpiredObjectDeleteMarker" and value:
            said.append("and then the marks of deletions")
        elif name in ("Days", "Date"):
            said.append(f"and what is stored, by age ({value})")
    scope = rule.get("Filter") or {}
    if (prefix := scope.get("Prefix", rule.get("Prefix", ""))) or scope.keys() - {"Prefix"}:
        said.append(f"in {prefix or 'a part of the bucket'}")
    return ", ".join(said) or "kept for ever"


def _encrypted(default: Mapping[str, str]) -> str:
    kind = default.get("SSEAlgorithm", "none")
    key = default.get("KMSMasterKeyID", "")
    return f"{kind} with key {key}" if key else kind
