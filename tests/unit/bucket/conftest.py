"""What tests of S3 share: moto's server, and botocore's megabytes of JSON.

botocore reads them for every session: here once, as if all were one session.
"""

from collections.abc import Iterator
from functools import cache
from threading import Lock
from typing import Any

import botocore.session
import pytest
from botocore.loaders import create_loader
from moto.server import ThreadedMotoServer


@pytest.fixture(autouse=True, scope="package")
def _one_loader() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", cache(create_loader))
        yield


@pytest.fixture(scope="package")
def moto() -> Iterator[str]:
    """The URL of S3 as moto plays it, in a thread."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _one_at_a_time(server)
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _one_at_a_time(server: Any) -> None:
    """Its threads check a condition and write with nothing held in between: under load two
    conditional PUTs both succeed, which no S3 server does."""
    lock = Lock()
    application = server._server.app

    def locked(environ: Any, start_response: Any) -> list[bytes]:
        with lock:
            return list(application(environ, start_response))

    server._server.app = locked
