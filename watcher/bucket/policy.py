"""The least that each part of the program needs in the bucket, as a policy of S3.

Exists because only who knows every request that is made (store.py) can say what to allow. Promises:
a writer's policy reaches the objects under one cluster's `prefix/` and nothing else, so no other
cluster's, `cl10` beside `cl1` included; nobody may remove old versions, or change versioning,
lifecycle or the policy itself; the same statements are taken by AWS and by MinIO. Pure.

HEAD is s3:GetObject, a copy is s3:GetObject and s3:PutObject, a listing is s3:ListBucket.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

from typing import Any, Literal

Role = Literal["writer", "git-sync", "verify"]

_READ = ["s3:GetObject"]
_WRITE = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]


def bucket_policy(
    role: Role,
    bucket: str,
    prefix: str,
    *,
    partition: str = "aws",
    principal: str = "",
    kms_key: str = "",
) -> dict[str, Any]:
    """prefix: of the cluster, with its last slash; readers need none, they read all of the bucket.
    partition: see `partition_of`. principal: who it is for, where the policy is the bucket's own;
    "": it will be attached to whom it is for. kms_key: id, alias or ARN of the key of AWS's KMS
    that objects are encrypted with (AWS's own default key needs no permission). A bucket's own
    policy can't speak of keys.
    """
    arn = f"arn:{partition}:s3:::{bucket}"
    listing: dict[str, Any] = {"Action": ["s3:ListBucket"], "Resource": [arn]}
    objects: dict[str, Any] = {"Action": _READ, "Resource": [f"{arn}/*"]}
    if role == "writer":
        listing["Condition"] = {"StringLike": {"s3:prefix": [f"{prefix}*"]}}
        objects = {"Action": _WRITE, "Resource": [f"{arn}/{prefix}*"]}
    statements = {"List": listing, "Objects": objects}
    if role == "writer":
        # To MinIO, who may delete an object may delete its versions too unless that is denied.
        old = {"Effect": "Deny", "Action": ["s3:DeleteObjectVersion"], "Resource": [f"{arn}/*"]}
        statements["OldVersions"] = old
    if kms_key and not principal:
        statements["Key"] = _use_of(kms_key, partition, writes=role == "writer")
    to = {"Principal": {"AWS": [principal]}} if principal else {}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": sid, "Effect": "Allow", **to, **statement}
            for sid, statement in statements.items()
        ],
    }


def partition_of(region: str, endpoint: str) -> str:
    """What an ARN begins with; other stores than AWS know but one."""
    if not endpoint and region.startswith("cn-"):
        return "aws-cn"
    if not endpoint and region.startswith("us-gov-"):
        return "aws-us-gov"
    return "aws"


def _use_of(key: str, partition: str, *, writes: bool) -> dict[str, Any]:
    actions = ["kms:Decrypt", *(["kms:GenerateDataKey"] if writes else [])]
    if key.startswith("arn:"):
        return {"Action": actions, "Resource": [key]}
    if not key.startswith("alias/"):
        return {"Action": actions, "Resource": [f"arn:{partition}:kms:*:*:key/{key}"]}
    return {
        "Action": actions,
        "Resource": [f"arn:{partition}:kms:*:*:key/*"],
        "Condition": {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [key]}},
    }
