"""What KServe's validation webhook says about an InferenceService."""

from __future__ import annotations

import re
from typing import Any

from torpor.local.apiserver.status import ApiError, denied
from torpor.spec.kinds import Object

WEBHOOK = "inferenceservice.kserve-webhook-server.validator"
NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"
FRAMEWORKS = (
    "huggingface",
    "lightgbm",
    "onnx",
    "paddle",
    "pmml",
    "pytorch",
    "sklearn",
    "tensorflow",
    "triton",
    "xgboost",
)


def admit_inference_service(new: Object, old: Object | None) -> None:
    metadata, spec = new["metadata"], new.get("spec") or {}
    if metadata.get("deletionTimestamp") or (old is not None and spec == old.get("spec")):
        return
    name = metadata["name"]
    if not re.fullmatch(NAME, name):
        raise _denied(
            f'the InferenceService "{name}" is invalid: a InferenceService name must consist of lower case '
            "alphanumeric characters or '-', and must start with alphabetical character. (e.g. \"my-name\" or "
            f"\"abc-123\", regex used for validation is '{NAME}')"
        )
    _predictor(spec.get("predictor") or {})
    for component in ("predictor", "transformer", "explainer"):
        if component in spec:
            _component(spec[component], component)


def _predictor(predictor: Any) -> None:
    given = [name for name in ("model", *FRAMEWORKS) if name in predictor]
    if predictor.get("containers") and not given:
        return
    if not given:
        raise _denied(
            "Exactly one of [Custom, ONNX, Model, SKLearn, Triton, XGBoost, ...] must be specified in "
            "PredictorSpec: spec.predictor has none of model, containers, " + ", ".join(FRAMEWORKS)
        )
    if len(given) > 1:
        raise _denied(f"Exactly one of them must be specified in PredictorSpec: {', '.join(given)}")


def _component(component: Any, name: str) -> None:
    smallest, largest = component.get("minReplicas"), component.get("maxReplicas") or 0
    if (smallest or 0) < 0:
        raise _denied(f"MinReplicas cannot be less than 0: spec.{name}.minReplicas is {smallest}")
    if largest < 0:
        raise _denied(f"MaxReplicas cannot be less than 0: spec.{name}.maxReplicas is {largest}")
    if largest and smallest is not None and smallest > largest:
        text = f"MinReplicas cannot be greater than MaxReplicas: spec.{name} has {smallest} and {largest}"
        raise _denied(text)
    if (component.get("containerConcurrency") or 0) < 0:
        text = "ContainerConcurrency cannot be less than 0"
        raise _denied(f"{text}: spec.{name}.containerConcurrency is {component['containerConcurrency']}")
    percent = component.get("canaryTrafficPercent")
    if percent is not None and not 0 <= percent <= 100:
        text = f"spec.{name}.canaryTrafficPercent is {percent}; use a whole number from 0 to 100"
        raise _denied(text)


def _denied(message: str) -> ApiError:
    return denied(WEBHOOK, message)
