"""The environment is read at the door."""

from __future__ import annotations

from pathlib import Path

import pytest

from predictor.memory.amount import Budget
from predictor.settings import from_environment
from torpor.errors import SettingError

LEAST = {"TORPOR_MODEL_NAME": "m", "TORPOR_MODEL_FORMAT": "python", "STORAGE_URI": "pvc://models/m"}


def test_little_is_needed() -> None:
    """A name, a format and a place; the rest has defaults, and nobody but this machine is let in."""
    settings = from_environment(LEAST)
    assert (settings.source.name, settings.source.format, settings.source.uri) == ("m", "python", "pvc://models/m")
    assert (settings.host, settings.port, settings.source.allow_pickle) == ("127.0.0.1", 8080, False)
    assert settings.threads >= 2
    assert settings.pod_started_at is None
    assert not settings.budget.is_limited


def test_everything_can_be_set() -> None:
    """By the controller, the kubelet, and the owner of the model."""
    settings = from_environment(
        LEAST
        | {
            "PORT": "9000",
            "TORPOR_PREDICTOR_HOST": "::",
            "TORPOR_PREDICTOR_MAX_BODY_BYTES": "1000",
            "TORPOR_PREDICTOR_THREADS": "7",
            "TORPOR_PREDICTOR_GRACE_SECONDS": "0",
            "TORPOR_TERMINATION_LOG": "/somewhere/message",
            "TORPOR_POD_STARTED_AT": "1800000000.25",
            "TORPOR_ALLOW_PICKLE": "true",
            "TORPOR_MODEL_DIR": "/models",
            "TORPOR_PVC_ROOT": "/volumes",
            "TORPOR_PREDICTOR_MEMORY_BUDGET": "1.5Gi",
            "TORPOR_PREDICTOR_GPU_MEMORY_BUDGET": "80e9",
            "TORPOR_PREDICTOR_PROCESSES": "3",
            "TORPOR_PREDICTOR_CALL_TIMEOUT_SECONDS": "2.5",
        }
    )
    assert (settings.host, settings.port) == ("::", 9000)
    assert (settings.max_body_bytes, settings.threads, settings.grace_s) == (1000, 7, 0)
    assert (settings.termination_log, settings.pod_started_at) == (Path("/somewhere/message"), 1800000000.25)
    assert (settings.source.allow_pickle, settings.source.model_dir) == (True, Path("/models"))
    assert settings.source.storage.pvc_root == Path("/volumes")
    assert settings.budget == Budget(3 * 2**29, 80 * 10**9)
    assert (settings.source.processes, settings.source.call_timeout_s) == (3, 2.5)


def test_in_a_cluster_every_address_is_listened_on() -> None:
    """A pod of a cluster has a network of its own; requests come from other machines."""
    assert from_environment(LEAST | {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}).host == "0.0.0.0"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"TORPOR_MODEL_NAME": ""}, "TORPOR_MODEL_NAME: '' is not allowed; give the name", id="no name"),
        pytest.param({"TORPOR_MODEL_FORMAT": ""}, "TORPOR_MODEL_FORMAT: .*huggingface", id="no format"),
        pytest.param({"STORAGE_URI": ""}, "STORAGE_URI: .*s3://", id="no place"),
        pytest.param({"PORT": "http"}, "PORT: 'http' .* 0 to 65535", id="a port that is none"),
        pytest.param(
            {"TORPOR_PREDICTOR_MEMORY_BUDGET": "8 GB"},
            "TORPOR_PREDICTOR_MEMORY_BUDGET: '8 GB' .* a quantity from 1 to",
            id="no quantity",
        ),
        pytest.param(
            {"TORPOR_PREDICTOR_GPU_MEMORY_BUDGET": "0"}, "GPU_MEMORY_BUDGET: '0' .* like 8Gi", id="no memory at all"
        ),
        pytest.param({"TORPOR_PREDICTOR_THREADS": "0"}, "TORPOR_PREDICTOR_THREADS: '0' .* 1 to 1024", id="no threads"),
        pytest.param(
            {"TORPOR_PREDICTOR_PROCESSES": "-1"}, "PROCESSES: '-1' .* 0 to 256 processes", id="less than none"
        ),
        pytest.param(
            {"TORPOR_PREDICTOR_CALL_TIMEOUT_SECONDS": "5"},
            "CALL_TIMEOUT_SECONDS: '5' .* set TORPOR_PREDICTOR_PROCESSES too: .* a thread cannot",
            id="a thread that cannot be stopped",
        ),
        pytest.param({"TORPOR_PREDICTOR_MAX_BODY_BYTES": "1GiB"}, "TORPOR_PREDICTOR_MAX_BODY_BYTES: '1GiB'", id="unit"),
        pytest.param({"TORPOR_ALLOW_PICKLE": "maybe"}, "TORPOR_ALLOW_PICKLE: 'maybe' .* true or false", id="maybe"),
        pytest.param({"TORPOR_POD_STARTED_AT": "now"}, "TORPOR_POD_STARTED_AT: 'now'", id="a time that is none"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, str], says: str) -> None:
    """Variable, value and what is allowed."""
    with pytest.raises(SettingError, match=says):
        from_environment(LEAST | changes)


def test_each_process_may_be_asked_at_once() -> None:
    """For it is a thread that waits for it."""
    assert from_environment(LEAST | {"TORPOR_PREDICTOR_PROCESSES": "100"}).threads == 100
