"""An empty bucket, a full cluster: how fast, at what price, with how much memory.

Promises: the whole program is measured, from its start to its end (`run --once`), into each bucket;
the best of the plan's rounds counts. Requests and bytes are the sink's count. After the one into
MinIO the same bytes are PUT raw into it (yardsticks/raw_puts.py).
"""

from collections import Counter

from bench.measure.buckets import DIRECTORY, MINIO, SINK
from bench.measure.place import Place
from bench.measure.yardsticks import raw_puts


def measure(place: Place) -> None:
    for word in [place.plan.bucket] if place.plan.bucket else [DIRECTORY, SINK, MINIO]:
        _into(place, word)
        if word == MINIO:
            _raw_puts(place)


def _into(place: Place, word: str) -> None:
    name = f"first-sync.{word}"
    target = place.buckets.new(word)
    server, bucket = place.cluster.cpu, place.buckets.cpu(word)
    asked = place.buckets.sink.asked() if word == SINK else Counter()
    run = place.fill(target)
    figures = {
        "wall_s": run.seconds,
        "per_second": run.written / run.seconds,
        "cpu_ms": 1000 * run.cpu / run.written,
        "peak_mb": run.peak_rss / 1e6,
        "objects": run.written,
    }
    if word != DIRECTORY:
        figures["bucket_cpu_ms"] = 1000 * (place.buckets.cpu(word) - bucket) / run.written
    if place.cluster.simulated:
        figures["cluster_cpu_ms"] = 1000 * (place.cluster.cpu - server) / run.written
    if word == SINK:
        told = place.buckets.sink.asked()
        figures |= {f"requests_{method}": told[method] - asked[method] for method in told}
        figures["stored_mb"] = figures.pop("requests_bytes") / 1e6
        figures["puts_beyond_objects"] = figures["requests_PUT"] - run.written
    place.note_best(f"{name}.wall_s", {f"{name}.{it}": value for it, value in figures.items()})


def _raw_puts(place: Place) -> None:
    folder = place.bucket_after_first_sync(DIRECTORY).folder
    bucket = place.buckets.new(MINIO).bucket
    assert folder is not None
    assert bucket is not None
    place.note_best("raw-puts.wall_s", raw_puts.measure(bucket, raw_puts.stored(folder)))
