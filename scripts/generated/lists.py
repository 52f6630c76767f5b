"""What the Python clients' models leave out: how lists and maps merge, and which values have two types.

From Kubernetes' own OpenAPI document, version 1.37: `x-kubernetes-list-type`, `-list-map-keys`, `-patch-merge-key`,
`-patch-strategy`, `-map-type`. A list that is not named here is atomic: replaced as a whole.
"""

from __future__ import annotations

from typing import Any

MERGED_BY: dict[str, tuple[str, ...]] = {
    # The first key is the patch merge key; all keys together identify an item for server-side apply.
    "V1Container.env": ("name",),
    "V1Container.ports": ("containerPort", "protocol"),
    "V1Container.volumeDevices": ("devicePath",),
    "V1Container.volumeMounts": ("mountPath",),
    "V1ContainerStatus.allocatedResourcesStatus": ("name",),
    "V1ContainerStatus.volumeMounts": ("mountPath",),
    "V1DeploymentStatus.conditions": ("type",),
    "V1NamespaceStatus.conditions": ("type",),
    "V1NodeAllocatableResourceClaimStatus.mapping": ("name",),
    "V1NodeAllocatableResourceClaimStatus.overhead": ("name",),
    "V1ObjectMeta.ownerReferences": ("uid",),
    "V1PodSpec.containers": ("name",),
    "V1PodSpec.ephemeralContainers": ("name",),
    "V1PodSpec.evictionResponders": ("name",),
    "V1PodSpec.hostAliases": ("ip",),
    "V1PodSpec.imagePullSecrets": ("name",),
    "V1PodSpec.initContainers": ("name",),
    "V1PodSpec.resourceClaims": ("name",),
    "V1PodSpec.schedulingGates": ("name",),
    "V1PodSpec.topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "V1PodSpec.volumes": ("name",),
    "V1PodStatus.conditions": ("type",),
    "V1PodStatus.nodeAllocatableResourceClaimStatuses": ("resourceClaimName",),
    "V1PodStatus.podIPs": ("ip",),
    "V1PodStatus.resourceClaimStatuses": ("name",),
    "V1PodStatus.volumeHealth": ("name",),
    "V1PodVolumeHealth.healthConditions": ("status", "reason"),
    "V1ResourceRequirements.claims": ("name",),
    "V1ResourceStatus.resources": ("resourceID",),
    "V1ServiceAccount.secrets": ("name",),
    "V1ServiceSpec.ports": ("port", "protocol"),
    "V1ServiceStatus.conditions": ("type",),
}
SETS = {
    "V1ContainerRestartRuleOnExitCodes.values",
    "V1Endpoint.addresses",
    "V1NodeAllocatableResourceClaimStatus.containers",
    "V1ObjectMeta.finalizers",
    "V1VolumeMount.bindMountOptions",
}

STRATEGY = {
    "V1DeploymentSpec.strategy": "retainKeys",
    "V1ObjectMeta.finalizers": "merge",
    "V1PodSpec.resourceClaims": "merge,retainKeys",
    "V1PodSpec.volumes": "merge,retainKeys",
    "V1PodStatus.resourceClaimStatuses": "merge,retainKeys",
    # These have an identity for server-side apply, and no word about patches.
    "V1PodStatus.volumeHealth": "",
    "V1ResourceRequirements.claims": "",
    "V1ResourceStatus.resources": "",
}

ATOMIC_FIELDS = {"V1PodSpec.nodeSelector", "V1ServiceSpec.selector"}
ATOMIC_TYPES = {
    "DiscoveryV1EndpointPort",
    "V1ConfigMapKeySelector",
    "V1EvictionResponder",
    "V1FileKeySelector",
    "V1LabelSelector",
    "V1LocalObjectReference",
    "V1NodeSelector",
    "V1NodeSelectorTerm",
    "V1ObjectFieldSelector",
    "V1ObjectReference",
    "V1OwnerReference",
    "V1ResourceFieldSelector",
    "V1SecretKeySelector",
    "V1TypedLocalObjectReference",
}

INT_OR_STRING: dict[str, Any] = {"x-kubernetes-int-or-string": True}
QUANTITY: dict[str, Any] = {"$ref": "Quantity"}
TYPES: dict[str, dict[str, Any]] = {
    "V1ContainerStatus.allocatedResources": {"type": "object", "additionalProperties": QUANTITY},
    "V1EmptyDirVolumeSource.sizeLimit": QUANTITY,
    "V1HTTPGetAction.port": INT_OR_STRING,
    "V1PodSpec.overhead": {"type": "object", "additionalProperties": QUANTITY},
    "V1PodStatus.allocatedResources": {"type": "object", "additionalProperties": QUANTITY},
    "V1ResourceFieldSelector.divisor": QUANTITY,
    "V1ResourceRequirements.limits": {"type": "object", "additionalProperties": QUANTITY},
    "V1ResourceRequirements.requests": {"type": "object", "additionalProperties": QUANTITY},
    "V1RollingUpdateDeployment.maxSurge": INT_OR_STRING,
    "V1RollingUpdateDeployment.maxUnavailable": INT_OR_STRING,
    "V1ServicePort.targetPort": INT_OR_STRING,
    "V1TCPSocketAction.port": INT_OR_STRING,
    "V1VolumeResourceRequirements.limits": {"type": "object", "additionalProperties": QUANTITY},
    "V1VolumeResourceRequirements.requests": {"type": "object", "additionalProperties": QUANTITY},
}
DEFAULTS = {"V1ContainerPort.protocol": "TCP", "V1ServicePort.protocol": "TCP"}
"""Parts of a list's keys that may be left out."""


def twin(type_: str) -> str:
    """Return the type whose lists merge alike: an ephemeral container is written as a container."""
    return "V1Container" if type_ == "V1EphemeralContainer" else type_
