"""A small company's cluster: some 300 objects as one finds them after a year.

Exists for the demo and for tests that want something believable. Promises: the same objects for
the same seed and clock; every kind that watcher treats in its own way is there (owned Pods,
Services with addresses from the server, all sorts of Secrets, finished Jobs, bound volumes, RBAC
names with colons, custom resources, Events and Leases).
"""

from random import Random

from bench import workloads
from bench.belongings import NODES, belongings, definitions, plain
from bench.cluster import Cluster, Object
from bench.workloads import App, made

_AT = "2025-11-03T09:30:00Z"
_REGISTRY = "registry.example.com"

_SHOP = """\
listen: 8080
currency: EUR
features:
  wishlist: on
  reviews: off
greeting: "Grüße aus dem Laden"
"""
_RULES = """\
groups:
- name: shop
  rules:
  - alert: CheckoutSlow
    expr: histogram_quantile(0.99, rate(checkout_seconds_bucket[5m])) > 2
    for: 10m
"""

_APPS = (
    App(
        "shop",
        "web",
        f"{_REGISTRY}/shop/web:4.12.0",
        3,
        8080,
        {"app.yaml": _SHOP},
        "shop.example.com",
    ),
    App("shop", "cart", f"{_REGISTRY}/shop/cart:2.7.1", 2, 8081, {"ttl": "3600", "strict": "yes"}),
    App("shop", "catalog", f"{_REGISTRY}/shop/catalog:1.30.4", 2, 8082, {"pages": "0777"}),
    App("shop", "search", f"{_REGISTRY}/shop/search:0.9.8", 2, 9200, {"boost": "1e3"}),
    App("payments", "gateway", f"{_REGISTRY}/pay/gateway:3.1.0", 3, 8443, {"banks": "12:30:45"}),
    App("payments", "ledger", f"{_REGISTRY}/pay/ledger:3.0.2", 2, 8080, {"since": "2001-01-01"}),
    App("payments", "fraud", f"{_REGISTRY}/pay/fraud:7.2.5", 2, 8080, {"limit": "1_000"}),
    App(
        "accounts", "login", f"{_REGISTRY}/id/login:5.5.1", 2, 8080, {"oidc": "~"}, "id.example.com"
    ),
    App(
        "accounts", "mailer", f"{_REGISTRY}/id/mailer:1.1.9", 1, 2525, {"from": "hello@example.com"}
    ),
    App(
        "monitoring",
        "prometheus",
        "quay.io/prometheus/prometheus:v3.5.0",
        1,
        9090,
        {"rules": _RULES},
    ),
    App(
        "monitoring",
        "grafana",
        "docker.io/grafana/grafana:12.1.0",
        1,
        3000,
        {},
        "graphs.example.com",
    ),
    App("ingress-nginx", "controller", "registry.k8s.io/ingress-nginx/controller:v1.13.0", 2, 80),
    App(
        "cert-manager", "cert-manager", "quay.io/jetstack/cert-manager-controller:v1.18.2", 1, 9402
    ),
    App(
        "ci",
        "runner",
        f"{_REGISTRY}/ci/runner:18.2.0",
        3,
        9252,
        {"config.toml": "concurrent = 4\n"},
    ),
    App("kube-system", "coredns", "registry.k8s.io/coredns/coredns:v1.12.1", 2, 53),
)


def settle(cluster: Cluster, *, seed: int = 0) -> None:
    """Move in. The cluster must be new."""
    random = Random(seed)
    for content in definitions():
        cluster.create(content)
    for name in dict.fromkeys(app.namespace for app in _APPS):
        if name != "kube-system":
            cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        _furnish(cluster, name)
    for number, app in enumerate(_APPS):
        _deploy(cluster, app, number, random)
    for content in belongings(random):
        cluster.create(content)


def _furnish(cluster: Cluster, namespace: str) -> None:
    """What Kubernetes itself and the platform team put into every namespace."""
    authority = {"ca.crt": "-----BEGIN CERTIFICATE-----\nMIIDBTCC\n-----END CERTIFICATE-----\n"}
    for content in (
        plain("v1", "ServiceAccount", "default", namespace),
        plain("v1", "ConfigMap", "kube-root-ca.crt", namespace, data=authority),
        plain(
            "v1",
            "LimitRange",
            "defaults",
            namespace,
            spec={"limits": [{"type": "Container", "default": {"memory": "512Mi"}}]},
        ),
        plain(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "deny-all",
            namespace,
            spec={"podSelector": {}, "policyTypes": ["Ingress"]},
        ),
        plain(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "team:developers",
            namespace,
            roleRef={
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "edit",
            },
            subjects=[
                {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": namespace}
            ],
        ),
    ):
        cluster.create(made(content, _AT))


def _deploy(cluster: Cluster, app: App, number: int, random: Random) -> None:
    template_hash = f"{random.getrandbits(36):09x}"
    deployed = cluster.create(workloads.deployment(app, _AT))
    replicas = cluster.create(workloads.replica_set(deployed, template_hash, _AT))
    addresses = [f"10.244.{number}.{place + 10}" for place in range(app.replicas)]
    for address in addresses:
        suffix = f"{random.getrandbits(20):05x}"
        cluster.create(workloads.pod(replicas, suffix, random.choice(NODES), address, _AT))
    served = cluster.create(workloads.service(app, f"10.96.{number}.20", _AT))
    cluster.create(workloads.endpoint_slice(served, addresses, _AT))
    cluster.create(workloads.service_account(app, _AT))
    if app.config:
        cluster.create(workloads.config_map(app, _AT))
        password = f"{random.getrandbits(64):x}"
        cluster.create(workloads.secret(app, {"password": password, "user": app.name}, _AT))
    if app.host:
        cluster.create(workloads.ingress(app, _AT))
        cluster.create(workloads.certificate(app, _AT))
    if app.replicas > 1:
        cluster.create(
            made(
                plain(
                    "policy/v1",
                    "PodDisruptionBudget",
                    app.name,
                    app.namespace,
                    spec={"maxUnavailable": 1, "selector": {"matchLabels": app.labels}},
                ),
                _AT,
            )
        )
        cluster.create(made(_autoscaler(app), _AT))
    if app.namespace in ("shop", "payments"):
        endpoints = [{"port": "http", "interval": "30s"}]
        cluster.create(
            made(
                plain(
                    "monitoring.coreos.com/v1",
                    "ServiceMonitor",
                    app.name,
                    app.namespace,
                    spec={"endpoints": endpoints, "selector": {"matchLabels": app.labels}},
                ),
                _AT,
            )
        )


def _autoscaler(app: App) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": app.name}
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    spec = {
        "scaleTargetRef": target,
        "minReplicas": app.replicas,
        "maxReplicas": 10,
        "metrics": [{"type": "Resource", "resource": cpu}],
    }
    return plain("autoscaling/v2", "HorizontalPodAutoscaler", app.name, app.namespace, spec=spec)
