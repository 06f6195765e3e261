"""The same job with the same libraries, done as one would at first.

Exists because that is what a weekend's script costs: `ruamel.yaml.YAML()` at its defaults and
aiobotocore's `put_object`. Promises: parse, clean, dump and PUT of a sample's objects, into the
sink; cleaning is ours, for there is no obvious one.
"""

import asyncio
import time
from collections.abc import Sequence
from io import BytesIO

import orjson
from aiobotocore.session import get_session
from ruamel.yaml import YAML

from bench.measure.figures import Figures
from tests.e2e.minio import Bucket
from watcher.objects.clean import Cleaner, load_rules
from watcher.objects.ref import APIResource
from watcher.objects.secrets import SecretPolicy

_OBJECTS = 300  # some 5 ms each


def measure(bucket: Bucket, items: Sequence[tuple[APIResource, bytes]]) -> Figures:
    """Of every so-manieth of the items."""
    chosen = items[:: max(1, len(items) // _OBJECTS)]
    cpu = asyncio.run(_store(bucket, chosen))
    return {"obvious-way.cpu_ms": 1000 * cpu / len(chosen), "obvious-way.objects": len(chosen)}


async def _store(bucket: Bucket, items: Sequence[tuple[APIResource, bytes]]) -> float:
    """Seconds of CPU."""
    cleaner = Cleaner(load_rules(), SecretPolicy("redact", None, "example.com", "bench"))
    async with get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=bucket.endpoint,
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
    ) as client:
        began = time.process_time()
        for number, (resource, item) in enumerate(items):
            content = cleaner.for_resource(resource)(orjson.loads(item))
            text = BytesIO()
            YAML().dump(orjson.loads(content.body), text)
            await client.put_object(Bucket=bucket.name, Key=f"{number}.yaml", Body=text.getvalue())
        return time.process_time() - began
