"""Through which proxy a server is asked: what kubectl would do in the same environment."""

import pytest

from watcher.proxies import proxy_for

PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://minio.example.com", {}, None),
        ("https://minio.example.com", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://minio.example.com", {"https_proxy": PROXY}, PROXY),
        ("https://minio.example.com", {"HTTPS_PROXY": PROXY, "https_proxy": "http://x"}, PROXY),
        ("https://minio.example.com", {"HTTPS_PROXY": "", "https_proxy": PROXY}, PROXY),
        ("https://minio.example.com", {"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ("https://minio.example.com", {"HTTP_PROXY": PROXY}, None),
        ("http://minio.example.com", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://minio.example.com", {"HTTPS_PROXY": PROXY}, None),
    ],
)
def test_each_scheme_has_a_variable(url: str, environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(url, environ) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*", "https://minio.example.com", True),
        ("minio.example.com", "https://minio.example.com", True),
        ("MINIO.example.com", "https://minio.example.com", True),
        ("minio.example.com", "https://minio.example.com.", True),
        ("example.com", "https://minio.example.com", True),
        (".example.com", "https://minio.example.com", True),
        ("*.example.com", "https://minio.example.com", True),
        (".example.com", "https://example.com", False),
        ("example.com", "https://notexample.com", False),
        ("other, example.com ,", "https://minio.example.com", True),
        ("minio.example.com:9000", "https://minio.example.com:9000", True),
        ("minio.example.com:9000", "https://minio.example.com", False),
        ("minio.example.com:443", "https://minio.example.com", True),
        ("10.0.0.0/8", "https://10.96.0.1", True),
        ("10.0.0.0/8", "https://11.0.0.1", False),
        ("10.0.0.0/8", "https://10.example.com", False),
        ("10.0.0.0/99", "https://10.0.0.1", False),
        ("10.96.0.1", "https://10.96.0.1:443", True),
        ("10.96.0.1:6443", "https://10.96.0.1", False),
        ("fd00::/8", "https://[fd12::1]:6443", True),
        ("fd12::1", "https://[fd12::1]", True),
        ("[fd12::1]:6443", "https://[fd12::1]:6443", True),
        ("fd12::2", "https://[fd12::1]", False),
        ("", "https://localhost:9000", True),
        ("", "https://127.0.0.1", True),
        ("", "https://[::1]:6443", True),
        ("", "https://minio", False),
        (",", "https://minio", False),
    ],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_no_proxy_names_hosts_domains_addresses_and_networks(
    variable: str, no_proxy: str, url: str, direct: bool
) -> None:
    assert proxy_for(url, {"HTTPS_PROXY": PROXY, variable: no_proxy}) == (None if direct else PROXY)
