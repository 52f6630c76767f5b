"""From what a schema check found to an answer, in Kubernetes' words: they differ for its own and for custom kinds."""

from __future__ import annotations

from torpor.local.apiserver.kinds.resource import Resource
from torpor.local.apiserver.registry.options import WriteOptions
from torpor.local.apiserver.schema import Findings, Mistake, conform
from torpor.local.apiserver.status import ApiError, Cause, bad_request, invalid, missing, wrong
from torpor.spec.kinds import Object

_GO = {"string": "string", "integer": "int64", "number": "float64", "boolean": "bool"}


def checked(resource: Resource, obj: Object, options: WriteOptions, *, whole: bool = True) -> Object:
    """Return the object by its schema: without unknown fields, or refused for them if the client is strict.

    One that is not `whole` is a part of what it shall become: fields that are required may be elsewhere.
    """
    conformed, findings = conform(resource.node, obj)
    if findings.mistakes:
        raise _mistaken(resource, obj, findings)
    if findings.unknown:
        _unknown(resource, findings.unknown, options)
    if findings.missing and whole:
        # Where Kubernetes' own validation has a word of its own about it, it comes later and is as clear.
        raise invalid(resource.kind, _name(obj), [missing(path) for path in findings.missing])
    return conformed


def _unknown(resource: Resource, paths: list[str], options: WriteOptions) -> None:
    texts = [f'unknown field "{path}"' for path in paths]
    if options.validation == "Warn":
        options.warnings.extend(texts)
    elif options.validation == "Strict":
        text = f"strict decoding error: {', '.join(texts)}"
        raise bad_request(f"{_cannot(resource)}: {text}" if resource.built_in else text)


def _mistaken(resource: Resource, obj: Object, findings: Findings) -> ApiError:
    if not resource.built_in:
        return invalid(resource.kind, _name(obj), [_cause(mistake) for mistake in findings.mistakes])
    mistake = findings.mistakes[0]
    if mistake.detail:
        return bad_request(f"{_cannot(resource)}: {mistake.path}: {mistake.detail}")
    wanted = _GO.get(mistake.wanted, mistake.wanted)
    found = "number" if mistake.found in {"integer", "number"} else mistake.found
    found = "bool" if found == "boolean" else found
    text = f"json: cannot unmarshal {found} into Go struct field {resource.kind.kind}.{mistake.path} of type {wanted}"
    return bad_request(f"{_cannot(resource)}: {text}")


def _cannot(resource: Resource) -> str:
    kind = resource.kind
    return f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'


def _cause(mistake: Mistake) -> Cause:
    if mistake.detail:
        return wrong(mistake.path, mistake.value, mistake.detail)
    detail = f'{mistake.path} in body must be of type {mistake.wanted}: "{mistake.found}"'
    return Cause(mistake.path, "FieldValueTypeInvalid", f'Invalid value: "{mistake.found}": {detail}')


def _name(obj: Object) -> str:
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""
