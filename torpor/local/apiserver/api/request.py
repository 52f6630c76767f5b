"""What a request is about, read from its path and query."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import QueryParams
from starlette.requests import Request

from torpor.local.apiserver.kinds.resource import Resource
from torpor.local.apiserver.kinds.table import BY_NAME
from torpor.local.apiserver.registry.options import Validation, WriteOptions
from torpor.local.apiserver.selectors import Selector, parse_fields, parse_labels
from torpor.local.apiserver.status import Cause, bad_request, no_such_path
from torpor.local.apiserver.status import unsupported as unsupported_value

MAX_MANAGER = 128


@dataclass(frozen=True, slots=True)
class Target:
    """A collection, an object, or a subresource of an object."""

    resource: Resource
    namespace: str | None
    """None: of all namespaces, or of none where the kind has none."""
    name: str = ""
    sub: str = ""
    rest: str = ""
    """The path below a subresource, with its leading slash."""
    watch: bool = False
    """By the old `/watch/` paths."""


def locate(path: str) -> Target:
    """Read a path below /api/VERSION or /apis/GROUP/VERSION; raises a 404 for what is not served."""
    parts = path.strip("/").split("/")
    head = 2 if parts[0] == "api" else 3
    group, version = ("", parts[1]) if head == 2 else (parts[1], parts[2])
    below = parts[head:]
    watch = below[:1] == ["watch"]
    if watch:
        below = below[1:]
    namespace: str | None = None
    # `namespaces/x` is a Namespace; `namespaces/x/pods` are the pods in it; `namespaces/x/status` is the former's.
    if len(below) >= 3 and below[0] == "namespaces" and (group, version, below[2]) in BY_NAME:
        namespace, below = below[1], below[2:]
    resource = BY_NAME.get((group, version, below[0])) if below else None
    if resource is None or (namespace is not None and not resource.kind.namespaced):
        raise no_such_path()
    name, sub = (*below[1:3], "", "")[:2]
    if name and resource.kind.namespaced and namespace is None:
        raise no_such_path()
    rest = "/".join(below[3:])
    return Target(resource, namespace, name, sub, f"/{rest}" if len(below) > 3 else "", watch)


def flag(query: QueryParams, name: str) -> bool:
    """Return a boolean parameter: present and empty is true, as in Kubernetes."""
    value = query.get(name)
    return value is not None and value.lower() not in {"false", "0", "f"}


def number(query: QueryParams, name: str) -> int | None:
    """Return a whole number that is not negative; raises a 400 for anything else."""
    value = query.get(name, "")
    if not value:
        return None
    if not value.isdecimal() or len(value) > 18:
        raise bad_request(f"strconv.ParseInt: parsing {value!r}: invalid syntax in {name}")
    return int(value)


def selector(query: QueryParams, resource: Resource, name: str = "") -> Selector:
    """Return what the labels and fields must be; `name` narrows it to one object."""
    labels = parse_labels(query.get("labelSelector", ""))
    fields = query.get("fieldSelector", "")
    if name:
        fields = f"{fields},metadata.name={name}".strip(",")
    return Selector(labels, parse_fields(fields, dict.fromkeys(resource.selects_by())))


def write_options(request: Request) -> WriteOptions:
    """Read fieldManager, dryRun, force and fieldValidation; raises a 400 for words they do not have."""
    query = request.query_params
    return WriteOptions(
        manager=_manager(request),
        dry_run=dry_run(query.getlist("dryRun")),
        force=flag(query, "force"),
        validation=_validation(query.get("fieldValidation", "")),
    )


def dry_run(values: list[str]) -> bool:
    """`All` is the only stage there is."""
    given = [value for value in values if value]
    if any(value != "All" for value in given):
        raise _refused(unsupported_value("dryRun", given, ("All",)))
    return bool(given)


def _validation(value: str) -> Validation:
    match value:
        case "":
            return "Warn"
        case "Strict" | "Warn" | "Ignore":
            return value
    raise _refused(unsupported_value("fieldValidation", value, ("Ignore", "Strict", "Warn")))


def _manager(request: Request) -> str:
    given = request.query_params.get("fieldManager", "")
    if len(given) > MAX_MANAGER or not given.isprintable():
        text = f"fieldManager: use at most {MAX_MANAGER} printable characters"
        raise bad_request(text)
    # As in Kubernetes: the first word of the program's name.
    return given or request.headers.get("user-agent", "").partition("/")[0][:MAX_MANAGER] or "unknown"


def _refused(cause: Cause) -> Exception:
    return bad_request(f"invalid options: {cause}")
