"""`watcher bucket init`: a bucket as backups need it, made with an administrator's keys.

Exists so that versioning, lifecycle and encryption are not a page of instructions. Promises: the
keys are an administrator's, given for this one command by flag or environment; they are no
settings, so no Secret of the service and no config file can hold them, and the writer's are never
used.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
import orjson

from watcher.cli.options import EPILOG, SettingsCommand, load_settings, output_option
from watcher.cli.process import log_of, run_until_done
from watcher.errors import UsageError, WatcherError
from watcher.settings import Settings

if TYPE_CHECKING:
    from watcher.bucket.admin import Done

_CLUSTER = ("cluster-domain", "cluster-name")
_KEYS = {
    "admin-access-key": "Access key of who may set up buckets; else ADMIN_ACCESS_KEY.",
    "admin-secret-key": "Its secret key; else ADMIN_SECRET_KEY.",
    "admin-session-token": "Its session token, if it has one; else ADMIN_SESSION_TOKEN.",
}


@click.group("bucket", short_help="Set the bucket up.")
def group() -> None:
    """Set the bucket up."""


@group.command(
    cls=SettingsCommand,
    groups=("The bucket", "Where settings come from"),
    without=("minio-access-key", "minio-secret-key", "fsync"),
    optional=_CLUSTER,
    epilog=EPILOG,
)
@click.option("--admin-access-key", metavar="SECRET", help=_KEYS["admin-access-key"])
@click.option("--admin-secret-key", metavar="SECRET", help=_KEYS["admin-secret-key"])
@click.option("--admin-session-token", metavar="SECRET", help=_KEYS["admin-session-token"])
@click.option(
    "--keep-days",
    type=click.IntRange(1, 36500),
    default=90,
    metavar="DAYS",
    help="How long replaced and deleted files stay as old versions.  [90]",
)
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
@output_option()
def init(keep_days: int, dry_run: bool, output: str, **flags: Any) -> None:
    """Create the bucket if it is not there, and make it what backups need.

    Versioning on; old versions removed some time after they were replaced or deleted, and uploads
    that nobody finished; encrypted by default as the settings sse and sse-kms-key-id say; public
    access blocked. What is so already is left alone, and so are lifecycle rules of others. What
    the store does not know is said, and is no failure.

    Needs an administrator's keys, and never takes the writer's:

    \b
      export ADMIN_ACCESS_KEY=… ADMIN_SECRET_KEY=…
      watcher bucket init --minio-endpoint https://minio.example.com --minio-bucket cluster-backups
    """
    keys = _admin_keys({name: flags.pop(name.replace("-", "_")) for name in _KEYS})
    settings = load_settings(flags, optional=_CLUSTER)
    if settings.bucket_directory is not None:
        raise UsageError("bucket init: expected the name of a bucket as minio-bucket")
    done: list[Done] = []

    def show(it: "Done") -> None:
        done.append(it)
        if output == "table":
            click.echo(_line(it))

    work = _set_up(settings, keys, keep_days, show, dry_run=dry_run)
    dangers = run_until_done(work, log_of(settings, level="warning"))
    if output == "json":
        click.echo(orjson.dumps([_as_object(it) for it in done], option=orjson.OPT_INDENT_2))
    else:
        click.echo(_last_line(done, dry_run=dry_run))
    for danger in dangers:
        click.echo(f"watcher: {danger}: give backups a bucket of their own", err=True)
    for it in done:  # what was asked for by name is no matter of the store's taste
        if it.step.what == "default encryption" and it.step.needed and it.why:
            raise WatcherError(f"sse {settings.sse}: {it.why}")


def _admin_keys(given: "dict[str, str | None]") -> tuple[str, str, str]:
    """Access key, secret key, session token. Raises UsageError."""
    found = {name: given[name] or os.environ.get(_variable(name), "") for name in _KEYS}
    missing = [name for name in list(_KEYS)[:2] if not found[name]]
    if missing:
        raise UsageError(
            "\n".join(
                f"{name} is missing: give it as flag --{name} or environment variable"
                f" {_variable(name)}"
                for name in missing
            )
        )
    access_key, secret_key, token = found.values()
    return access_key, secret_key, token


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")


async def _set_up(
    settings: Settings,
    keys: tuple[str, str, str],
    keep_days: int,
    show: "Callable[[Done], None]",
    *,
    dry_run: bool,
) -> list[str]:
    """What of the bucket endangers backups. Raises BucketError."""
    from watcher.bucket.admin import administering, set_up
    from watcher.bucket.connecting import Place
    from watcher.bucket.setup import Wish, dangers

    place = Place(
        settings.minio_bucket,
        settings.minio_endpoint.rstrip("/"),
        settings.minio_region,
        keys=keys,
        ca_file=settings.minio_ca_file,
        client_cert_file=settings.minio_client_cert_file,
        client_key_file=settings.minio_client_key_file,
    )
    sse = "" if settings.sse == "none" else settings.sse
    async with administering(place) as admin:
        async for it in set_up(
            admin, Wish(keep_days, sse, settings.sse_kms_key_id), dry_run=dry_run
        ):
            show(it)
        return dangers(admin.lifecycle)


def _line(it: "Done") -> str:
    step = it.step
    if it.outcome == "not supported":
        return f"! {step.what}: not supported by this store ({it.why})"
    if it.outcome == "same":
        return f"  {step.what}: {step.after}"
    return f"~ {step.what}: {step.before} -> {step.after}"


def _last_line(done: "list[Done]", *, dry_run: bool) -> str:
    changes = sum(it.outcome in ("changed", "to change") for it in done)
    if not changes:
        return "Nothing to change."
    things = f"{changes} thing{'' if changes == 1 else 's'}"
    return f"{things} would change." if dry_run else f"{things} changed."


def _as_object(it: "Done") -> dict[str, str]:
    return {
        "what": it.step.what,
        "before": it.step.before,
        "after": it.step.after,
        "outcome": it.outcome,
        "why": it.why,
    }
