"""Every metric Torpor exports, declared once: prefix `torpor_`, base units, few labels.

Declared here and set elsewhere, so that the list can be read, and so that no two places invent one name.
"""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()

# The autoscaler: one series per revision that is not asleep. Loads are in the unit of the revision's metric.
_REVISION = ("namespace", "revision")
AUTOSCALER_DESIRED_PODS = Gauge(
    "torpor_autoscaler_desired_pods", "Pods the autoscaler wants.", _REVISION, registry=REGISTRY
)
AUTOSCALER_READY_PODS = Gauge("torpor_autoscaler_ready_pods", "Pods that are ready.", _REVISION, registry=REGISTRY)
AUTOSCALER_STABLE_LOAD = Gauge(
    "torpor_autoscaler_stable_load", "Load over the stable window.", _REVISION, registry=REGISTRY
)
AUTOSCALER_PANIC_LOAD = Gauge(
    "torpor_autoscaler_panic_load", "Load over the panic window.", _REVISION, registry=REGISTRY
)
AUTOSCALER_TARGET_LOAD = Gauge(
    "torpor_autoscaler_target_load", "Load per pod the autoscaler aims at.", _REVISION, registry=REGISTRY
)
AUTOSCALER_PANIC_MODE = Gauge(
    "torpor_autoscaler_panic_mode", "1 while in panic, when pods are only added.", _REVISION, registry=REGISTRY
)
AUTOSCALER_DECISIONS = Counter(
    "torpor_autoscaler_decisions_total",
    "Decisions, by the rule that had the last word.",
    ("reason",),
    registry=REGISTRY,
)
AUTOSCALER_TICK_SECONDS = Gauge(
    "torpor_autoscaler_tick_seconds", "How long the last look at all revisions took.", registry=REGISTRY
)
ACTIVATOR_PEERS = Gauge("torpor_activator_peers", "Activators that are there, this one included.", registry=REGISTRY)
ACTIVATOR_PEERS_SILENT = Gauge(
    "torpor_activator_peers_silent",
    "Of the others, those whose counts are missing: meanwhile nothing is scaled down. The leader knows.",
    registry=REGISTRY,
)
ACTIVATOR_LEADS = Gauge("torpor_activator_leads", "1 where this activator decides about scale.", registry=REGISTRY)
ACTIVATOR_COUNTS_LOST = Counter(
    "torpor_activator_counts_unsent", "Messages that the leader did not take; they are sent again.", registry=REGISTRY
)


class Family(NamedTuple):
    """A metric whose numbers are plain integers of a hot path, shown by a collector when somebody asks."""

    name: str
    help: str
    labels: tuple[str, ...]


# The activator. A request that reached no revision (unknown host, no HTTP) has empty namespace and revision.
ACTIVATOR_REQUESTS = Family(
    "torpor_activator_requests", "Requests answered, by first digit of the status.", (*_REVISION, "code_class")
)
ACTIVATOR_ACCESS = Family(
    "torpor_activator_access",
    "Requests to services with an access policy, by what became of them at the door.",
    ("namespace", "route", "result"),
)
ACTIVATOR_IN_FLIGHT = Family("torpor_activator_requests_in_flight", "Requests that pods are serving.", _REVISION)
ACTIVATOR_QUEUED = Family("torpor_activator_requests_queued", "Requests that wait for a pod.", _REVISION)
ACTIVATOR_DURATION_SECONDS = Family(
    "torpor_activator_request_duration_seconds", "From arrival to the last byte of the answer.", _REVISION
)
ACTIVATOR_QUEUE_WAIT_SECONDS = Family(
    "torpor_activator_queue_wait_seconds", "Time in the queue, of the requests that had to wait.", _REVISION
)
ACTIVATOR_UPSTREAM_ERRORS = Family(
    "torpor_activator_upstream_errors", "Requests that failed at the pod they were sent to.", _REVISION
)
ACTIVATOR_RETRIES = Family(
    "torpor_activator_retries", "Requests offered again, because a pod refused the connection.", _REVISION
)
ACTIVATOR_CLIENT_DISCONNECTS = Family(
    "torpor_activator_client_disconnects", "Clients that left before their answer was complete.", _REVISION
)
ACTIVATOR_MIRRORED = Family(
    "torpor_activator_mirrored",
    "Copies of requests for this revision, by how they ended; what was not sent says why.",
    (*_REVISION, "result"),
)
ACTIVATOR_QUEUED_BYTES = Family(
    "torpor_activator_queued_bytes", "Kept for requests that wait for a pod: heads, and what came of bodies.", _REVISION
)
ACTIVATOR_DEFERRED = Family(
    "torpor_activator_deferred_requests", "Requests whose clients come back for the answer, until it is forgotten.", ()
)
ACTIVATOR_DEFERRED_BYTES = Family("torpor_activator_deferred_bytes", "Kept for requests like these.", ())
ACTIVATOR_CONNECTIONS = Family("torpor_activator_connections", "Open client connections.", ())
ACTIVATOR_COLD_START_SECONDS = Histogram(
    "torpor_activator_cold_start_seconds",
    "Cold starts by stage: queue and first-byte of each request that met no pod, start and load of each pod it woke.",
    ("stage",),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
    registry=REGISTRY,
)

# The predictor. Its process has one model, so the scrape's own labels say which pod it is.
PREDICTOR_REQUESTS = Family(
    "torpor_predictor_requests",
    "Requests for inference answered, by first digit of the status.",
    ("model", "protocol", "code_class"),
)
PREDICTOR_IN_FLIGHT = Family(
    "torpor_predictor_requests_in_flight", "Requests for inference being read, computed or answered.", ("model",)
)
PREDICTOR_DURATION_SECONDS = Family(
    "torpor_predictor_request_duration_seconds",
    "From the head of a request for inference to its answer.",
    ("model", "protocol"),
)
PREDICTOR_LOAD_STAGE_SECONDS = Family(
    "torpor_predictor_load_stage_seconds", "How long each stage of the model's load took.", ("model", "stage")
)
PREDICTOR_LOAD_STAGE_BYTES = Family(
    "torpor_predictor_load_stage_bytes", "Bytes that each stage of the model's load has fetched.", ("model", "stage")
)
PREDICTOR_QUEUE_WAIT_SECONDS = Family(
    "torpor_predictor_queue_wait_seconds",
    "How long a request waits for a thread: on average lately, or as long as the first in line already has.",
    ("model",),
)
PREDICTOR_TOKENS_IN_FLIGHT = Family(
    "torpor_predictor_tokens_in_flight", "Tokens that the model is at work on, where it says so.", ("model",)
)
_VERSION = ("model", "version")
PREDICTOR_MODEL_REQUESTS = Family("torpor_predictor_model_requests", "Requests that a model has answered.", _VERSION)
PREDICTOR_MODEL_FAILURES = Family(
    "torpor_predictor_model_failures",
    "Requests that were not answered: REJECTED by a limit, CANCELED by the client, BACKEND: the model failed.",
    (*_VERSION, "reason"),
)
PREDICTOR_MODEL_INFERENCES = Family("torpor_predictor_model_inferences", "Rows that a model has answered.", _VERSION)
PREDICTOR_MODEL_EXECUTIONS = Family(
    "torpor_predictor_model_executions", "Executions of a model, each for one request or more.", _VERSION
)
PREDICTOR_MODEL_WAITING = Family(
    "torpor_predictor_model_waiting", "Requests that wait for an execution of the model.", _VERSION
)
PREDICTOR_MODEL_MEMORY_BYTES = Family(
    "torpor_predictor_model_memory_bytes",
    "What the model takes of the machine's memory (host) and the accelerator's (gpu); 0 while it is not here.",
    (*_VERSION, "kind"),
)
PREDICTOR_MODEL_LOADS = Family("torpor_predictor_model_loads", "How often the model was loaded.", _VERSION)
PREDICTOR_MODEL_LOAD_SECONDS = Family(
    "torpor_predictor_model_load_seconds", "Time of these loads together, the wait for room included.", _VERSION
)
PREDICTOR_MODEL_EVICTIONS = Family(
    "torpor_predictor_model_evictions", "How often the model made room for another one.", _VERSION
)
PREDICTOR_MODEL_PROCESSES = Family(
    "torpor_predictor_model_processes", "Processes of the model's own that can compute; 0 where it has none.", _VERSION
)
PREDICTOR_MODEL_RESTARTS = Family(
    "torpor_predictor_model_restarts",
    "Processes of the model that have ended and are started again: crash, timeout of a call, start that failed.",
    (*_VERSION, "reason"),
)
PREDICTOR_MODEL_SECONDS = Family(
    "torpor_predictor_model_seconds",
    "Where the time of answered requests went: queue, input, infer, output, and all of it as request.",
    (*_VERSION, "part"),
)
PREDICTOR_MODEL_BATCH_ROWS = Family("torpor_predictor_model_batch_rows", "Rows of each execution.", _VERSION)
PREDICTOR_MODEL_CACHE_HITS = Family(
    "torpor_predictor_model_cache_hits", "Requests whose answers had been kept.", _VERSION
)
PREDICTOR_MODEL_CACHE_MISSES = Family(
    "torpor_predictor_model_cache_misses", "Requests whose answers are looked for and had not been kept.", _VERSION
)
# Triton's names, for dashboards that exist; durations are in microseconds there.
TRITON_SUCCESS = Family("nv_inference_request_success", "Requests that a model has answered.", _VERSION)
TRITON_FAILURE = Family("nv_inference_request_failure", "Requests that were not answered.", (*_VERSION, "reason"))
TRITON_COUNT = Family("nv_inference_count", "Rows that a model has answered.", _VERSION)
TRITON_EXECUTIONS = Family("nv_inference_exec_count", "Executions of a model.", _VERSION)
TRITON_CACHE_HITS = Family("nv_cache_num_hits_per_model", "Requests whose answers had been kept.", _VERSION)
TRITON_CACHE_MISSES = Family("nv_cache_num_misses_per_model", "Requests whose answers had not.", _VERSION)
TRITON_PENDING = Family("nv_inference_pending_request_count", "Requests that wait for an execution.", _VERSION)
TRITON_PARTS = {
    part: Family(f"nv_inference_{name}_duration_us", f"Time of answered requests: {part}.", _VERSION)
    for part, name in (
        ("request", "request"),
        ("queue", "queue"),
        ("input", "compute_input"),
        ("infer", "compute_infer"),
        ("output", "compute_output"),
    )
}
PREDICTOR_READY = Family("torpor_predictor_ready", "1 while the model answers.", ("model",))


def exposition() -> tuple[bytes, str]:
    """Return (body, content type) for `/metrics`."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
