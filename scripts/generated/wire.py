"""Write the numbers of the fields in Kubernetes' protocol buffers, which kubectl sends for Kubernetes' own kinds.

    .venv/bin/python -m scripts.generated.wire PATH/TO/kubectl

They are read from the descriptors that kubectl carried until 1.34. Numbers never change, and a field that
came later is refused with its number. scripts/generate-schemas does not run this: it would need that binary.
"""

from __future__ import annotations

import re
import sys
import zlib
from pathlib import Path
from typing import Any

import orjson
from google.protobuf import descriptor_pb2

OUTPUT = Path(__file__).parents[2] / "torpor" / "local" / "apiserver" / "schema" / "wire.json"
SCHEMAS = OUTPUT.with_name("kubernetes.json")

ROOTS = (
    *(f".k8s.io.api.core.v1.{kind}" for kind in ("Namespace", "Pod", "Event", "Secret", "ConfigMap")),
    *(f".k8s.io.api.core.v1.{kind}" for kind in ("ServiceAccount", "Service")),
    ".k8s.io.api.apps.v1.Deployment",
    ".k8s.io.api.autoscaling.v1.Scale",
    ".k8s.io.api.coordination.v1.Lease",
    ".k8s.io.api.discovery.v1.EndpointSlice",
    ".k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions",
)
SPECIAL = {
    ".k8s.io.apimachinery.pkg.api.resource.Quantity": "quantity",
    ".k8s.io.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    ".k8s.io.apimachinery.pkg.apis.meta.v1.Time": "time",
    ".k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime": "time",
    ".k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1": "json",
}
Field = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    Field.TYPE_STRING: "string",
    Field.TYPE_BYTES: "bytes",
    Field.TYPE_BOOL: "bool",
    Field.TYPE_INT32: "int",
    Field.TYPE_INT64: "int",
}


def messages(binary: bytes) -> dict[str, Any]:
    """Return every message that the descriptors in a binary describe, by full name."""
    found: dict[str, Any] = {}
    for match in re.finditer(rb"\x1f\x8b\x08\x00", binary):
        try:
            raw = zlib.decompressobj(31).decompress(binary[match.start() : match.start() + 2**21])
            file = descriptor_pb2.FileDescriptorProto.FromString(raw)
        except Exception:  # noqa: S112  # most of what looks like a beginning is none
            continue
        if file.name.startswith("k8s.io/"):
            found |= {f".{file.package}.{message.name}": message for message in file.message_type}
    return found


def table(found: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Return definition -> number -> [JSON name, type]; an empty name is a message that JSON writes inline."""
    rows: dict[str, Any] = {}
    waiting = list(ROOTS)
    while waiting:
        full = waiting.pop()
        name = _id(full)
        if name in rows:
            continue
        row = rows[name] = {}
        known = schemas.get(name, {}).get("properties")
        for field in found[full].field:
            json_name = "" if known is not None and field.name not in known and _inline(field) else field.name
            row[str(field.number)] = [json_name, _type(found[full], field)]
            waiting += [each for each in _targets(found[full], field) if each not in SPECIAL]
    return dict(sorted(rows.items()))


def _id(full: str) -> str:
    return f"io.k8s.v1.{full.rpartition('.')[2]}"


def _inline(field: Any) -> bool:
    return field.type == Field.TYPE_MESSAGE and field.label != Field.LABEL_REPEATED


def _entry(message: Any, field: Any) -> Any:
    """Return the value field of a map, or None."""
    for nested in message.nested_type:
        if nested.options.map_entry and field.type_name.endswith(f".{message.name}.{nested.name}"):
            return nested.field[1]
    return None


def _type(message: Any, field: Any) -> str:
    entry = _entry(message, field)
    if entry is not None:
        return "{}" + _type(message, entry)
    base = SCALARS.get(field.type) or SPECIAL.get(field.type_name) or _id(field.type_name)
    return f"[]{base}" if field.label == Field.LABEL_REPEATED else base


def _targets(message: Any, field: Any) -> list[str]:
    entry = _entry(message, field)
    target = field if entry is None else entry
    return [target.type_name] if target.type == Field.TYPE_MESSAGE else []


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    found = messages(Path(arguments[0]).read_bytes())
    rows = table(found, orjson.loads(SCHEMAS.read_bytes()))
    lines = [f"{orjson.dumps(name).decode()}:{orjson.dumps(row).decode()}" for name, row in rows.items()]
    OUTPUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"wrote {OUTPUT.name}: {len(rows)} messages")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
