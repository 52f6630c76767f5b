"""A ModelConfig as Triton writes it in JSON: all fields, enumerations by name, and numbers as numbers."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor


def document(message: Any) -> dict[str, Any]:
    """Return it. protobuf's own JSON has texts where an int64 is, which models and clients do not expect."""
    return {
        field.name: _value(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if field.is_repeated or not field.has_presence or message.HasField(field.name)
    }


def _value(field: FieldDescriptor, value: Any) -> Any:
    if not field.is_repeated:
        return _single(field, value)
    if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        kind = field.message_type.fields_by_name["value"]
        return {str(key): _single(kind, value[key]) for key in sorted(value)}
    return [_single(field, each) for each in value]


def _single(field: FieldDescriptor, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return document(value)
    if field.type == FieldDescriptor.TYPE_ENUM:
        found = field.enum_type.values_by_number.get(value)
        return value if found is None else found.name
    return value
