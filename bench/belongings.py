"""What the small company of population.py has besides its applications.

Exists to keep the odd kinds in one place: cluster-scoped objects, finished Jobs, a database with
its volumes, Secrets of types that are not for people, what comes and goes by itself. Pure.
"""

from collections.abc import Iterator
from random import Random

from bench import workloads
from bench.cluster import Object
from bench.workloads import App, made

NODES = ("node-1", "node-2", "node-3")
_AT = "2025-11-03T09:30:00Z"


def belongings(random: Random) -> list[Object]:
    """In an order in which they can be created, after the applications' namespaces."""
    return [*_cluster_wide(), *_jobs(), *_database(random), *_background()]


def definitions() -> list[Object]:
    """The CustomResourceDefinitions."""
    return [
        _definition("cert-manager.io", "certificates", "Certificate", "Namespaced"),
        _definition("cert-manager.io", "clusterissuers", "ClusterIssuer", "Cluster"),
        _definition("monitoring.coreos.com", "servicemonitors", "ServiceMonitor", "Namespaced"),
    ]


def plain(
    api_version: str,
    kind: str,
    name: str,
    namespace: str = "",
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **fields: object,
) -> Object:
    """An object as its author writes it."""
    metadata: Object = {"name": name}
    for key, value in (("namespace", namespace), ("labels", labels), ("annotations", annotations)):
        if value:
            metadata[key] = value
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def _cluster_wide() -> Iterator[Object]:
    rbac = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "list"]}]
    for name in ("system:node", "system:coredns", "system:basic-user", "edit", "view", "admin"):
        yield made(plain(f"{rbac}/v1", "ClusterRole", name, rules=rules), _AT)
    for name in ("system:node", "system:coredns", "view"):
        role = {"apiGroup": rbac, "kind": "ClusterRole", "name": name}
        yield made(plain(f"{rbac}/v1", "ClusterRoleBinding", name, roleRef=role), _AT)
    for name, value in (("system-cluster-critical", 2_000_000_000), ("shop-critical", 1_000_000)):
        yield made(plain("scheduling.k8s.io/v1", "PriorityClass", name, value=value), _AT)
    nginx = {"controller": "k8s.io/ingress-nginx"}
    yield made(plain("networking.k8s.io/v1", "IngressClass", "nginx", spec=nginx), _AT)
    csi = "csi.example.com"
    yield made(plain("storage.k8s.io/v1", "StorageClass", "fast", provisioner=csi), _AT)
    acme = {"acme": {"email": "ops@example.com"}}
    yield made(plain("cert-manager.io/v1", "ClusterIssuer", "letsencrypt", spec=acme), _AT)
    for number, name in enumerate(NODES, 1):
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        yield made(
            plain("v1", "Node", name, labels=labels, spec={"podCIDR": f"10.244.{number}.0/24"}),
            _AT,
            by="kubelet",
            status={
                "capacity": {"cpu": "8", "memory": "32Gi", "pods": "110"},
                "conditions": [workloads.condition("Ready", _AT, reason="KubeletReady")],
            },
            status_by="kubelet",
        )


def _jobs() -> Iterator[Object]:
    container = {"name": "run", "image": "docker.io/library/busybox:1.37"}
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    for namespace, name, schedule in (
        ("shop", "reindex", "15 3 * * *"),
        ("payments", "settle", "0 1 * * 1-5"),
    ):
        spec = {
            "schedule": schedule,
            "timeZone": "Europe/Vienna",
            "jobTemplate": {"spec": {"template": pod, "backoffLimit": 3}},
        }
        yield made(plain("batch/v1", "CronJob", name, namespace, spec=spec), _AT)
        for run in range(3):
            yield _finished(namespace, f"{name}-2938{run}740", pod)


def _finished(namespace: str, name: str, pod: Object) -> Object:
    uid = f"00000000-0000-4000-8000-{sum(name.encode()):012d}"
    labels = {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name}
    spec = {
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
        "template": {**pod, "metadata": {"labels": labels}},
        "completions": 1,
        "parallelism": 1,
    }
    content = plain("batch/v1", "Job", name, namespace, spec=spec)
    content["metadata"]["uid"] = uid
    conditions = [workloads.condition("Complete", _AT)]
    return made(
        content,
        _AT,
        by="kube-controller-manager",
        status={"succeeded": 1, "completionTime": _AT, "conditions": conditions},
    )


def _database(random: Random) -> Iterator[Object]:
    """Two members, each with its volume."""
    config = {"postgresql.conf": "max_connections = 200\n"}
    app = App("shop", "postgres", "docker.io/library/postgres:17.6", 2, 5432, config)
    yield workloads.config_map(app, _AT)
    yield workloads.service_account(app, _AT)
    yield workloads.service(app, "None", _AT)
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "50Gi"}},
    }
    data = {"metadata": {"name": "data"}, "spec": claim, "status": {"phase": "Pending"}}
    deployed = workloads.deployment(app, _AT)["spec"]
    spec = {
        "replicas": 2,
        "serviceName": app.name,
        "selector": deployed["selector"],
        "template": deployed["template"],
        "volumeClaimTemplates": [data],
    }
    stateful = made(plain("apps/v1", "StatefulSet", app.name, app.namespace, spec=spec), _AT)
    stateful["metadata"]["uid"] = "5a4c8b92-6d1e-4f37-9b20-c81e7d3f6a54"
    yield stateful
    for member, node in enumerate(NODES[:2]):
        yield workloads.pod(stateful, str(member), node, f"10.244.99.{member + 10}", _AT)
        yield from _volume(f"data-postgres-{member}", claim, f"{random.getrandbits(64):016x}")


def _volume(name: str, claim: Object, uid: str) -> Iterator[Object]:
    """A claim in the shop and the volume that is bound to it."""
    volume, bound = f"pvc-{uid}", {"phase": "Bound"}
    content = plain(
        "v1",
        "PersistentVolumeClaim",
        name,
        "shop",
        annotations={"pv.kubernetes.io/bind-completed": "yes"},
        spec={**claim, "volumeName": volume},
    )
    content["metadata"]["finalizers"] = ["kubernetes.io/pvc-protection"]
    yield made(content, _AT, status=bound)
    reference = {"kind": "PersistentVolumeClaim", "namespace": "shop", "name": name, "uid": uid}
    spec = {
        "capacity": {"storage": "50Gi"},
        "storageClassName": "fast",
        "claimRef": {**reference, "resourceVersion": "812"},
        "csi": {"driver": "csi.example.com", "volumeHandle": volume},
    }
    yield made(plain("v1", "PersistentVolume", volume, spec=spec), _AT, status=bound)


def _background() -> Iterator[Object]:
    """What comes and goes by itself, and Secrets of types that are not for people."""
    for namespace, name, form, key in (
        ("monitoring", "sh.helm.release.v1.prometheus.v3", "helm.sh/release.v1", "release"),
        ("shop", "web-tls", "kubernetes.io/tls", "tls.key"),
        ("ci", "registry", "kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
        ("ci", "runner-token", "kubernetes.io/service-account-token", "token"),
    ):
        data = {key: "bm90IHJlYWxseQ=="}
        yield made(plain("v1", "Secret", name, namespace, type=form, data=data), _AT)
    left_out = {"watcher/exclude": "true"}
    yield made(plain("v1", "ConfigMap", "scratch", "ci", annotations=left_out), _AT)
    for name in NODES:
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40}
        lease = plain("coordination.k8s.io/v1", "Lease", name, "kube-node-lease", spec=spec)
        yield made(lease, _AT, by="kubelet")
    for number in range(10):
        about = {"kind": "Pod", "namespace": "shop", "name": "web"}
        name = f"web.18{number:014x}"
        event = plain("v1", "Event", name, "shop", reason="Pulled", involvedObject=about)
        yield made(event, _AT, by="kubelet")


def _definition(group: str, plural: str, kind: str, scope: str) -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    spec = {"group": group, "scope": scope, "names": names, "versions": [version]}
    return plain(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.{group}", spec=spec
    )
