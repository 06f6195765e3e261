"""Settings as flags, for every command that takes some.

Exists so that each setting is a flag of the same name and help wherever it stands, and each
command shows only those that concern it; and beside them the one flag that many commands share.
"""

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import click

from watcher.settings import SETTINGS, Setting, Settings, load
from watcher.settings.git import GROUP as GIT

_F = TypeVar("_F", bound=Callable[..., Any])

EXIT_CODES = """\b
Exit codes:
  0  done
  1  failed, or something is wrong with the backup
  2  bad usage or settings
  3  refused for safety: the prefix in the bucket is another cluster's, or another process writes"""

PRECEDENCE = """\b
Every setting has one name everywhere; whoever comes first here wins:
  flag                 --max-delay 30s
  environment          MAX_DELAY=30s
  mounted Secret       a file max-delay in the folder of --secret-dir
  config file          max-delay: 30s in the file of --config
Put keys into the environment or the Secret: everybody on a machine sees flags."""

EPILOG = f"{PRECEDENCE}\n\n{EXIT_CODES}"

CAPTURE = tuple(dict.fromkeys(it.group for it in SETTINGS if it.group != GIT))
"""Groups of settings for commands that back a cluster up."""

BUCKET_ONLY = ("Which cluster", "The bucket", "Where settings come from")
"""Groups of settings for commands that look into the bucket and never at the cluster."""


def output_option(said: str = "How to print it.") -> Callable[[_F], _F]:
    """`--output` of a command that prints a table for people, or JSON. said: what its help says."""
    return click.option(
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        metavar="table|json",
        help=f"{said}  [table]",
    )


class _SettingOption(click.Option):
    def __init__(self, setting: Setting, *, optional: bool) -> None:
        flag = f"--{setting.name}"
        required = "" if optional else "required"
        default = required if setting.default is None else setting.default
        super().__init__(
            [f"{flag}/--no-{setting.name}" if setting.switch else flag],
            default=None,
            metavar=setting.form.metavar,
            help=f"{setting.help}  [{default}]" if default else setting.help,
        )
        self.setting = setting

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record and self.setting.switch:
            return f"--[no-]{self.setting.name}", record[1]
        return record


class SettingsCommand(click.Command):
    """A command that takes settings as flags, and shows them by group."""

    def __init__(
        self,
        *args: Any,
        groups: Collection[str] = (),
        without: Collection[str] = (),
        optional: Collection[str] = (),
        **kwargs: Any,
    ) -> None:
        """groups: the settings it takes; () is all. without: names of those in them that mean
        nothing to it. optional: names of those that it can do without."""
        super().__init__(*args, **kwargs)
        of_groups = (setting for setting in SETTINGS if not groups or setting.group in groups)
        taken = (setting for setting in of_groups if setting.name not in without)
        self.params.extend(_SettingOption(it, optional=it.name in optional) for it in taken)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                group = param.setting.group if isinstance(param, _SettingOption) else "Options"
                groups.setdefault(group, []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records, col_max=30)


class SettingsGroup(SettingsCommand, click.Group):
    """A command that takes settings, too, and has others below it."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def load_settings(flags: Mapping[str, Any], *, optional: Collection[str] = ()) -> Settings:
    """The settings of a command that was given these flags. optional: names of settings that it
    can do without. Raises UsageError."""
    return load(given(flags), os.environ, optional=optional)


def given(flags: Mapping[str, Any]) -> dict[str, str]:
    """The settings among a command's parameters that the user wrote, as text."""
    written = {name.replace("_", "-"): value for name, value in flags.items() if value is not None}
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in written.items()
    }
