"""Everything that crosses an edge, in order, as lines.

Exists to tell two runs apart by one digest, and to show the end of a run that failed.
"""

import asyncio
from collections import deque
from hashlib import blake2b

_SHOWN = 40  # lines


class Trace:
    def __init__(self) -> None:
        self.count = 0
        self.last: deque[str] = deque(maxlen=_SHOWN)
        self._hash = blake2b(digest_size=16)

    def note(self, line: str) -> None:
        self.count += 1
        line = f"{asyncio.get_running_loop().time():9.3f}  {line}"
        if "/_meta/" not in line:  # there is too much of that to be shown
            self.last.append(line)
        self._hash.update(line.encode() + b"\n")

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
