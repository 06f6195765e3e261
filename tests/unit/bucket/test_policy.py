"""Policies: what they allow, and that it is what the program asks for (real servers: tests/e2e)."""

from typing import Any

import pytest

from watcher.bucket.policy import bucket_policy, partition_of

PREFIX = "example.com/cl1/"


def statements(policy: dict[str, Any]) -> dict[str, Any]:
    assert policy["Version"] == "2012-10-17"
    denied = [it["Sid"] for it in policy["Statement"] if it["Effect"] != "Allow"]
    assert denied in ([], ["OldVersions"])
    return {it["Sid"]: it for it in policy["Statement"]}


def test_a_writer_has_its_prefix_with_its_slash_and_nothing_else() -> None:
    found = statements(bucket_policy("writer", "backups", PREFIX))
    assert found.keys() == {"List", "Objects", "OldVersions"}
    assert found["List"]["Action"] == ["s3:ListBucket"]
    assert found["List"]["Resource"] == ["arn:aws:s3:::backups"]
    assert found["List"]["Condition"] == {"StringLike": {"s3:prefix": ["example.com/cl1/*"]}}
    assert found["Objects"]["Action"] == ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    assert found["Objects"]["Resource"] == ["arn:aws:s3:::backups/example.com/cl1/*"]
    assert found["OldVersions"]["Effect"] == "Deny"
    assert found["OldVersions"]["Action"] == ["s3:DeleteObjectVersion"]
    assert found["OldVersions"]["Resource"] == ["arn:aws:s3:::backups/*"]


@pytest.mark.parametrize("role", ["git-sync", "verify"])
def test_a_reader_lists_and_reads_the_whole_bucket_and_no_more(role: Any) -> None:
    found = statements(bucket_policy(role, "backups", ""))
    assert found["List"]["Action"] + found["Objects"]["Action"] == ["s3:ListBucket", "s3:GetObject"]
    assert found.keys() == {"List", "Objects"}
    assert "Condition" not in found["List"]
    assert found["Objects"]["Resource"] == ["arn:aws:s3:::backups/*"]


def test_a_policy_of_the_bucket_itself_says_whom_it_is_for() -> None:
    arn = "arn:aws:iam::1:role/watcher"
    found = statements(
        bucket_policy("writer", "backups", PREFIX, principal=arn, kms_key="arn:aws:kms:::key/1")
    )
    assert [it["Principal"] for it in found.values()] == [{"AWS": [arn]}] * 3


@pytest.mark.parametrize(
    ("key", "resource"),
    [
        ("arn:aws:kms:eu-west-1:1:key/2", "arn:aws:kms:eu-west-1:1:key/2"),
        ("2-3-4", "arn:aws:kms:*:*:key/2-3-4"),
        ("alias/backup", "arn:aws:kms:*:*:key/*"),
    ],
)
def test_a_key_of_kms_may_be_used_by_who_writes_and_who_reads(key: str, resource: str) -> None:
    writer = statements(bucket_policy("writer", "b", PREFIX, kms_key=key))["Key"]
    reader = statements(bucket_policy("verify", "b", "", kms_key=key))["Key"]
    assert writer["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert reader["Action"] == ["kms:Decrypt"]
    assert writer["Resource"] == reader["Resource"] == [resource]
    condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [key]}}
    assert writer.get("Condition") == (condition if key.startswith("alias/") else None)


@pytest.mark.parametrize(
    ("region", "endpoint", "partition"),
    [
        ("eu-west-1", "", "aws"),
        ("cn-north-1", "", "aws-cn"),
        ("us-gov-west-1", "", "aws-us-gov"),
        ("cn-north-1", "https://minio", "aws"),
    ],
)
def test_arns_begin_as_the_region_has_it(region: str, endpoint: str, partition: str) -> None:
    assert partition_of(region, endpoint) == partition
    found = statements(bucket_policy("verify", "b", "", partition=partition))
    assert found["Objects"]["Resource"] == [f"arn:{partition}:s3:::b/*"]
