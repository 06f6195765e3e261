"""`watcher policy`: the least rights that the program needs, in the bucket and in the cluster.

Exists so that nobody writes them by hand, too wide or too narrow. Promises: prints a document to
apply and applies none; needs a cluster only where the settings name kinds that must be looked up.
"""

from typing import TYPE_CHECKING, Any, cast

import click
import orjson

from watcher.cli.options import BUCKET_ONLY, EPILOG, SettingsCommand, load_settings
from watcher.cli.process import log_of, run_until_done
from watcher.errors import UsageError
from watcher.settings import Settings

if TYPE_CHECKING:
    from watcher.bucket.policy import Role
    from watcher.cluster.kinds import KindFilter
    from watcher.cluster.rights import Rule

_CLUSTER = ("cluster-domain", "cluster-name")
_RBAC_GROUPS = ("What is captured", "Connection to Kubernetes", "Where settings come from")


@click.group("policy", short_help="Print the least rights that the program needs.")
def command() -> None:
    """Print the least rights that the program needs, in the bucket and in the cluster."""


@command.command(cls=SettingsCommand, groups=BUCKET_ONLY, optional=_CLUSTER, epilog=EPILOG)
@click.option(
    "--role",
    type=click.Choice(["writer", "git-sync", "verify"]),
    default="writer",
    metavar="writer|git-sync|verify",
    help="For watcher in one cluster, or for those who read the whole bucket.  [writer]",
)
@click.option(
    "--principal",
    default="",
    metavar="ARN",
    help="Print a policy of the bucket itself, for this user or role of AWS.",
)
def s3(role: str, principal: str, **flags: Any) -> None:
    """Print the policy that a user of the bucket needs, as JSON.

    A writer sees, reads, writes and deletes what is under its cluster's prefix, and nothing else.
    Attach the policy to a user or a role of its own for each cluster, or with --principal make it
    the bucket's own. AWS and MinIO take the same one.

    \b
    Examples, with the settings in the environment:
      watcher policy s3 > east.json
      mc admin policy create minio watcher-east east.json
      aws iam put-role-policy --role-name watcher-east --policy-name backup \\
        --policy-document file://east.json
    """
    from watcher.bucket import policy
    from watcher.bucket.layout import Layout

    writes = role == "writer"
    settings = load_settings(flags, optional=() if writes else _CLUSTER)
    if settings.bucket_directory is not None:
        raise UsageError("policy s3: expected the name of a bucket as minio-bucket")
    prefix = Layout(settings.cluster_domain, settings.cluster_name).prefix if writes else ""
    document = policy.bucket_policy(
        cast("Role", role),
        settings.minio_bucket,
        prefix,
        partition=policy.partition_of(settings.minio_region, settings.minio_endpoint),
        principal=principal,
        # Other stores ask for no right to their keys, and MinIO takes no policy with such words.
        kms_key="" if settings.minio_endpoint else settings.sse_kms_key_id,
    )
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))


@command.command(
    cls=SettingsCommand,
    groups=_RBAC_GROUPS,
    optional=(*_CLUSTER, "minio-bucket"),
    epilog=EPILOG,
)
@click.option("--name", default="watcher", metavar="NAME", help="Of the ClusterRole.  [watcher]")
def rbac(name: str, **flags: Any) -> None:
    """Print the ClusterRole that the service account needs, as YAML.

    Nothing but list and watch: on everything, or if include-kinds or exclude-kinds are set on the
    kinds that they leave, by name. For those the cluster is asked which kinds it serves. Kinds of
    CRDs have the name that kubectl api-resources shows, plural and group:
    certificates.cert-manager.io. Named so in include-kinds, one may be installed later. A narrowed
    role knows no other kinds of the future: print it again after new ones are installed.

    \b
    Example: everything but Secrets
      watcher policy rbac --exclude-kinds secrets | kubectl apply -f -
    """
    from watcher.cluster import rights
    from watcher.cluster.kinds import KindFilter

    settings = load_settings(flags, optional=(*_CLUSTER, "minio-bucket"))
    kinds = KindFilter(settings.include_kinds, settings.exclude_kinds)
    found = rights.EVERYTHING
    if not rights.needs_everything(kinds):
        found = _narrowed(kinds, settings)
    click.echo(_as_yaml(name, found), nl=False)


def _narrowed(kinds: "KindFilter", settings: Settings) -> "tuple[Rule, ...]":
    from watcher.cluster import rights
    from watcher.cluster.connection import connect
    from watcher.cluster.discovery import Discovery, discover

    async def ask() -> Discovery:
        async with connect(settings.kubeconfig, settings.context) as api:
            return await discover(api)

    found = run_until_done(ask(), log_of(settings, level="warning"))
    doubts = [f"no answer about {group}: its kinds are missing here" for group in found.stale]
    doubts += [
        f"include-kinds or exclude-kinds: this cluster has no kind {word!r}"
        for word in rights.unknown(kinds, found.resources)
    ]
    for doubt in sorted(doubts):
        click.echo(f"watcher: {doubt}", err=True)
    return rights.rules(kinds, found.resources)


def _as_yaml(name: str, found: "tuple[Rule, ...]") -> str:
    from watcher.objects.content import Content, canonical_json
    from watcher.objects.yaml import emit

    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [rule.as_object() for rule in found],
    }
    header = ("# What watcher may do in the cluster. Made by: watcher policy rbac",)
    return emit(Content(header, canonical_json(role), b"")).decode()
