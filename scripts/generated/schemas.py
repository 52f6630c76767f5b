"""Write the OpenAPI schemas of the laptop's API server from the official Python clients' models.

Built-in kinds come from the `kubernetes` package, InferenceService from the `kserve` SDK, Knative's four from
Knative's API specification with the PodSpec of the first.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import kserve.models
import orjson
from kubernetes.client import models

from scripts.generated import knative, lists

FOLDER = Path(__file__).parents[2] / "torpor" / "local" / "apiserver" / "schema"

Schema = dict[str, Any]

BUILT_IN = (
    "V1Namespace",
    "V1Pod",
    "CoreV1Event",
    "V1Secret",
    "V1ConfigMap",
    "V1ServiceAccount",
    "V1Service",
    "V1Deployment",
    "V1EndpointSlice",
    "V1Lease",
    "V1Scale",
    "V1Status",
    "V1DeleteOptions",
    "V1PodTemplateSpec",
)

PLAIN: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
    "datetime": {"type": "string", "format": "date-time"},
    "object": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    # Names that the KServe SDK uses and does not define.
    "ResourceQuantity": {"$ref": "Quantity"},
    "V1beta1MetricQuantity": {"$ref": "Quantity"},
    "KnativeURL": {"type": "string"},
    "V1Time": {"type": "string", "format": "date-time"},
    "K8sIoApiAppsV1DeploymentStrategy": {"$ref": "V1DeploymentStrategy"},
    "K8sIoApiAutoscalingV2HorizontalPodAutoscalerBehavior": {"$ref": "V2HorizontalPodAutoscalerBehavior"},
    "KnativeAddressable": {"$ref": knative.ADDRESSABLE},
    "KnativeCondition": {"$ref": knative.CONDITION},
    "KnativeDevServingPkgApisServingV1TrafficTarget": {"$ref": knative.TRAFFIC_TARGET},
}
QUANTITY = "io.k8s.Quantity"


def generate() -> dict[str, dict[str, Schema]]:
    """Return the content of each file: name of a definition -> schema."""
    kserve_types = _reachable("V1beta1InferenceService", kserve.models)
    wanted = {name for type_ in kserve_types for name in _names(getattr(kserve.models, type_))}
    builtin: set[str] = set()
    for name in (*BUILT_IN, "V1DeploymentStrategy", "V2HorizontalPodAutoscalerBehavior", *sorted(wanted)):
        if name not in kserve_types and hasattr(models, name):
            builtin |= _reachable(name, models)
    kubernetes = {_id(name): _definition(name, models) for name in sorted(builtin)}
    kubernetes[QUANTITY] = {
        "description": "A number with an optional unit, for instance 500m, 1, 2Gi or 1e3.",
        "type": "string",
        "x-kubernetes-quantity": True,
    }
    return {
        "kubernetes.json": kubernetes,
        "knative.json": knative.definitions(kubernetes),
        "kserve.json": {_id(name): _definition(name, kserve.models) for name in sorted(kserve_types)},
    }


def _reachable(root: str, module: Any) -> set[str]:
    seen: set[str] = set()
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name not in seen and hasattr(module, name):
            seen.add(name)
            waiting += _names(getattr(module, name))
    return seen


def _names(type_: Any) -> list[str]:
    return [word for text in type_.openapi_types.values() for word in re.findall(r"\w+", text)]


def _id(name: str) -> str:
    """V1Pod -> io.k8s.v1.Pod; CoreV1Event -> io.k8s.v1.Event; V1beta1ModelSpec -> io.kserve.v1beta1.ModelSpec."""
    if name == "Quantity":
        return QUANTITY
    match = re.fullmatch(r"(?:[A-Z][a-z]+)?V(\d+(?:beta\d+)?)(\w+)", name)
    if match is None:  # an identifier already
        return name
    owner = "io.kserve" if match[1] == "1beta1" else "io.k8s"
    return f"{owner}.v{match[1]}.{match[2]}"


def _definition(name: str, module: Any) -> Schema:
    type_ = getattr(module, name)
    properties: dict[str, Schema] = {}
    required: list[str] = []
    for attribute, text in type_.openapi_types.items():
        field = type_.attribute_map[attribute]
        description, needed = _about(type_, attribute)
        schema = _field(f"{lists.twin(name)}.{field}", text)
        properties[field] = ({"description": description} if description else {}) | schema
        if needed:
            required.append(field)
    definition: Schema = {"type": "object"}
    if description := _description(type_):
        definition["description"] = description
    definition["properties"] = dict(sorted(properties.items()))
    if required:
        definition["required"] = sorted(required)
    if name in lists.ATOMIC_TYPES:
        definition["x-kubernetes-map-type"] = "atomic"
    return definition


def _field(path: str, text: str) -> Schema:
    schema = _resolve(lists.TYPES[path]) if path in lists.TYPES else _type(text)
    if path in lists.MERGED_BY:
        keys = lists.MERGED_BY[path]
        schema |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
        strategy = lists.STRATEGY.get(path, "merge")
        if strategy:
            schema |= {"x-kubernetes-patch-merge-key": keys[0], "x-kubernetes-patch-strategy": strategy}
    elif path in lists.STRATEGY:
        schema["x-kubernetes-patch-strategy"] = lists.STRATEGY[path]
    if path in lists.SETS:
        schema["x-kubernetes-list-type"] = "set"
    elif schema.get("type") == "array":
        schema.setdefault("x-kubernetes-list-type", "atomic")
    if path in lists.ATOMIC_FIELDS:
        schema["x-kubernetes-map-type"] = "atomic"
    if path in lists.DEFAULTS:
        schema["default"] = lists.DEFAULTS[path]
    return schema


def _type(text: str) -> Schema:
    if match := re.fullmatch(r"[Ll]ist\[(.+)\]", text):
        return {"type": "array", "items": _type(match[1])}
    if match := re.fullmatch(r"[Dd]ict[(\[]str, (.+)[)\]]", text):
        return {"type": "object", "additionalProperties": _type(match[1])}
    if text in PLAIN:
        return _resolve(PLAIN[text])
    return _resolve({"$ref": text})


def _resolve(schema: Schema) -> Schema:
    """Return a copy in which references have their final names."""
    return {
        key: f"#/components/schemas/{_id(value)}"
        if key == "$ref"
        else _resolve(value)
        if isinstance(value, dict)
        else value
        for key, value in schema.items()
    }


def _about(type_: Any, attribute: str) -> tuple[str, bool]:
    """Return (description, whether the field is required)."""
    if hasattr(type_, "model_fields"):  # pydantic, as the kubernetes package has it
        # Names that Python or pydantic keep for themselves (exec, from, schema) have another one in the model.
        wire = type_.attribute_map[attribute]
        fields = type_.model_fields
        field = fields.get(attribute) or next(each for each in fields.values() if each.serialization_alias == wire)
        return field.description or "", field.is_required()
    accessor = getattr(type_, attribute)
    _, _, text = (inspect.getdoc(accessor) or "").partition("\n\n")
    description = text.partition("\n\n")[0].replace("  # noqa: E501", "").strip()
    return ("" if description.startswith(":return") else description), "must not be `None`" in inspect.getsource(
        accessor.fset
    )


def _description(type_: Any) -> str:
    text = (inspect.getdoc(type_) or "").partition("Attributes:")[0].strip()
    return "" if text.startswith(("NOTE:", "Do not edit")) else text


def main(arguments: list[str]) -> int:
    stale = []
    for file, content in generate().items():
        text = orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
        path = FOLDER / file
        if path.exists() and path.read_bytes() == text:
            continue
        stale.append(file)
        if "--verify" not in arguments:
            path.write_bytes(text)
            print(f"wrote {path.relative_to(Path.cwd())}")
    if stale and "--verify" in arguments:
        print(f"out of date: {', '.join(stale)}; run scripts/generate-schemas", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
