"""A real Kubernetes control plane on this machine, as many side by side as a test wants.

Exists because only the real API server has all the habits that `watcher` must live with.
Promises: a `ControlPlane` is ready when its constructor returns; addresses, certificates and data
outlive every stop and restart; nothing survives `close` or the test run. Flags: those that are
known to work, compaction left to the tests.
"""

import json
import secrets
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.e2e.api import API, Object
from tests.e2e.parts.build import binary
from tests.e2e.process import Process, free_ports, until

_KWOK = "sigs.k8s.io/kwok@v0.8.0"
_STAGES = (  # nodes and pods that get ready, finish and go at once, without a kubelet
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)
_QUICK = ("--kube-api-qps=1000", "--kube-api-burst=2000")


class KubectlError(Exception):
    """kubectl failed; the text is what it printed."""


class ControlPlane:
    """etcd and an API server; with `controllers` also those, the scheduler and kwok with nodes.

    `users` have a token each and no rights but those that `grant` gives them; `admin` has all.
    `flags`: more of them for the API server.
    """

    def __init__(
        self,
        folder: Path,
        *,
        controllers: bool = False,
        nodes: int = 3,
        users: Sequence[str] = ("reader",),
        flags: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.has_controllers = controllers
        self._flags = flags
        self._ports = dict(zip(_PARTS, free_ports(len(_PARTS)), strict=True))
        self._etcd_url = f"http://127.0.0.1:{self._ports['etcd']}"
        self.url = f"https://127.0.0.1:{self._ports['kube-apiserver']}"
        self._tokens = {user: secrets.token_hex(16) for user in ("admin", *users)}
        self._running: dict[str, Process] = {}
        folder.mkdir(parents=True)
        self._write_credentials()
        try:
            self._start_etcd()
            self.start_apiserver()
            if controllers:
                self._start_controllers()
                self._add_nodes(nodes)
                self._wait_for_controllers()
        except BaseException:
            self.close()
            raise

    @property
    def processes(self) -> list[Process]:
        return list(self._running.values())

    def close(self) -> None:
        """End everything, at once: nobody needs this data any more."""
        for name in reversed(list(self._running)):
            self._running.pop(name).kill()

    # Talking to it

    def api(self, user: str = "admin") -> API:
        return API(self.url, self._tokens[user], self.ca_file)

    @property
    def ca_file(self) -> Path:
        return self.folder / "certs" / "apiserver.crt"

    def kubeconfig(self, user: str = "admin", *, server: str = "") -> Path:
        """A kubeconfig of one context. `server`: another address than ours, such as a proxy's."""
        cluster: Object = {"server": server or self.url}
        if cluster["server"].startswith("https"):
            cluster["certificate-authority"] = str(self.ca_file)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self._tokens[user]}}],
            "contexts": [{"name": user, "context": {"cluster": "test", "user": user}}],
            "current-context": user,
        }
        port = server.rpartition(":")[2].strip("/")
        path = self.folder / f"{user}{port and '-via-'}{port}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, user: str = "admin") -> str:
        """What kubectl printed. Raises KubectlError."""
        done = subprocess.run(
            [binary("kubectl"), "--kubeconfig", self.kubeconfig(user), *arguments],
            input=stdin,
            env={"KUBECACHEDIR": str(self.folder / "kubectl-cache"), "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise KubectlError(done.stderr)
        return done.stdout

    def apply(self, *objects: Object) -> None:
        """`kubectl apply`, client side, of objects given as JSON."""
        items = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(items))

    def grant(self, user: str, *rules: Object) -> None:
        """Give a user exactly these cluster-wide rules; none: take all rights away."""
        named = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": f"test-{user}"}}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
        self.apply(
            {**named, "kind": "ClusterRole", "rules": list(rules)},
            {
                **named,
                "kind": "ClusterRoleBinding",
                "roleRef": {**role, "name": f"test-{user}"},
                "subjects": [subject],
            },
        )

    # What can happen to it

    def stop_apiserver(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the API server. SIGTERM is the graceful way: watches stay open up to 60 s."""
        server = self._running.pop("kube-apiserver")
        server.signal(how)
        server.wait(90)

    def start_apiserver(self) -> None:
        """(Again) on the same address; returns when it is ready."""
        certificates = self.folder / "certs"
        plugins = [] if self.has_controllers else ["--disable-admission-plugins=ServiceAccount"]
        server = self._start(
            "kube-apiserver",
            f"--etcd-servers={self._etcd_url}",
            "--etcd-compaction-interval=0",
            f"--secure-port={self._ports['kube-apiserver']}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={certificates}",
            f"--service-account-key-file={self._sa_key}",
            f"--service-account-signing-key-file={self._sa_key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/16",
            "--allow-privileged",
            *plugins,
            *self._flags,
        )
        until(self.ca_file.exists, "certificate of the API server", needs=server)
        api = self.api()
        until(lambda: api.answers("/readyz"), "ready API server", needs=server)
        until(lambda: api.answers("/api/v1/namespaces/kube-system"), "kube-system", needs=server)

    def restart_apiserver(self, how: signal.Signals = signal.SIGKILL) -> None:
        self.stop_apiserver(how)
        self.start_apiserver()

    def compact(self) -> int:
        """Forget all history in etcd; the revision it was compacted at.

        The API server's watch cache still serves what it remembers of the kinds it caches:
        restart it for a 410 there. Events have no cache.
        """
        status = self._etcd("maintenance/status", {})
        revision = int(status["header"]["revision"])
        self._etcd("kv/compaction", {"revision": revision, "physical": True})
        return revision

    def snapshot(self) -> Path:
        """A copy of all data, for `restore`. The API server lives on."""
        self._running.pop("etcd").kill()  # crash-safe; its graceful end waits 7 s for watches
        copy = self.folder / f"snapshot-{secrets.token_hex(4)}"
        shutil.copytree(self._data, copy)
        self._start_etcd()
        until(lambda: self.api().answers("/readyz"), "API server with etcd back")
        return copy

    def restore(self, snapshot: Path | None) -> None:
        """Go back in time: resourceVersions are lower than before, and then used again. None: back
        to an empty etcd, and so another cluster (another UID) at the same address."""
        for name in reversed(list(self._running)):
            self._running.pop(name).kill()
        shutil.rmtree(self._data)
        if snapshot:
            shutil.copytree(snapshot, self._data)
        self._start_etcd()
        self.start_apiserver()
        if self.has_controllers:
            self._start_controllers()

    # How it is made

    @property
    def _data(self) -> Path:
        return self.folder / "etcd"

    @property
    def _sa_key(self) -> Path:
        return self.folder / "sa.key"

    def _start(self, name: str, *arguments: str) -> Process:
        log = self.folder / "logs" / f"{name}.log"
        process = Process(name, [binary(name), *arguments], log=log)
        self._running[name] = process
        return process

    def _write_credentials(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._sa_key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        groups = {"admin": ',"system:masters"'}
        self.folder.joinpath("tokens.csv").write_text(
            "".join(
                f"{token},{user},{user}-uid{groups.get(user, '')}\n"
                for user, token in self._tokens.items()
            )
        )

    def _start_etcd(self) -> None:
        peers = f"http://127.0.0.1:{self._ports['etcd-peer']}"
        etcd = self._start(
            "etcd",
            f"--data-dir={self._data}",
            f"--listen-client-urls={self._etcd_url}",
            f"--advertise-client-urls={self._etcd_url}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",
        )
        until(self._etcd_answers, "answer of etcd", needs=etcd)

    def _start_controllers(self) -> None:
        kubeconfig = f"--kubeconfig={self.kubeconfig()}"
        self._start(
            "kube-controller-manager",
            kubeconfig,
            f"--service-account-private-key-file={self._sa_key}",
            f"--root-ca-file={self.ca_file}",
            "--leader-elect=false",
            "--controllers=*,-nodeipam,-cloud-node-lifecycle",
            f"--secure-port={self._ports['kube-controller-manager']}",
            f"--cert-dir={self.folder / 'kcm'}",
            "--concurrent-deployment-syncs=20",
            "--concurrent-replicaset-syncs=20",
            *_QUICK,
        )
        self._start(
            "kube-scheduler",
            kubeconfig,
            "--leader-elect=false",
            f"--secure-port={self._ports['kube-scheduler']}",
            f"--cert-dir={self.folder / 'scheduler'}",
            *_QUICK,
        )
        stages = self.folder / "stages.yaml"
        stages.write_text("\n---\n".join(_kwok_stage(name) for name in _STAGES))
        self._start(
            "kwok",
            kubeconfig,
            "--manage-all-nodes",
            "--node-lease-duration-seconds=40",  # without leases nodes are lost after 40 s
            f"--config={stages}",
        )

    def _add_nodes(self, count: int) -> None:
        room = {"cpu": "1000", "memory": "4Ti", "ephemeral-storage": "4Ti", "pods": "10000"}
        for number in range(count):
            self.api().create(
                "/api/v1/nodes",
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {
                        "name": f"node-{number}",
                        "annotations": {"kwok.x-k8s.io/node": "fake"},
                        "labels": {"kubernetes.io/hostname": f"node-{number}"},
                    },
                    "status": {"capacity": room, "allocatable": room},
                },
            )

    def _wait_for_controllers(self) -> None:
        """Every node ready, and the first work of the controller manager done."""
        until(self._nodes_ready, "ready nodes", needs=self._running["kwok"])
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        manager = self._running["kube-controller-manager"]
        until(lambda: self.api().answers(account), "service account", needs=manager)

    def _nodes_ready(self) -> bool:
        return all(
            any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
            for node in self.api().get("/api/v1/nodes")["items"]
            for conditions in [node["status"].get("conditions", [])]
        )

    def _etcd(self, path: str, body: Object) -> Any:
        """A call of etcd's own JSON gateway."""
        request = urllib.request.Request(
            f"{self._etcd_url}/v3/{path}", json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def _etcd_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._etcd_url}/health", timeout=2) as answer:
                return bool(json.loads(answer.read())["health"] == "true")
        except OSError:
            return False


_PARTS = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def _kwok_stage(name: str) -> str:
    """One of the stages that kwok ships with its source."""
    told = subprocess.run(
        ["go", "mod", "download", "-json", _KWOK],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(json.loads(told.stdout)["Dir"], "kustomize", "stage", name).read_text()
