"""Where the API server is and who we are there: a kubeconfig, or the service account of a pod.

Exists because kubernetes_asyncio reads every kind of kubeconfig (exec plugins, client certificates,
proxies), and nothing else of it is needed. Promises: found as kubectl finds it, and reached as
kubectl reaches it (a kubeconfig's `proxy-url`, else the proxy of the environment); no TLS before
1.2; whatever is wrong with it is a UsageError of one line.
"""

import importlib
import logging
import os
import ssl
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from watcher.errors import UsageError, one_line
from watcher.proxies import proxy_for


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach one API server and who to be there."""

    host: str  # "https://10.0.0.1:6443"
    tls: ssl.SSLContext | None  # None: plain HTTP
    authorization: str  # whole header value, "" for none (client certificates are in `tls`)
    token_file: Path | None = None  # overrides `authorization`, read again and again
    proxy: str | None = None
    server_name: str | None = None


async def load_access(kubeconfig: str, context: str) -> Access:
    """Find the cluster as kubectl does: the named kubeconfig (several, `:`-separated), else
    ~/.kube/config, else the service account of the pod. Raises UsageError."""
    default = os.path.expanduser("~/.kube/config")
    incluster = _library().incluster
    if kubeconfig:
        return await _from_kubeconfig(kubeconfig, context)
    if context or os.path.isfile(default):
        return await _from_kubeconfig(default, context)
    if incluster.SERVICE_HOST_ENV_NAME in os.environ:
        return _from_service_account()
    raise UsageError(
        "kubeconfig: no cluster to watch: neither a kubeconfig nor a pod's service account",
        hint="expected --kubeconfig FILE, KUBECONFIG or ~/.kube/config",
    )


async def _from_kubeconfig(paths: str, context: str) -> Access:
    if not any(os.path.isfile(os.path.expanduser(path)) for path in paths.split(":")):
        raise UsageError(f"kubeconfig: there is no file {paths}")
    library = _library()
    configuration = library.new_configuration()
    try:
        merged = library.kubeconfig.KubeConfigMerger(paths).config
        loader = library.kubeconfig.KubeConfigLoader(
            config_dict=merged, active_context=context or None, config_base_path=None
        )
        await loader.load_and_set(configuration)
        token_file = _token_file(merged, loader)
    except Exception as error:  # whatever its YAML, JSON and file readers and plugins raise
        where = f" (context {context})" if context else ""
        raise UsageError(f"kubeconfig: {paths}{where} cannot be used: {_why(error)}") from None
    return _access(configuration, token_file)


def _why(error: Exception) -> str:
    """The reader has words for what it expects to be wrong, and stumbles over the rest."""
    stumbled = isinstance(error, AssertionError | AttributeError | KeyError | TypeError)
    return "it is not a whole kubeconfig" if stumbled else one_line(error)


def _token_file(merged: Any, loader: Any) -> Path | None:
    """kubernetes_asyncio reads a user's `tokenFile` once and encodes it: read it ourselves."""
    user = loader.current_context["context"].get("user")
    node: Any = merged["users"].get_with_name(user, safe=True) if user else None
    if user and node is None:  # the library would go on as nobody
        raise ValueError(f"there is no user {user}")
    named = node["user"].safe_get("tokenFile") if node and node.safe_get("user") else None
    if not named:
        return None
    path = Path(named)
    return path if path.is_absolute() else Path(node.path or ".").parent / path


def _from_service_account() -> Access:
    library = _library()
    configuration = library.new_configuration()
    try:
        library.incluster.load_incluster_config(configuration)
    except (library.incluster.ConfigException, OSError) as error:
        raise UsageError(f"the pod's service account cannot be used: {error}") from None
    return _access(configuration, Path(library.incluster.SERVICE_TOKEN_FILENAME))


def _access(configuration: Any, token_file: Path | None) -> Access:
    host = str(configuration.host).rstrip("/")
    tls = None
    if host.startswith("https"):
        try:
            tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
            tls.minimum_version = ssl.TLSVersion.TLSv1_2
            if configuration.cert_file:
                tls.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"kubeconfig: a certificate cannot be used: {one_line(error)}"
            ) from None
        if not configuration.verify_ssl:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
    return Access(
        host=host,
        tls=tls,
        authorization=configuration.api_key.get("BearerToken", ""),
        token_file=token_file,
        proxy=configuration.proxy or _proxy(host),
        server_name=configuration.tls_server_name,
    )


def _proxy(host: str) -> str | None:
    try:
        return proxy_for(host, os.environ)
    except ValueError:  # no URL: whoever asks there says so
        return None


def own_namespace() -> str:
    """That of the Pod we run in; elsewhere `default`."""
    path = Path(_library().incluster.SERVICE_TOKEN_FILENAME).with_name("namespace")
    try:
        return path.read_text().strip() or "default"
    except OSError:
        return "default"


@dataclass(frozen=True, slots=True)
class _Library:
    kubeconfig: Any
    incluster: Any
    configuration: type

    def new_configuration(self) -> Any:
        """A fresh one: calling the class would copy the process-wide default."""
        return type.__call__(self.configuration)


@cache
def _library() -> _Library:
    """kubernetes_asyncio's readers of configuration, without the rest of it.

    Importing any part of it imports all of it, 700 generated modules: 61 MB of memory and 0.6 s,
    measured, of which the readers need one class. So its two packages that import the rest are
    stood in for while the readers are imported.
    """
    # They ask for the home folder on import. Of a user that nobody knows (OpenShift's) there is
    # none: "/", as container engines have it.
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = "/"
    packages = ("kubernetes_asyncio", "kubernetes_asyncio.client")
    standing_in = packages[0] not in sys.modules
    if standing_in:
        found = find_spec(packages[0])
        assert found is not None
        assert found.origin is not None
        root = Path(found.origin).parent
        for name, folder in zip(packages, (root, root / "client"), strict=True):
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__path__ = [str(folder)]
    try:
        configuration = importlib.import_module("kubernetes_asyncio.client.configuration")
        if standing_in:
            client: Any = sys.modules[packages[1]]
            client.Configuration, client.ApiClient = configuration.Configuration, None
        # What goes wrong is raised too, and said once: by us.
        logging.getLogger("kubernetes_asyncio.config").setLevel(logging.CRITICAL)
        return _Library(
            importlib.import_module("kubernetes_asyncio.config.kube_config"),
            importlib.import_module("kubernetes_asyncio.config.incluster_config"),
            configuration.Configuration,
        )
    finally:
        if standing_in:  # whoever wants the whole library can have it
            for name in packages:
                del sys.modules[name]
