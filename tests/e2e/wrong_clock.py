"""`watcher` on a machine whose clock is wrong, by as many seconds as a file says at the moment.

    python -m tests.e2e.wrong_clock FILE run

Exists because a machine's own clock cannot be put back for one test alone. Promises: the program
itself, but for what it takes the time of day to be: its own and that of its signatures.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botocore import auth

from watcher.capture import context
from watcher.cli import main


def jump(said: Path, seconds: int) -> None:
    """Let the clock be wrong by so much from now on."""
    new = said.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(said)


def _put_wrong(said: Path) -> None:
    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=int(said.read_text()))

    context._utc_now = now
    auth.get_current_datetime = now


if __name__ == "__main__":
    _put_wrong(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
