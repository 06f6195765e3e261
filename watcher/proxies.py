"""Which proxy leads to a server, by HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment.

Exists because aiohttp's own look at them costs two executor hops a request, and botocore's knows
no networks in NO_PROXY, where companies keep whole ones (`10.0.0.0/8`). Promises: the same answer
as kubectl's to the same environment; a loopback address is never asked for through a proxy. Pure.

https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}

Address = IPv4Address | IPv6Address


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """The URL of the proxy through which to ask for `url`; None: ask it directly.

    Raises ValueError where `url` is none.
    """
    asked = urlsplit(url)
    proxy = _variable(environ, f"{asked.scheme}_proxy")
    host = (asked.hostname or "").rstrip(".")
    if not proxy or _is_direct(host, asked.port or _PORTS.get(asked.scheme, 0), environ):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_direct(host: str, port: int, environ: Mapping[str, str]) -> bool:
    address = _address(host)
    if host == "localhost" or (address and address.is_loopback):
        return True
    words = (word.strip().lower() for word in _variable(environ, "no_proxy").split(","))
    return any(_matches(word, host, port, address) for word in words if word)


def _matches(word: str, host: str, port: int, address: Address | None) -> bool:
    """Whether one word of NO_PROXY means this server: `*`, a network, or an address or a name,
    both also with a port. A name means all below it too, `.name` and `*.name` only those."""
    if word == "*":
        return True
    if "/" in word:
        return address is not None and _is_in(address, word)
    name, told_port = _split(word)
    if told_port not in ("", str(port)):
        return False
    if address is not None:
        return _address(name) == address
    name = name.removeprefix("*")
    return host == name or host.endswith(name if name.startswith(".") else f".{name}")


def _split(word: str) -> tuple[str, str]:
    """Host and port ("" if there is none), without the brackets of an IPv6 address."""
    if _address(word) is not None:
        return word, ""
    host, colon, port = word.rpartition(":")
    if not colon:
        host, port = word, ""
    return host.strip("[]"), port


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_in(address: Address, network: str) -> bool:
    try:
        return address in ip_network(network, strict=False)
    except ValueError:
        return False


def _variable(environ: Mapping[str, str], name: str) -> str:
    """Upper case first, as kubectl does."""
    return environ.get(name.upper()) or environ.get(name) or ""
