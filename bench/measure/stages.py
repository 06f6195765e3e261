"""What one object costs in each stage on its way: parse, clean, fingerprint, YAML, sign and send.

Exists because a figure for the whole program does not say where to look. Promises: the program's
own functions, on objects of the cluster that was measured, each stage timed alone over all of them;
the best of some rounds, in us of CPU an object.
"""

import gc
import time
from collections.abc import Callable
from typing import Any, TypeVar

from bench.measure.figures import Figures
from bench.measure.sample import Sample
from watcher.cluster.framing import BATCH, Items
from watcher.objects.clean import Cleaner, load_rules
from watcher.objects.content import Content, fingerprint
from watcher.objects.secrets import SecretPolicy
from watcher.objects.yaml import emit

NAMES = ("parse", "clean", "fingerprint", "yaml", "sign+send", "rest")
_ROUNDS = 5

_T = TypeVar("_T")


def measure(sample: Sample) -> Figures:
    """All but sending, which is a yardstick too (yardsticks/signed_puts.py)."""
    cleaner = Cleaner(load_rules(), SecretPolicy("redact", None, "example.com", "bench"))
    pages = [(resource, page) for resource, those in sample.pages.items() for page in those]
    cleans = {resource: cleaner.for_resource(resource) for resource in sample.pages}
    objects = sum(len(_parse(page)) for _, page in pages)

    def clean_all() -> list[Content]:
        # A cleaner consumes what it is given.
        return [cleans[resource](item) for resource, items in fresh for item in items]

    def fingerprint_all() -> list[bytes]:
        return [fingerprint(it.header, it.body) for it in contents]

    def emit_all() -> list[bytes]:
        return [emit(it) for it in contents]

    best: dict[str, float] = {}
    for _ in range(_ROUNDS):
        _time(best, "parse", lambda: [_parse(page) for _, page in pages])
        fresh = [(resource, _parse(page)) for resource, page in pages]
        contents = _time(best, "clean", clean_all)
        _time(best, "fingerprint", fingerprint_all)
        _time(best, "yaml", emit_all)
    best["clean"] -= best["fingerprint"]  # which it ends with
    return {f"stage.{name}_us": 1e6 * seconds / objects for name, seconds in best.items()}


def rest(figures: Figures) -> Figures:
    """What the whole process takes for an object beyond these stages: start, HTTP of the lists, the
    event loop, ledger, journal."""
    whole = figures.get("first-sync.sink.cpu_ms")
    sent = figures.get("signed-puts.cpu_us")
    if whole is None or sent is None:
        return {}
    known = sum(figures[f"stage.{name}_us"] for name in ("parse", "clean", "fingerprint", "yaml"))
    return {"stage.sign+send_us": sent, "stage.rest_us": 1000 * whole - known - sent}


def _parse(page: bytes) -> list[dict[str, Any]]:
    items = Items()
    found = []
    for start in range(0, len(page), BATCH):
        found += items.feed(page[start : start + BATCH])
    return found + items.finish()[0]


def _time(best: dict[str, float], name: str, work: Callable[[], _T]) -> _T:
    gc.disable()  # it would look again and again at what is kept here, and no program keeps
    began = time.process_time()
    result = work()
    spent = time.process_time() - began
    gc.enable()
    best[name] = min(spent, best.get(name, spent))
    return result
