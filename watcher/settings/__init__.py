"""Every setting of the program, and the only reader of flags, environment and Secret files.

Exists so that a setting has one name and one meaning wherever it is given: key `max-delay` of the
mounted Secret = environment variable `MAX_DELAY` = flag `--max-delay` = key of the config file
(DESIGN.md section 9). Promises: flag > environment > Secret > config file > default; an unknown
or malformed setting is a UsageError, one line each with the setting, its source, the value (never
a secret's) and what is expected. `table` says what there is, `forms` how values are written,
`reading` where they are looked for, `show` prints them.
"""

from watcher.settings.forms import Secret
from watcher.settings.reading import Gathered, Given, gather, load, parse
from watcher.settings.row import Setting
from watcher.settings.table import SETTINGS, Settings

__all__ = [
    "SETTINGS",
    "Gathered",
    "Given",
    "Secret",
    "Setting",
    "Settings",
    "gather",
    "load",
    "parse",
]
