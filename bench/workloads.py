"""What an application looks like in a cluster: its objects as their authors and controllers leave
them.

Exists so that the demo, the load and the benchmarks show watcher the fields that real clusters
have: defaults that the server filled in, statuses, owners, and managedFields that say who set what.
Pure: names and times are given.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.managed_fields import managed

Object = dict[str, Any]


class App(NamedTuple):
    namespace: str
    name: str
    image: str
    replicas: int = 2
    port: int = 8080
    config: Mapping[str, str] = {}  # files of its ConfigMap
    host: str = ""  # of its Ingress; "": not reached from outside

    @property
    def labels(self) -> dict[str, str]:
        return {"app.kubernetes.io/name": self.name, "app.kubernetes.io/part-of": self.namespace}


def made(
    content: Object,
    at: str,
    *,
    by: str = "kubectl-client-side-apply",
    server: Object | None = None,
    status: Object | None = None,
    status_by: str = "kube-controller-manager",
) -> Object:
    """An object as it is stored: what its author wrote, then what the server changed in it (whole
    top-level fields), then its status. at: RFC 3339."""
    metadata = {**content["metadata"], "creationTimestamp": at}
    authored = {**content, "metadata": metadata}
    metadata["managedFields"] = managed(None, authored, manager=by, now=at)
    stored = {**authored, **(server or {})}
    if status:
        complete = {**stored, "status": status}
        metadata["managedFields"] = managed(stored, complete, manager=status_by, now=at)
        return complete
    return stored


def owner(content: Object) -> list[Object]:
    return [
        {
            "apiVersion": content["apiVersion"],
            "kind": content["kind"],
            "name": content["metadata"]["name"],
            "uid": content["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def deployment(app: App, at: str) -> Object:
    spec = {
        "replicas": app.replicas,
        "selector": {"matchLabels": {"app.kubernetes.io/name": app.name}},
        "template": _template(app),
    }
    defaults = {
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
        },
    }
    annotations = {"deployment.kubernetes.io/revision": "1"}
    return made(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**_named(app), "annotations": annotations},
            "spec": spec,
        },
        at,
        server={"spec": {**spec, **defaults}},
        status={
            "observedGeneration": 1,
            "replicas": app.replicas,
            "readyReplicas": app.replicas,
            "availableReplicas": app.replicas,
            "updatedReplicas": app.replicas,
            "conditions": [
                condition("Available", at, reason="MinimumReplicasAvailable"),
                condition("Progressing", at, reason="NewReplicaSetAvailable"),
            ],
        },
    )


def replica_set(deployed: Object, template_hash: str, at: str) -> Object:
    template = deployed["spec"]["template"]
    labels = {**template["metadata"]["labels"], "pod-template-hash": template_hash}
    replicas = deployed["spec"]["replicas"]
    return made(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{deployed['metadata']['name']}-{template_hash}",
                "namespace": deployed["metadata"]["namespace"],
                "labels": labels,
                "annotations": {
                    "deployment.kubernetes.io/desired-replicas": str(replicas),
                    "deployment.kubernetes.io/revision": "1",
                },
                "ownerReferences": owner(deployed),
            },
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {**template, "metadata": {"labels": labels}},
            },
        },
        at,
        by="kube-controller-manager",
        status={"replicas": replicas, "readyReplicas": replicas, "observedGeneration": 1},
    )


def pod(owned_by: Object, suffix: str, node: str, address: str, at: str) -> Object:
    """A running Pod of a ReplicaSet, StatefulSet or DaemonSet."""
    template = owned_by["spec"]["template"]
    token_mount = {
        "name": f"kube-api-access-{suffix}",
        "readOnly": True,
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
    }
    containers = [
        {**c, "volumeMounts": [*c.get("volumeMounts", []), token_mount]}
        for c in template["spec"]["containers"]
    ]
    volumes = [*template["spec"].get("volumes", []), _token_volume(suffix)]
    name = f"{owned_by['metadata']['name']}-{suffix}"
    return made(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "generateName": f"{owned_by['metadata']['name']}-",
                "namespace": owned_by["metadata"]["namespace"],
                "labels": template["metadata"]["labels"],
                "ownerReferences": owner(owned_by),
            },
            "spec": template["spec"],
        },
        at,
        by="kube-controller-manager",
        server={
            "spec": {
                **template["spec"],
                "containers": containers,
                "volumes": volumes,
                "nodeName": node,
                "serviceAccount": template["spec"]["serviceAccountName"],
                "preemptionPolicy": "PreemptLowerPriority",
                "priority": 0,
                "enableServiceLinks": True,
                "tolerations": [
                    {
                        "key": f"node.kubernetes.io/{trouble}",
                        "operator": "Exists",
                        "effect": "NoExecute",
                        "tolerationSeconds": 300,
                    }
                    for trouble in ("not-ready", "unreachable")
                ],
            }
        },
        status={
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "hostIP": "192.168.10.1",
            "startTime": at,
            "qosClass": "Burstable",
            "conditions": [
                condition(kind, at)
                for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
            ],
            "containerStatuses": [
                {
                    "name": c["name"],
                    "image": c["image"],
                    "imageID": f"registry.example.com/{c['name']}@sha256:{'4f' * 32}",
                    "containerID": f"containerd://{'9c' * 32}",
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": at}},
                }
                for c in containers
            ],
        },
        status_by="kubelet",
    )


def service(app: App, address: str, at: str) -> Object:
    port = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": app.port}
    spec = {"selector": {"app.kubernetes.io/name": app.name}, "ports": [port], "type": "ClusterIP"}
    defaults = {
        "clusterIP": address,
        "clusterIPs": [address],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "None",
    }
    content = {"apiVersion": "v1", "kind": "Service", "metadata": _named(app), "spec": spec}
    server = {"spec": {**spec, **defaults}, "status": {"loadBalancer": {}}}
    return made(content, at, server=server)


def endpoint_slice(served: Object, addresses: list[str], at: str) -> Object:
    name = served["metadata"]["name"]
    return made(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-x7k2p",
                "generateName": f"{name}-",
                "namespace": served["metadata"]["namespace"],
                "labels": {
                    "kubernetes.io/service-name": name,
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                },
                "ownerReferences": owner(served),
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        },
        at,
        by="kube-controller-manager",
    )


def config_map(app: App, at: str) -> Object:
    return made(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _named(app),
            "data": dict(app.config),
        },
        at,
    )


def secret(app: App, values: Mapping[str, str], at: str) -> Object:
    data = {key: b64encode(value.encode()).decode() for key, value in values.items()}
    return made(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": _named(app),
            "type": "Opaque",
            "data": data,
        },
        at,
    )


def service_account(app: App, at: str) -> Object:
    return made({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named(app)}, at)


def ingress(app: App, at: str) -> Object:
    backend = {"service": {"name": app.name, "port": {"name": "http"}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return made(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                **_named(app),
                "annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"},
            },
            "spec": {
                "ingressClassName": "nginx",
                "tls": [{"hosts": [app.host], "secretName": f"{app.name}-tls"}],
                "rules": [{"host": app.host, "http": {"paths": [path]}}],
            },
        },
        at,
        status={"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}},
        status_by="nginx-ingress-controller",
    )


def certificate(app: App, at: str) -> Object:
    return made(
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": _named(app),
            "spec": {
                "secretName": f"{app.name}-tls",
                "dnsNames": [app.host or f"{app.name}.{app.namespace}.svc"],
                "duration": "2160h0m0s",
                "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt"},
            },
        },
        at,
        by="cert-manager-ingress-shim",
        status={"conditions": [condition("Ready", at, reason="Ready")], "notAfter": at},
        status_by="cert-manager-certificates-readiness",
    )


def condition(kind: str, at: str, *, reason: str = "") -> Object:
    found: Object = {"type": kind, "status": "True", "lastTransitionTime": at}
    return {**found, "reason": reason, "message": f"{kind} since {at}"} if reason else found


def _named(app: App) -> Object:
    return {"name": app.name, "namespace": app.namespace, "labels": app.labels}


def _template(app: App) -> Object:
    container = {
        "name": app.name,
        "image": app.image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["--config=/etc/app", f"--listen=:{app.port}"],
        "ports": [{"name": "http", "containerPort": app.port, "protocol": "TCP"}],
        "env": [
            {"name": "LOG_LEVEL", "value": "info"},
            {
                "name": "POD_IP",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}},
            },
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"},
            "periodSeconds": 10,
            "failureThreshold": 3,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    return {
        "metadata": {"labels": app.labels, "creationTimestamp": None},
        "spec": {
            "containers": [container],
            "volumes": [{"name": "config", "configMap": {"name": app.name, "defaultMode": 420}}],
            "serviceAccountName": app.name,
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {"runAsNonRoot": True},
            "schedulerName": "default-scheduler",
        },
    }


def _token_volume(suffix: str) -> Object:
    token = {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    return {
        "name": f"kube-api-access-{suffix}",
        "projected": {"defaultMode": 420, "sources": [token]},
    }
