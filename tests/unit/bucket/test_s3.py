"""S3 beyond the contract: what is sent, what is said when it fails, and credentials that end."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path

import pytest
from aiohttp import web

from watcher.bucket.s3 import S3
from watcher.bucket.store import CREATE, Head, Update
from watcher.errors import (
    AbsentError,
    BucketError,
    BucketUnreachableError,
    PreconditionError,
    RejectedError,
    ThrottledError,
)

KEY = "cl1/ns/pod/a.yaml"
REST = "<ETag>x</ETag><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified>"


def put(s3: S3) -> Awaitable[object]:
    return s3.put(KEY, b"")


def check(s3: S3) -> Awaitable[object]:
    return s3.check()


def get(s3: S3) -> Awaitable[object]:
    return s3.get(KEY)


def refusal(status: int, code: str, **headers: str) -> web.Response:
    body = f"<Error><Code>{code}</Code><Message>because</Message></Error>"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(status=status, text=body, content_type="application/xml", headers=named)


@dataclass
class Server:
    """Answers every request as `answer` says and remembers it."""

    answer: Callable[[web.Request], web.Response] = lambda request: web.Response(
        headers={"ETag": '"etag"'}
    )
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.bodies.append(await request.read())
        return self.answer(request)

    async def start(self, tls: ssl.SSLContext | None = None) -> web.AppRunner:
        app = web.Application(client_max_size=10**7)
        app.router.add_route("*", "/{key:.*}", self.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        port = runner.addresses[0][1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        return runner


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    runner = await server.start()
    yield server
    await runner.cleanup()


class Requests(list[tuple[str, str]]):
    def observe(self, operation: str, code: str, seconds: float) -> None:
        self.append((operation, code))


@pytest.fixture
def requests() -> Requests:
    return Requests()


def opened(endpoint: str, observe: Requests | None = None, **different: object) -> S3:
    settings: dict[str, object] = {
        "bucket": "backups",
        "endpoint": endpoint,
        "access_key": "access",
        "secret_key": "secret",
        "region": "us-east-1",
        "concurrency": 2,
        "observe": (Requests() if observe is None else observe).observe,
        **different,
    }
    return S3(**settings)  # type: ignore[arg-type]


@pytest.fixture
async def s3(server: Server, requests: Requests) -> AsyncIterator[S3]:
    store = opened(server.url, requests)
    yield store
    await store.close()


async def failing(request: Awaitable[object], store: S3) -> BucketError:
    """The error of a request, and the store closed."""
    try:
        with pytest.raises(BucketError) as raised:
            await request
    finally:
        await store.close()
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value).replace("minio-secret-key", "")
    return raised.value


# What is sent


async def test_a_put_carries_checksum_type_and_metadata(s3: S3, server: Server) -> None:
    assert await s3.put(KEY, b"a: 1\n", metadata={"watcher-uid": "7"}) == ('"etag"', "")
    (request,) = server.requests
    assert (request.method, request.raw_path) == ("PUT", f"/backups/{KEY}")
    assert request.headers["Content-MD5"] == b64encode(md5(b"a: 1\n").digest()).decode()
    assert request.headers["Content-Type"] == "application/yaml"
    assert request.headers["x-amz-meta-watcher-uid"] == "7"
    assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=access/")
    assert server.bodies == [b"a: 1\n"]


async def test_a_get_tells_what_the_put_said(s3: S3, server: Server) -> None:
    told = {"ETag": '"etag"', "x-amz-version-id": "3", "X-Amz-Meta-Watcher-Uid": "7"}
    server.answer = lambda request: web.Response(body=b"a: 1\n", headers=told)
    assert await s3.get(KEY) == (b"a: 1\n", Head('"etag"', {"watcher-uid": "7"}, "3"))


async def test_nobody_on_the_way_is_asked_to_compress_a_file(s3: S3, server: Server) -> None:
    await s3.get(KEY)
    (request,) = server.requests
    assert request.headers["Accept-Encoding"] == "identity"
    assert "accept-encoding" not in request.headers["Authorization"]


async def test_no_request_waits_for_a_100_continue(s3: S3, server: Server) -> None:
    await s3.put(KEY, b"x" * 3_000_000)
    assert "Expect" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("mode", "header", "value"),
    [(CREATE, "If-None-Match", "*"), (Update('"one"'), "If-Match", '"one"')],
)
async def test_an_intent_is_a_header_and_signed(
    s3: S3, server: Server, mode: Update, header: str, value: str
) -> None:
    await s3.put(KEY, b"", mode=mode)
    (request,) = server.requests
    assert request.headers[header] == value
    assert header.lower() in request.headers["Authorization"]


async def test_encryption_is_asked_for_with_every_write_and_signed(server: Server) -> None:
    server.answer = lambda request: web.Response(
        text="<CopyObjectResult/>", content_type="application/xml", headers={"ETag": '"etag"'}
    )
    store = opened(server.url, sse="aws:kms", sse_kms_key_id="key/1")
    await store.put(KEY, b"")
    await store.copy(KEY, f"{KEY}.old")
    await store.close()
    wanted = {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key/1",
    }
    assert [request.method for request in server.requests] == ["PUT", "PUT"]
    for request in server.requests:
        assert {name: request.headers[name] for name in wanted} == wanted
        assert all(name in request.headers["Authorization"] for name in wanted)


async def test_without_a_wish_a_write_says_nothing_of_encryption(s3: S3, server: Server) -> None:
    await s3.put(KEY, b"")
    assert not [name for name in server.requests[0].headers if "encryption" in name.lower()]


async def test_a_url_is_sent_as_it_was_signed(s3: S3, server: Server) -> None:
    await s3.put("cl1/a:b @+~%3A/é.yaml", b"")
    assert server.requests[0].raw_path == "/backups/cl1/a%3Ab%20%40%2B~%253A/%C3%A9.yaml"


async def test_requests_go_through_a_proxy_of_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    store = opened("http://minio.example.com:9000")
    await store.put(KEY, b"")
    await store.delete(KEY)
    await store.close()
    assert [request.headers["Host"] for request in server.requests] == [
        "minio.example.com:9000"
    ] * 2


@pytest.mark.parametrize(
    ("bucket", "region", "host"),
    [
        ("backups", "eu-west-1", "backups.s3.eu-west-1.amazonaws.com"),
        ("backups", "cn-north-1", "backups.s3.cn-north-1.amazonaws.com.cn"),
        ("my.backups", "eu-west-1", "s3.eu-west-1.amazonaws.com"),
    ],
)
async def test_aws_is_asked_at_the_buckets_own_host_unless_dots_forbid_it(
    bucket: str, region: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        address, port = proxy.sockets[0].getsockname()
        monkeypatch.setenv("https_proxy", f"http://{address}:{port}")
        for ask in (put, check):
            store = opened("", bucket=bucket, region=region)
            assert "HTTPS_PROXY" in str(await failing(ask(store), store))
    assert asked == [f"CONNECT {host}:443 HTTP/1.1\r\n".encode()] * 2


def test_messages_name_the_bucket_and_where_it_is() -> None:
    assert opened("", region="eu-west-1").name == "s3://backups in eu-west-1"
    assert opened("http://minio:9000/").name == "s3://backups at http://minio:9000"


# What is said when it fails


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(503, "SlowDown", Retry_After="3"), ThrottledError),
        (refusal(412, "PreconditionFailed"), PreconditionError),
        (refusal(500, "InternalError"), BucketUnreachableError),
        (refusal(403, "AccessDenied"), RejectedError),
        (web.Response(status=502, text="<html>Bad Gateway</html>"), BucketUnreachableError),
        (web.Response(text="<html>a console</html>"), RejectedError),
    ],
    ids=lambda it: getattr(it, "__name__", ""),
)
async def test_a_refused_put_raises_what_its_answer_means(
    server: Server, answer: web.Response, error: type[BucketError]
) -> None:
    server.answer = lambda request: answer
    store = opened(server.url)
    assert type(await failing(store.put(KEY, b""), store)) is error


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(404, "NoSuchKey"), AbsentError),
        (refusal(404, "NoSuchBucket"), RejectedError),
        (refusal(503, "SlowDown"), ThrottledError),
        (refusal(500, "InternalError"), BucketUnreachableError),
        (refusal(403, "SignatureDoesNotMatch"), RejectedError),
    ],
)
async def test_a_refused_read_means_the_same_by_both_ways_of_asking(
    server: Server, answer: web.Response, error: type[BucketError]
) -> None:
    for ask in (S3.get, lambda it, key: it.copy(key, "elsewhere")):
        server.requests.clear()
        server.answer = lambda request: web.Response(
            status=answer.status, body=answer.body, content_type=answer.content_type
        )
        store = opened(server.url)
        assert type(await failing(ask(store, KEY), store)) is error
        assert len(server.requests) == 1, "retried"


async def test_a_file_that_ends_too_early_is_no_file(server: Server) -> None:
    def cut(request: web.Request) -> web.Response:
        told = {"ETag": '"etag"', "Content-Length": "900"}
        answer = web.Response(body=b"kind: Pod", headers=told)
        answer.force_close()
        return answer

    server.answer = cut
    store = opened(server.url)
    assert type(await failing(store.get(KEY), store)) is BucketUnreachableError


@pytest.mark.parametrize(
    ("listed", "error"),
    [("", AbsentError), (f"{KEY}.old", AbsentError), (KEY, RejectedError), (None, RejectedError)],
)
async def test_a_refused_read_of_a_key_that_no_listing_shows_means_that_it_is_absent(
    server: Server, listed: str | None, error: type[BucketError]
) -> None:
    """As AWS answers who may list no more than a prefix."""

    def answer(request: web.Request) -> web.Response:
        if "list-type" not in request.query or listed is None:
            return refusal(403, "AccessDenied")
        found = f"<Contents><Key>{listed}</Key>{REST}</Contents>" if listed else ""
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
        return web.Response(text=body, content_type="application/xml")

    server.answer = answer
    for ask in (S3.get, S3.head, lambda it, key: it.copy(key, "elsewhere")):
        store = opened(server.url)
        said = await failing(ask(store, KEY), store)
        assert isinstance(said, error)
        assert isinstance(said, AbsentError) == (error is AbsentError)


async def test_a_listing_that_is_no_xml_points_at_the_endpoint(server: Server) -> None:
    server.answer = lambda request: web.Response(text="<html><p>a console</html>")
    store = opened(server.url)
    assert "minio-endpoint" in str(await failing(store.check(), store))


async def test_a_bucket_in_another_region_names_it(server: Server) -> None:
    server.answer = lambda request: refusal(
        301, "PermanentRedirect", x_amz_bucket_region="eu-west-1"
    )
    store = opened(server.url)
    assert "minio-region: the bucket is in eu-west-1" in str(
        await failing(store.put(KEY, b""), store)
    )


async def test_a_server_that_is_not_there_names_the_endpoint(server: Server) -> None:
    gone = server.url.rpartition(":")[0] + ":1"
    for ask in (put, get):
        store = opened(gone)
        error = await failing(ask(store), store)
        assert type(error) is BucketUnreachableError
        assert "minio-endpoint" in str(error)


async def test_a_name_that_does_not_resolve_names_the_endpoint() -> None:
    for ask in (put, check):
        store = opened("http://minio.invalid:9000")
        assert "minio-endpoint" in str(await failing(ask(store), store))


@pytest.mark.parametrize("endpoint", ["minio:9000", "http://", "ftp://minio"])
async def test_an_endpoint_that_is_none_is_rejected_by_name(endpoint: str) -> None:
    store = opened(endpoint)
    assert "minio-endpoint" in str(await failing(store.check(), store))


async def test_a_connection_cut_in_the_middle_leaves_the_outcome_open(server: Server) -> None:
    def cut(request: web.Request) -> web.Response:
        assert request.transport
        request.transport.close()
        return web.Response()

    server.answer = cut
    for ask in (put, get, check):
        store = opened(server.url)
        assert type(await failing(ask(store), store)) is BucketUnreachableError


async def test_every_request_is_observed(s3: S3, server: Server, requests: Requests) -> None:
    await s3.put(KEY, b"")
    await s3.delete(KEY)
    server.answer = lambda request: refusal(503, "SlowDown")
    with pytest.raises(ThrottledError):
        await s3.put(KEY, b"")
    server.answer = lambda request: web.Response(status=404)
    with pytest.raises(AbsentError):
        await s3.head(KEY)
    assert requests == [("PUT", "200"), ("DELETE", "200"), ("PUT", "503"), ("HEAD", "404")]


# Credentials


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that AWS's chain finds, and nothing else that it could find."""
    file = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return file


def profile(access_key: str) -> str:
    return (
        f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = s\n"
        "aws_session_token = token\n"
    )


async def test_without_keys_the_chain_is_asked(server: Server, chain: Path) -> None:
    chain.write_text(profile("first"))
    store = opened(server.url, access_key="", secret_key="")
    await store.put(KEY, b"")
    await store.close()
    assert "Credential=first/" in server.requests[0].headers["Authorization"]
    assert server.requests[0].headers["X-Amz-Security-Token"] == "token"


async def test_no_credentials_at_all_names_the_settings_and_the_chain(
    server: Server, chain: Path
) -> None:
    store = opened(server.url, access_key="", secret_key="")
    error = await failing(store.check(), store)
    assert type(error) is RejectedError
    assert "minio-access-key and minio-secret-key, or the AWS credentials chain" in str(error)


@pytest.mark.parametrize("status", [400, 403])
async def test_expired_credentials_are_fetched_anew_and_the_request_repeated(
    server: Server, chain: Path, status: int
) -> None:
    def only_second(request: web.Request) -> web.Response:
        if "Credential=second/" in request.headers["Authorization"]:
            return web.Response(headers={"ETag": '"etag"'})
        chain.write_text(profile("second"))
        return refusal(status, "ExpiredToken")

    chain.write_text(profile("first"))
    server.answer = only_second
    store = opened(server.url, access_key="", secret_key="")
    assert await store.put(KEY, b"") == ('"etag"', "")
    await store.delete(KEY)
    await store.close()
    assert len(server.requests) == 3


async def test_requests_that_expire_together_all_come_through(server: Server, chain: Path) -> None:
    def only_second(request: web.Request) -> web.Response:
        if "Credential=second/" in request.headers["Authorization"]:
            return web.Response(headers={"ETag": '"etag"'})
        return refusal(400, "ExpiredToken")

    server.answer = only_second
    chain.write_text(profile("first"))
    store = opened(server.url, access_key="", secret_key="", concurrency=8)
    with pytest.raises(RejectedError):
        await store.put(KEY, b"")
    chain.write_text(profile("second"))
    await asyncio.gather(*(ask(store) for ask in (put, get, put, get, put, get)))
    await store.close()


async def test_credentials_that_stay_expired_are_rejected(server: Server, chain: Path) -> None:
    chain.write_text(profile("first"))
    server.answer = lambda request: refusal(400, "ExpiredToken")
    store = opened(server.url, access_key="", secret_key="")
    error = await failing(store.put(KEY, b""), store)
    assert isinstance(error, RejectedError)
    assert len(server.requests) == 2


async def test_closing_a_store_that_never_connected_is_fine() -> None:
    await opened("http://127.0.0.1:1").close()
