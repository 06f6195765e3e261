"""How people name many keys at once: a key in which `*` stands for any text."""

import re
from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=1000)
def compiled(pattern: str) -> re.Pattern[str]:
    """For `fullmatch`. Nothing but `*` has a meaning."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))))


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of them means it."""
    return any(compiled(pattern).fullmatch(name) for pattern in patterns)
