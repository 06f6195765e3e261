"""The kinds that a Kubernetes 1.36 API server has from birth, and what a CRD adds.

Exists so that discovery, paths and bodies of the simulated cluster come from one table. Promises:
built-in names, scopes and short names are those of the real one; custom kinds are ordered by
Kubernetes' version priority (v2 before v1 before v1beta1), so the first version is the preferred.
"""

import re
from dataclasses import dataclass
from typing import Any

from watcher.objects.ref import APIResource

VERBS = frozenset(
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
)

# resource Kind [short,names] [-> verbs, where they are not all of VERBS]; `*` = cluster-scoped.
_BUILT_IN = """
/v1
    bindings Binding -> create
    *componentstatuses ComponentStatus cs -> get,list
    configmaps ConfigMap cm
    endpoints Endpoints ep
    events Event ev
    limitranges LimitRange limits
    *namespaces Namespace ns -> create,delete,get,list,patch,update,watch
    *nodes Node no
    persistentvolumeclaims PersistentVolumeClaim pvc
    *persistentvolumes PersistentVolume pv
    pods Pod po
    podtemplates PodTemplate
    replicationcontrollers ReplicationController rc
    resourcequotas ResourceQuota quota
    secrets Secret
    serviceaccounts ServiceAccount sa
    services Service svc
apiregistration.k8s.io/v1
    *apiservices APIService
apps/v1
    controllerrevisions ControllerRevision
    daemonsets DaemonSet ds
    deployments Deployment deploy
    replicasets ReplicaSet rs
    statefulsets StatefulSet sts
events.k8s.io/v1
    events Event ev
authentication.k8s.io/v1
    *selfsubjectreviews SelfSubjectReview -> create
    *tokenreviews TokenReview -> create
authorization.k8s.io/v1
    localsubjectaccessreviews LocalSubjectAccessReview -> create
    *selfsubjectaccessreviews SelfSubjectAccessReview -> create
    *selfsubjectrulesreviews SelfSubjectRulesReview -> create
    *subjectaccessreviews SubjectAccessReview -> create
autoscaling/v2,v1
    horizontalpodautoscalers HorizontalPodAutoscaler hpa
batch/v1
    cronjobs CronJob cj
    jobs Job
certificates.k8s.io/v1
    *certificatesigningrequests CertificateSigningRequest csr
networking.k8s.io/v1
    *ingressclasses IngressClass
    ingresses Ingress ing
    *ipaddresses IPAddress ip
    networkpolicies NetworkPolicy netpol
    *servicecidrs ServiceCIDR
policy/v1
    poddisruptionbudgets PodDisruptionBudget pdb
rbac.authorization.k8s.io/v1
    *clusterrolebindings ClusterRoleBinding
    *clusterroles ClusterRole
    rolebindings RoleBinding
    roles Role
storage.k8s.io/v1
    *csidrivers CSIDriver
    *csinodes CSINode
    csistoragecapacities CSIStorageCapacity
    *storageclasses StorageClass sc
    *volumeattachments VolumeAttachment
    *volumeattributesclasses VolumeAttributesClass vac
admissionregistration.k8s.io/v1
    *mutatingwebhookconfigurations MutatingWebhookConfiguration
    *validatingadmissionpolicies ValidatingAdmissionPolicy
    *validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding
    *validatingwebhookconfigurations ValidatingWebhookConfiguration
apiextensions.k8s.io/v1
    *customresourcedefinitions CustomResourceDefinition crd,crds
scheduling.k8s.io/v1
    *priorityclasses PriorityClass pc
coordination.k8s.io/v1
    leases Lease
node.k8s.io/v1
    *runtimeclasses RuntimeClass
discovery.k8s.io/v1
    endpointslices EndpointSlice
flowcontrol.apiserver.k8s.io/v1
    *flowschemas FlowSchema
    *prioritylevelconfigurations PriorityLevelConfiguration
resource.k8s.io/v1
    *deviceclasses DeviceClass
    resourceclaims ResourceClaim
    resourceclaimtemplates ResourceClaimTemplate
    *resourceslices ResourceSlice
"""

_SUBRESOURCES = {
    "pods": ("exec", "log", "status"),
    "deployments.apps": ("scale", "status"),
    "replicasets.apps": ("scale", "status"),
    "statefulsets.apps": ("scale", "status"),
    "namespaces": ("finalize", "status"),
    "nodes": ("proxy", "status"),
    "services": ("proxy", "status"),
    "serviceaccounts": ("token",),
}


@dataclass(frozen=True, slots=True)
class Kind:
    resource: APIResource  # in its preferred version
    versions: tuple[str, ...]  # all served ones, the preferred first
    built_in: bool = True
    subresources: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.resource.label

    def api_version(self, version: str) -> str:
        return self.resource._replace(version=version).api_version

    def named(self, body: bytes, version: str) -> bytes:
        """A stored body with its kind and apiVersion, in the real one's order."""
        name, kind = self.api_version(version), self.resource.kind
        head = (
            f'{{"kind":"{kind}","apiVersion":"{name}",'
            if self.built_in
            else f'{{"apiVersion":"{name}","kind":"{kind}",'
        )
        return head.encode() + body[1:]


def built_in_kinds() -> list[Kind]:
    kinds: list[Kind] = []
    group = ""
    versions: tuple[str, ...] = ()
    for line in filter(None, _BUILT_IN.splitlines()):
        if not line.startswith(" "):
            group, _, listed = line.partition("/")
            versions = tuple(listed.split(","))
            continue
        names, _, verbs = line.strip().partition(" -> ")
        plural, kind, *short = names.lstrip("*").split(" ")
        resource = APIResource(
            group=group,
            version=versions[0],
            resource=plural,
            kind=kind,
            namespaced=not names.startswith("*"),
            verbs=frozenset(verbs.split(",")) if verbs else VERBS,
            singular=kind.lower(),
            short_names=tuple(short[0].split(",")) if short else (),
        )
        kinds.append(Kind(resource, versions, subresources=_SUBRESOURCES.get(resource.label, ())))
    return kinds


def custom_kind(definition: dict[str, Any]) -> Kind:
    """The kind that a CustomResourceDefinition adds."""
    spec = definition["spec"]
    names = spec["names"]
    served = [v["name"] for v in spec["versions"] if v.get("served", True)]
    versions = tuple(sorted(served, key=_priority))
    resource = APIResource(
        group=spec["group"],
        version=versions[0],
        resource=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        verbs=VERBS,
        singular=names.get("singular", names["kind"].lower()),
        short_names=tuple(names.get("shortNames", ())),
    )
    return Kind(resource, versions, built_in=False)


def _priority(version: str) -> tuple[int, int, int, str]:
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if not found:
        return (3, 0, 0, version)
    major, stage, minor = found.groups()
    return ({None: 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0), version)
