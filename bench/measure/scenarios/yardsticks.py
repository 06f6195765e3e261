"""What stands beside the first sync and the restart, on the same objects and bytes.

Exists so that their figures are ratios. Promises: each yardstick is measured once; the best of the
plan's rounds counts. (Raw PUTs take turns with the first sync itself, see first_sync.py.)
"""

import asyncio

from bench.measure import sample, stages
from bench.measure.buckets import DIRECTORY, SINK
from bench.measure.place import Place
from bench.measure.yardsticks import (
    katafygio,
    kubectl,
    obvious_way,
    raw_puts,
    signed_puts,
    status_event,
)

_SAMPLE = 3000  # objects


def measure(place: Place) -> None:
    kubeconfig = place.cluster.kubeconfig
    taken = asyncio.run(sample.take(kubeconfig, wanted=_SAMPLE))
    place.note_best(
        "paged-gets.wall_s",
        {
            "paged-gets.wall_s": taken.seconds,
            "paged-gets.cpu_ms": 1000 * taken.cpu / taken.objects,
            "paged-gets.objects": taken.objects,
            "paged-gets.read_mb": taken.size / 1e6,
        },
    )
    folder = place.bucket_after_first_sync(DIRECTORY).folder
    sink = place.buckets.new(SINK).bucket
    assert folder is not None
    assert sink is not None
    items = taken.items
    place.note_best("signed-puts.cpu_us", signed_puts.measure(sink, raw_puts.stored(folder)))
    place.note_best("obvious-way.cpu_ms", obvious_way.measure(sink, items))
    for stage, cost in stages.measure(taken).items():
        place.note_best(stage, {stage: cost})
    place.note(**stages.rest(place.measured.figures))
    if event := status_event.measure(place.new_folder(), items):
        place.note_best("status-event.cpu_us", event)
    if place.plan.katafygio:
        dumped = katafygio.measure(place.plan.katafygio, place.new_folder(), kubeconfig)
        place.note_best("katafygio.wall_s", dumped)
    # Last, for it may fail: it prints nothing at all where one object holds a control character.
    place.note_best("kubectl.cpu_ms", kubectl.measure(place.new_folder(), kubeconfig, taken.kinds))
