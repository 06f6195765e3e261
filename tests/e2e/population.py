"""What a busy cluster holds, as objects to create: all common kinds and every odd name and value.

Exists so that equality is proven on what real clusters do to a backup. Promises: pure, and the
same for the same seed; every kind that FORMAT.md names is there, kept or left out, except those
that controllers make of these (Pods, ReplicaSets, EndpointSlices, ControllerRevisions, Events,
Leases, tokens). `fill.py` puts it into a cluster.
"""

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

LONGEST = "n" * 249 + ".end"  # 253 characters, as many as a DNS name may have
LOOKALIKES = (
    "yes", "off", "y", "~", "null", "true", "0777", "0o17", "0x1F", "0b11", "1e3", "1_000", "-0",
    "12:30:45", "2001-01-01", "=", "<<", ".inf", ".NaN", "", " ", "- a", "a: b", "a #b", "# a",
    "---", "...", "%YAML", "@at", "`tick`", "'", '"', "\\", "{}", "[]", "&a", "*a", "!tag", "|",
    ">", "?", ":", "trailing ", " leading", "tab\there", "a\r\nb", "\n", "\n\n", "two\nlines",
    "two\nlines\n", "  indented\nfirst", "ends\n\n\n", "trailing \nspace", "\u0085", "\u2028",
    "\ufeffbom", "\x7f", "\x00", "é", "日本語", "🚀", "e\u0301", "x" * 3000, "1.0", "1e400", "+1",
)  # fmt: skip
_WORDS = ("cart", "search", "login", "stock", "mail", "price", "order", "media")
_BIG = "".join(f"server {{ listen {port}; # üñí\n}}\n" for port in range(1000, 1400))


def cluster_wide(seed: int) -> Iterator[Object]:
    """What belongs to no namespace, kinds of objects first."""
    draw = random.Random(f"{seed}-cluster")
    yield _crd("cert-manager.io")
    yield _crd("certificates.example.com")
    yield _crd("fleet.example.com", kind="Fleet", scope="Cluster")
    for number in range(20):
        kind = {"kind": "ClusterRole", "apiVersion": "rbac.authorization.k8s.io/v1"}
        name = f"system:custom:{_word(draw)}-{number}"
        yield _named(kind, name, rules=[_rule(draw)])
        yield _named(
            {**kind, "kind": "ClusterRoleBinding"},
            name,
            roleRef=_role_ref("ClusterRole", name),
            subjects=[_user(f"user:{number}@example.com")],
        )
    for odd in (f"Odd name {'ä' * 300}", "UPPER~tilde:colon", "a+b &c?d#e", "x" * 1000, LONGEST):
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
        yield _named(role, odd, rules=[_rule(draw)])
    for number in range(40):
        yield _volume(number)
    for name in ("fast", "slow"):
        storage = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass"}
        yield _named(storage, name, provisioner="example.com/none", parameters={"type": name})
    driver = {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver"}
    yield _named(driver, "csi.example.com", spec={"attachRequired": False})
    for number in range(5):
        priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
        yield _named(priority, f"tier-{number}", value=number * 1000, description="yes")
    runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass"}
    yield _named(runtime, "sandbox", handler="runsc")
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass"}
    yield _named(ingress, "public", spec={"controller": "example.com/ingress"})
    yield from _admission()
    fleet = {"apiVersion": "fleet.example.com/v1", "kind": "Fleet"}
    yield _named(fleet, "all", spec=_custom_spec(draw))
    token = {"token-id": "abcdef", "token-secret": "0123456789abcdef"}
    yield _secret("bootstrap-token-abcdef", "bootstrap.kubernetes.io/token", token, "kube-system")


def namespace(seed: int, number: int, *, workloads: bool = True) -> Iterator[Object]:
    """One namespace and the some 40 objects in it, of which controllers make some 15 more.

    workloads: with Deployments and the like; they need controllers to run them.
    """
    draw = random.Random(f"{seed}-{number}")
    name = f"{_word(draw)}-{number:03d}"
    space: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    space["metadata"]["labels"] = {"team": _word(draw), "ready": "yes"}
    yield space
    objects = [
        *_identities(draw),
        *_config(draw, number),
        *_secrets(draw),
        *_network(draw, number),
        *_storage(draw, number),
        *_custom(draw),
        *_excluded(),
        *(_workloads(draw, number) if workloads else ()),
    ]
    for item in objects:
        item["metadata"]["namespace"] = name
        yield item


def _identities(draw: random.Random) -> Iterator[Object]:
    for name in ("app", "deployer"):
        yield _named({"apiVersion": "v1", "kind": "ServiceAccount"}, name)
    rbac = "rbac.authorization.k8s.io/v1"
    yield _named({"apiVersion": rbac, "kind": "Role"}, "app:reader", rules=[_rule(draw)])
    yield _named(
        {"apiVersion": rbac, "kind": "RoleBinding"},
        "app:reader",
        roleRef=_role_ref("Role", "app:reader"),
        subjects=[{"kind": "ServiceAccount", "name": "app"}, _user("Ä. Müller")],
    )


def _config(draw: random.Random, number: int) -> Iterator[Object]:
    config = {"apiVersion": "v1", "kind": "ConfigMap"}
    values = draw.sample(LOOKALIKES, 12)
    yield _named(config, "lookalikes", data={f"key-{n}": v for n, v in enumerate(values)})
    keys = ("yes", "1e3", "0777", "null", "-", ".a.", "12.5", "_", "on")
    yield _named(config, "keys", data={key: key for key in keys})
    yield _named(config, "nginx", data={"nginx.conf": _BIG[: draw.randrange(200, len(_BIG))]})
    yield _named(config, "binary", binaryData={"blob": _b64(draw.randbytes(200))})
    yield _named(config, "empty")
    for flag in range(6):
        data = {"enabled": draw.choice(("true", "no")), "ratio": str(draw.random())}
        yield _named(config, f"flags-{flag}", data=data)
    if number % 20 == 0:
        yield _named(config, LONGEST, data={"long": "name"})
        yield _named(config, "large", data={"text": "line of text\n" * 15_000})
    quota = {"requests.cpu": "500", "count/pods": "1k"}
    yield _named({"apiVersion": "v1", "kind": "ResourceQuota"}, "all", spec={"hard": quota})
    limit = {"type": "Container", "defaultRequest": {"cpu": "10m"}}
    yield _named({"apiVersion": "v1", "kind": "LimitRange"}, "small", spec={"limits": [limit]})


def _secrets(draw: random.Random) -> Iterator[Object]:
    yield _secret("opaque", "Opaque", {"password": f"pa:ss-{draw.random()}", "empty": ""})
    yield _secret("tls", "kubernetes.io/tls", {"tls.crt": "not one", "tls.key": "not one"})
    pull = {"auths": {"registry.example.com": {"auth": _b64(b"user:pass")}}}
    yield _secret("pull", "kubernetes.io/dockerconfigjson", {".dockerconfigjson": json.dumps(pull)})
    yield _secret("old-pull", "kubernetes.io/dockercfg", {".dockercfg": "{}"})
    yield _secret("basic", "kubernetes.io/basic-auth", {"username": "a", "password": "b"})
    yield _secret("ssh", "kubernetes.io/ssh-auth", {"ssh-privatekey": "not one"})
    yield _secret("sh.helm.release.v1.web.v1", "helm.sh/release.v1", {"release": "H4sI" * 50})
    token = _secret("app-token", "kubernetes.io/service-account-token", {})
    token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "app"}
    yield token


def _network(draw: random.Random, number: int) -> Iterator[Object]:
    port = {"name": "http", "port": 80, "targetPort": draw.choice((8080, "http"))}
    kinds: dict[str, Object] = {
        "web-0": {},
        "headless": {"clusterIP": "None"},
        "node-port": {"type": "NodePort"},
        "balanced": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False},
        "fixed": {"clusterIP": f"10.0.0.{20 + number}"} if number < 200 else {},
        "outside": {"type": "ExternalName", "externalName": "www.example.com"},
    }
    if number < 80:  # ports that nobody gets by chance
        kinds["fixed-port"] = {"type": "NodePort"}
    for name, spec in kinds.items():
        chosen = {**port, "nodePort": 30000 + number} if name == "fixed-port" else port
        selector = {} if name == "outside" else {"selector": {"app": "web-0"}}
        service = {"apiVersion": "v1", "kind": "Service"}
        yield _named(service, name, spec={"ports": [chosen], **selector, **spec})
    addresses = [{"ip": f"192.0.2.{draw.randrange(1, 200)}"}]
    subset = {"addresses": addresses, "ports": [{"port": 5432}]}
    yield _named({"apiVersion": "v1", "kind": "Endpoints"}, "by-hand", subsets=[subset])
    slice_ = _named(
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"},
        "by-hand-1",
        addressType="IPv4",
        endpoints=[{"addresses": ["192.0.2.7"]}],
        ports=[{"port": 5432}],
    )
    slice_["metadata"]["labels"] = {"endpointslice.kubernetes.io/managed-by": "example.com"}
    yield slice_
    backend = {"service": {"name": "web-0", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    rules = [{"host": "*.example.com", "http": {"paths": paths}}]
    networking = "networking.k8s.io/v1"
    yield _named({"apiVersion": networking, "kind": "Ingress"}, "web", spec={"rules": rules})
    policy = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    yield _named({"apiVersion": networking, "kind": "NetworkPolicy"}, "open", spec=policy)


def _storage(draw: random.Random, number: int) -> Iterator[Object]:
    size = {"requests": {"storage": draw.choice(("1Gi", "1000M", "1e9"))}}
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": size, "storageClassName": ""}
    if number < 40:
        spec["volumeName"] = f"volume-{number}"
    yield _named({"apiVersion": "v1", "kind": "PersistentVolumeClaim"}, "data", spec=spec)


def _custom(draw: random.Random) -> Iterator[Object]:
    for group in ("cert-manager.io", "certificates.example.com"):
        kind = {"apiVersion": f"{group}/v1", "kind": "Certificate"}
        for name in ("web", "mail"):
            yield _named(kind, name, spec=_custom_spec(draw), status={"phase": "Ready"})


def _excluded() -> Iterator[Object]:
    config = {"apiVersion": "v1", "kind": "ConfigMap"}
    labelled = _named(config, "not-for-velero")
    labelled["metadata"]["labels"] = {"velero.io/exclude-from-backup": "true"}
    yield labelled
    annotated = _named(config, "not-for-watcher")
    annotated["metadata"]["annotations"] = {"watcher/exclude": "true"}
    yield annotated


def _workloads(draw: random.Random, number: int) -> Iterator[Object]:
    for index in range(3):
        app = f"web-{index}"
        spec = _running(draw, app, replicas=draw.choice((1, 2, 3)))
        deployment = _named({"apiVersion": "apps/v1", "kind": "Deployment"}, app, spec=spec)
        deployment["metadata"]["annotations"] = {"note": draw.choice(LOOKALIKES)}
        yield deployment
    database = _running(draw, "database", replicas=1, serviceName="headless")
    yield _named({"apiVersion": "apps/v1", "kind": "StatefulSet"}, "database", spec=database)
    if number % 20 == 0:
        agent = {"apiVersion": "apps/v1", "kind": "DaemonSet"}
        yield _named(agent, "agent", spec=_running(draw, "agent"))
        static = {"nodeName": "node-0", "containers": [_container(draw)]}
        mirror = _named({"apiVersion": "v1", "kind": "Pod"}, "static-node-0", spec=static)
        mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "1"}
        yield mirror
    job = {"template": {"spec": {"restartPolicy": "Never", "containers": [_container(draw)]}}}
    yield _named({"apiVersion": "batch/v1", "kind": "Job"}, "migrate", spec=job)
    nightly = {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": {"spec": job}}
    yield _named({"apiVersion": "batch/v1", "kind": "CronJob"}, "nightly", spec=nightly)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-0"}
    scaling = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9}
    scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    yield _named(scaler, "web", spec=scaling)
    budget = {"maxUnavailable": "50%", "selector": {"matchLabels": {"app": "web-0"}}}
    yield _named({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget"}, "web", spec=budget)


def _admission() -> Iterator[Object]:
    group = "admissionregistration.k8s.io/v1"
    rule = {
        "apiGroups": ["nowhere.example.com"],
        "apiVersions": ["*"],
        "operations": ["CREATE"],
        "resources": ["*"],
    }
    yield _named(
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicy"},
        "nothing",
        spec={
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "object.spec.size < 5 || has(object.spec.big)"}],
        },
    )
    binding = {"policyName": "nothing", "validationActions": ["Deny"]}
    kind = {"apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding"}
    yield _named(kind, "nothing", spec=binding)
    hook = {
        "name": "hook.example.com",
        "rules": [rule],
        "clientConfig": {"url": "https://hook.example.com/"},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
    }
    kind = {"apiVersion": group, "kind": "ValidatingWebhookConfiguration"}
    yield _named(kind, "nothing", webhooks=[hook])


def _custom_spec(draw: random.Random) -> Object:
    return {
        "floats": [0.1, 1.5, -2.25, 1e21, 1e-7, 123456789.125, 5e-324, draw.random()],
        "integers": [0, -1, 2**53, 2**63 - 1, -(2**63), 1e3],
        "nested": [[1, [2, []]], [], {}, [{}], [[{"a": []}]], None],
        "yes": {"no": "off", "1": 1, "": "empty key", "a: b": True, "x\ny": False, "~": None},
        "ünï": {"日本": "🚀", "\u2028": "\u0085"},
        "text": draw.sample(LOOKALIKES, 10),
    }


def _crd(group: str, kind: str = "Certificate", scope: str = "Namespaced") -> Object:
    singular = kind.lower()
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return _named(
        {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"},
        f"{singular}s.{group}",
        spec={
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": f"{singular}s", "singular": singular},
            "versions": [version],
        },
    )


def _volume(number: int) -> Object:
    spec = {
        "capacity": {"storage": "5Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": f"/data/{number}"},
        "persistentVolumeReclaimPolicy": "Retain",
    }
    return _named({"apiVersion": "v1", "kind": "PersistentVolume"}, f"volume-{number}", spec=spec)


def _running(draw: random.Random, app: str, **spec: object) -> Object:
    labels = {"app": app}
    pod = {"containers": [_container(draw)], "volumes": [{"name": "scratch", "emptyDir": {}}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {"selector": {"matchLabels": labels}, "template": template, **spec}


def _container(draw: random.Random) -> Object:
    return {
        "name": "main",
        "image": f"registry.example.com/{_word(draw)}:{draw.randrange(9)}.0",
        "args": draw.sample([value for value in LOOKALIKES if "\x00" not in value], 3),
        "env": [{"name": "MODE", "value": "on"}, {"name": "PORT", "value": "0777"}],
        "resources": {"requests": {"cpu": "10m", "memory": "1e3"}},
    }


def _secret(name: str, kind: str, data: dict[str, str], space: str = "") -> Object:
    values = {key: _b64(value.encode()) for key, value in data.items()}
    secret = _named({"apiVersion": "v1", "kind": "Secret"}, name, type=kind, data=values)
    if space:
        secret["metadata"]["namespace"] = space
    return secret


def _named(kind: Object, name: str, **fields: object) -> Object:
    return {**kind, "metadata": {"name": name}, **fields}


def _rule(draw: random.Random) -> Object:
    verbs = draw.sample(["get", "list", "watch", "create", "*"], 2)
    return {"apiGroups": ["", "*.example.com"], "resources": ["pods"], "verbs": verbs}


def _role_ref(kind: str, name: str) -> Object:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}


def _user(name: str) -> Object:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}


def _word(draw: random.Random) -> str:
    return draw.choice(_WORDS)


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
