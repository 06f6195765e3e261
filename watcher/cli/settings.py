"""`watcher settings`: every setting, its value, and where it comes from."""

import os
from typing import Any

import click

from watcher.cli.options import PRECEDENCE, SettingsCommand, given
from watcher.settings import gather, parse, show


@click.command(
    "settings",
    cls=SettingsCommand,
    short_help="Print every setting and where it comes from.",
    epilog=PRECEDENCE,
)
@click.option(
    "--output",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    metavar="table|json",
    help="How to print them.  [table]",
)
def command(output: str, **flags: Any) -> None:
    """Print every setting, its value and where it comes from; secrets are masked.

    Then say what is wrong with them, if anything is.
    """
    if output == "markdown":
        click.echo(show.as_markdown(), nl=False)
        return
    gathered = gather(given(flags), os.environ)
    click.echo(show.as_json(gathered) if output == "json" else show.as_table(gathered))
    for warning in gathered.warnings:
        click.echo(f"watcher: {warning}", err=True)
    parse(gathered)
