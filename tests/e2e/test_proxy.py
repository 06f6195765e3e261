"""The fault proxy passes everything on unchanged, and breaks exactly what it is told to."""

import http.client
import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
import urllib3
from minio import Minio as Client
from minio.error import S3Error

from tests.e2e.api import API, APIError, Object
from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Bucket
from tests.e2e.proxy import (
    Alter,
    Answer,
    Lose,
    Proxy,
    Stall,
    half_a_line,
    s3_error,
    status_error,
)

MAPS = "/api/v1/namespaces/default/configmaps"
BROKEN = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)


def impatient(bucket: Bucket) -> Client:
    """A client that neither retries nor waits long."""
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(1), retries=False)
    return Client(
        bucket.endpoint.partition("://")[2],
        access_key=bucket.access_key,
        secret_key=bucket.secret_key,
        region="us-east-1",
        secure=False,
        http_client=pool,
    )


@pytest.fixture
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    control_plane.api().create(MAPS, {"metadata": {"name": "a"}})
    yield control_plane
    control_plane.api().delete(f"{MAPS}/a")


@pytest.fixture
def proxy(plane: ControlPlane, proxy_of: Callable[[ControlPlane], Proxy]) -> Proxy:
    return proxy_of(plane)


@contextmanager
def watching(plane: ControlPlane, proxy: Proxy) -> Iterator[http.client.HTTPResponse]:
    api = plane.api()
    request = urllib.request.Request(
        f"{proxy.url}{MAPS}?watch=1&timeoutSeconds=3&fieldSelector=metadata.name=a"
    )
    request.add_header("Authorization", f"Bearer {api.token}")
    with closing(urllib.request.urlopen(request, context=api.tls, timeout=4)) as answer:
        yield answer


def change(plane: ControlPlane, value: str) -> Object:
    return plane.api().merge(f"{MAPS}/a", {"data": {"value": value}})


def test_signed_requests_pass_whatever_the_key_looks_like(bucket: Bucket, s3_proxy: Proxy) -> None:
    through = bucket.at(s3_proxy.url)
    keys = ["a/b~c.yaml", "_cluster/system%3Anode.yaml", "spa ce/é+:@.yaml"]
    for key in keys:
        through.write(key, key.encode())
    assert sorted(through.keys()) == sorted(keys)
    assert [through.read(key) for key in keys] == [key.encode() for key in keys]
    assert s3_proxy.count("PUT", r"/system%3Anode\.yaml$") == 1
    assert s3_proxy.methods() == {"PUT": 3, "GET": 4}


def test_a_fault_hits_what_it_names_as_often_as_it_says(bucket: Bucket, s3_proxy: Proxy) -> None:
    client = impatient(bucket.at(s3_proxy.url))
    s3_proxy.inject(s3_error(503, "SlowDown"), "GET", "/one", times=1)
    bucket.write("one", b"1")
    with pytest.raises(S3Error, match="SlowDown"):
        client.get_object(bucket.name, "one")
    assert client.get_object(bucket.name, "one").data == b"1"


@pytest.mark.parametrize("fault", [Lose(), Stall()])
def test_a_lost_answer_leaves_the_write_in_place(
    bucket: Bucket, s3_proxy: Proxy, fault: Lose | Stall
) -> None:
    s3_proxy.inject(fault, "PUT")
    with pytest.raises(BROKEN):
        impatient(bucket.at(s3_proxy.url)).fput_object(bucket.name, "key", __file__)
    assert bucket.keys() == ["key"]


@pytest.mark.parametrize(
    "fault", [Lose(asked=False), Stall(asked=False), s3_error(500, "InternalError")]
)
def test_a_lost_request_writes_nothing(bucket: Bucket, s3_proxy: Proxy, fault: Answer) -> None:
    s3_proxy.inject(fault, "PUT")
    with pytest.raises((*BROKEN, S3Error)):
        impatient(bucket.at(s3_proxy.url)).fput_object(bucket.name, "key", __file__)
    assert bucket.keys() == []


def test_an_api_server_is_reached_by_kubectl_through_the_proxy(
    plane: ControlPlane, proxy: Proxy
) -> None:
    api = API(proxy.url, plane.api().token, plane.ca_file)
    assert api.get(f"{MAPS}/a") == plane.api().get(f"{MAPS}/a")
    kubeconfig = plane.kubeconfig(server=proxy.url)
    assert plane.kubectl("get", "configmap", "a", "--kubeconfig", kubeconfig, "-o", "name")
    assert proxy.count("GET", f"{MAPS}/a") == 2


def test_an_expired_continue_token_is_injected_by_its_query(
    plane: ControlPlane, proxy: Proxy
) -> None:
    api = API(proxy.url, plane.api().token, plane.ca_file)
    proxy.inject(status_error(410, "Expired"), path=r"[?&]continue=")
    assert api.get(f"{MAPS}?limit=1")["items"]
    with pytest.raises(APIError, match="410"):
        api.get(f"{MAPS}?limit=1&continue=x")


def test_a_silenced_watch_says_nothing_more_and_stays_open(
    plane: ControlPlane, proxy: Proxy
) -> None:
    with watching(plane, proxy) as watch:
        assert json.loads(watch.readline())["type"] == "ADDED"
        assert proxy.silence("watch=1") == 1
        change(plane, "unseen")
        with pytest.raises(TimeoutError):
            watch.readline()


def test_a_cut_watch_ends_in_the_middle_of_a_line(plane: ControlPlane, proxy: Proxy) -> None:
    with watching(plane, proxy) as watch:
        watch.readline()
        assert proxy.cut("watch=1") == 1
        change(plane, "half seen")
        with pytest.raises(BROKEN):
            pytest.fail(f"a whole line: {watch.read()!r}")


def test_of_events_that_come_together_a_cut_lets_no_whole_one_pass() -> None:
    assert half_a_line(b'{"type":"DELETED"}\n{"type":"MODIFIED"}\n') == b'{"type":"'
    assert half_a_line(b"no newline") == b"no ne"


def test_an_altered_answer_is_the_servers_own_but_for_its_body(
    plane: ControlPlane, proxy: Proxy
) -> None:
    """Also where the server would have compressed it."""

    def emptied(body: bytes) -> bytes:
        return json.dumps({**json.loads(body), "items": []}).encode()

    change(plane, "long " * 50_000)
    through = API(proxy.url, plane.api().token, plane.ca_file)
    proxy.inject(Alter(emptied), path=f"{MAPS}$", times=1)
    altered, true = through.get(MAPS), through.get(MAPS)
    assert altered["items"] == []
    assert altered["kind"] == true["kind"] == "ConfigMapList"
    assert true["items"]
