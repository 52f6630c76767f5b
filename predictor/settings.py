"""Settings of a predictor: all of them come from the environment, where the controller and the kubelet put them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from predictor.allowed import ALLOWED_SOURCES, Allowed, canonical
from predictor.batching.options import Batching
from predictor.batching.read import OPTIONS, read_batching
from predictor.loading.source import Source
from predictor.memory.amount import Budget
from predictor.storage import settings as storage
from torpor import settings as read
from torpor.errors import InvalidInputError, SettingError

PORT = "PORT"
GRPC_PORT = "TORPOR_PREDICTOR_GRPC_PORT"
HOST = "TORPOR_PREDICTOR_HOST"
MAX_BODY_BYTES = "TORPOR_PREDICTOR_MAX_BODY_BYTES"
THREADS = "TORPOR_PREDICTOR_THREADS"
GRACE_SECONDS = "TORPOR_PREDICTOR_GRACE_SECONDS"
INLINE = "TORPOR_PREDICTOR_INLINE"
MODEL_CONTROL = "TORPOR_PREDICTOR_MODEL_CONTROL"
LOAD_MODELS = "TORPOR_PREDICTOR_LOAD_MODELS"
MEMORY_BUDGET = "TORPOR_PREDICTOR_MEMORY_BUDGET"
CACHE_BYTES = "TORPOR_PREDICTOR_CACHE_BYTES"
PROCESSES = "TORPOR_PREDICTOR_PROCESSES"
CALL_TIMEOUT_SECONDS = "TORPOR_PREDICTOR_CALL_TIMEOUT_SECONDS"
GPU_MEMORY_BUDGET = "TORPOR_PREDICTOR_GPU_MEMORY_BUDGET"
ADMIN_HOST = "TORPOR_PREDICTOR_ADMIN_HOST"
ADMIN_PORT = "TORPOR_PREDICTOR_ADMIN_PORT"
ADMIN_TOKEN = "TORPOR_PREDICTOR_ADMIN_TOKEN"  # noqa: S105  # the variable's name

_BATCHING = tuple(option for option in OPTIONS if option != "padding")
"""Of these each has a variable; what is filled with what, only a model knows."""
LOOPBACK = "127.0.0.1"
MOST_BYTES = 2**60
MOST_PROCESSES = 256
DEFAULT_MAX_BODY_BYTES = 256 * 1024 * 1024
DEFAULT_GRACE_S = 300
TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes reads what a container says of its end."""


@dataclass(frozen=True, slots=True)
class Admin:
    """The listener on which models are managed."""

    host: str
    port: int
    token: str
    allowed: Allowed
    """Where models may be registered from."""


@dataclass(frozen=True, slots=True)
class Events:
    """What answers to CloudEvents are like: KServe's variables and defaults."""

    type: str = "io.kserve.inference.response"
    source: str = ""
    """Empty: io.kserve.inference.NAME."""
    merged: bool = False
    """Whether an answer has the attributes and extensions of the event that it answers."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    source: Source
    host: str = LOOPBACK
    port: int = 8080
    """HTTP/1.1, and gRPC beside it."""
    grpc_port: int = 0
    """gRPC alone; 0: nowhere."""
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    """Largest request body. As JSON it takes up to ten times as much memory; 16 MiB of float32 are 80 MiB of JSON."""
    threads: int = 2
    """Requests that are computed at a time; more wait in order of arrival."""
    is_inline: bool = True
    """Whether what has always been done at once is computed without a thread."""
    grace_s: int = DEFAULT_GRACE_S
    """How long requests in flight may take after SIGTERM. Knative's limit of one request: its kubelet kills then."""
    termination_log: Path | None = None
    """Where the reason of a failed load is left; None: nobody reads it."""
    is_controlled: bool = False
    """Whether who may ask the model may load and unload it too, by V2's model repository."""
    at_start: tuple[str, ...] | None = None
    """Of a repository with several models, those that are loaded when the pod starts; None: all of them."""
    budget: Budget = field(default_factory=Budget)
    """What all models together may take; those that are asked again are loaded again."""
    events: Events = field(default_factory=Events)
    admin: Admin | None = None
    """None: nobody manages models here."""
    pod_started_at: float | None = None
    """When the pod's process was started, in seconds since 1970, if somebody has noted it."""


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Return the settings in `environ`; raises SettingError naming the variable that is wrong."""
    started_at = environ.get("TORPOR_POD_STARTED_AT")
    source = _source(environ)
    return Settings(
        source=source,
        host=environ.get(HOST) or _default_host(environ),
        port=read.port(PORT, environ.get(PORT) or 8080),
        grpc_port=_integer(environ, GRPC_PORT, _default_grpc_port(environ), 0, 65535, ""),
        max_body_bytes=_integer(environ, MAX_BODY_BYTES, DEFAULT_MAX_BODY_BYTES, 1, 2**40, "bytes"),
        threads=_integer(environ, THREADS, max(_default_threads(), source.processes), 1, 1024, "threads"),
        is_inline=_one_of(environ, INLINE, ("auto", "never")) == "auto",
        grace_s=_integer(environ, GRACE_SECONDS, DEFAULT_GRACE_S, 0, 86_400, "seconds"),
        termination_log=termination_log(environ),
        is_controlled=_is_controlled(environ),
        at_start=_at_start(environ),
        budget=Budget(_bytes(environ, MEMORY_BUDGET), _bytes(environ, GPU_MEMORY_BUDGET)),
        events=_events(environ),
        admin=_admin(environ),
        pod_started_at=read.number("TORPOR_POD_STARTED_AT", started_at, minimum=0, maximum=1e11)
        if started_at
        else None,
    )


def _is_controlled(environ: Mapping[str, str]) -> bool:
    if environ.get(MODEL_CONTROL) == "poll":
        allowed = (
            "use none or explicit: a model that changes by itself is never the one that was tried; roll a revision out"
        )
        raise SettingError(MODEL_CONTROL, "poll", allowed)
    return _one_of(environ, MODEL_CONTROL, ("none", "explicit")) == "explicit"


def _at_start(environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return which models of a repository are loaded at the start: all, but by `explicit` those that are named."""
    named = tuple(filter(None, (each.strip() for each in environ.get(LOAD_MODELS, "").split(","))))
    if not _is_controlled(environ):
        if named:
            raise SettingError(
                LOAD_MODELS, environ[LOAD_MODELS], f"set {MODEL_CONTROL}=explicit too, else all are loaded"
            )
        return None
    return None if named == ("*",) else named


def termination_log(environ: Mapping[str, str]) -> Path | None:
    """Return where the reason of an end is left; None where nobody reads it."""
    named = environ.get("TORPOR_TERMINATION_LOG")
    if named:
        return Path(named)
    return TERMINATION_LOG if TERMINATION_LOG.exists() else None


def _source(environ: Mapping[str, str]) -> Source:
    allow_pickle = environ.get("TORPOR_ALLOW_PICKLE")
    processes = _integer(environ, PROCESSES, 0, 0, MOST_PROCESSES, "processes")
    return Source(
        name=_required(environ, "TORPOR_MODEL_NAME", "give the name that clients ask the model by"),
        format=_required(environ, "TORPOR_MODEL_FORMAT", "give the format of the model: huggingface, onnx, ..."),
        uri=storage_uri(environ),
        model_dir=_model_dir(environ),
        allow_pickle=read.flag("TORPOR_ALLOW_PICKLE", allow_pickle) if allow_pickle else False,
        storage=storage.read(environ),
        batching=_batching(environ),
        cache_bytes=_bytes(environ, CACHE_BYTES) or 0,
        processes=processes,
        call_timeout_s=_call_timeout_s(environ, processes),
    )


def _call_timeout_s(environ: Mapping[str, str], processes: int) -> float:
    raw = environ.get(CALL_TIMEOUT_SECONDS) or 0
    seconds = read.number(CALL_TIMEOUT_SECONDS, raw, minimum=0, maximum=86_400, unit="seconds")
    if seconds and not processes:
        raise SettingError(CALL_TIMEOUT_SECONDS, raw, f"set {PROCESSES} too: a process can be ended, a thread cannot")
    return seconds


def _batching(environ: Mapping[str, str]) -> Batching | None:
    given = {option: environ[key] for option in _BATCHING if (key := _batching_key(option)) in environ}
    try:
        return read_batching(given, _batching_key)
    except InvalidInputError as error:
        raise SettingError(error.field, error.value, error.allowed) from error


def _batching_key(option: str) -> str:
    return f"TORPOR_PREDICTOR_{option.upper()}"


def _admin(environ: Mapping[str, str]) -> Admin | None:
    port = _integer(environ, ADMIN_PORT, 0, 0, 65535, "")
    if not port:
        return None
    token = _required(environ, ADMIN_TOKEN, f"give the token that clients of {ADMIN_PORT} must send")
    prefixes = tuple(filter(None, (each.strip() for each in environ.get(ALLOWED_SOURCES, "").split(","))))
    try:
        allowed = Allowed(tuple(canonical(ALLOWED_SOURCES, each) for each in prefixes))
    except InvalidInputError as error:
        raise SettingError(ALLOWED_SOURCES, error.value, error.allowed) from error
    return Admin(environ.get(ADMIN_HOST) or LOOPBACK, port, token, allowed)


def _events(environ: Mapping[str, str]) -> Events:
    merge = environ.get("CE_MERGE")
    return Events(
        environ.get("CE_TYPE") or Events().type,
        environ.get("CE_SOURCE", ""),
        read.flag("CE_MERGE", merge) if merge else False,
    )


def _bytes(environ: Mapping[str, str], key: str) -> int | None:
    raw = environ.get(key)
    if not raw:
        return None
    from torpor.spec.quantity import parse_quantity  # noqa: PLC0415  # 5 ms, and few set it

    allowed = f"use a quantity from 1 to {MOST_BYTES} bytes, like 8Gi"
    try:
        count = parse_quantity(key, raw)
    except InvalidInputError as error:
        raise SettingError(key, raw, allowed) from error
    if not 1 <= count <= MOST_BYTES:
        raise SettingError(key, raw, allowed)
    return int(count)


def _one_of(environ: Mapping[str, str], key: str, allowed: tuple[str, ...]) -> str:
    """Return the value, or the first of those allowed where there is none."""
    value = environ.get(key) or allowed[0]
    if value not in allowed:
        raise SettingError(key, value, f"use {' or '.join(allowed)}")
    return value


def storage_uri(environ: Mapping[str, str]) -> str:
    return _required(environ, "STORAGE_URI", "give where the model lies: s3://…, pvc://…, file://…")


def _model_dir(environ: Mapping[str, str]) -> Path:
    """Return where a fetched model gets a folder of its own: with the pod's files, which go when the pod does."""
    named = (environ.get(name) for name in ("TORPOR_MODEL_DIR", "TORPOR_POD_DIR", "TMPDIR"))
    return Path(next(filter(None, named), "/tmp"))  # noqa: S108  # nothing is written into it but that folder


def _required(environ: Mapping[str, str], key: str, allowed: str) -> str:
    value = environ.get(key, "")
    if not value:
        raise SettingError(key, value, allowed)
    return value


def _integer(environ: Mapping[str, str], key: str, default: int, minimum: int, maximum: int, unit: str) -> int:
    return read.integer(key, environ.get(key) or default, minimum=minimum, maximum=maximum, unit=unit)


def _default_host(environ: Mapping[str, str]) -> str:
    """Return every address in a pod of a cluster, which has a network of its own, and loopback elsewhere."""
    return "0.0.0.0" if "KUBERNETES_SERVICE_HOST" in environ else LOOPBACK


def _default_grpc_port(environ: Mapping[str, str]) -> int:
    """Return KServe's in a pod of a cluster; elsewhere pods share their machine's ports."""
    return 8081 if "KUBERNETES_SERVICE_HOST" in environ else 0


def _default_threads() -> int:
    """Return the CPUs that we may use; two at least, so that one long request does not hold up all others."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(2, cpus)
