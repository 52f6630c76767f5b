"""The modules that handlers import from TorchServe, `ts` and below: ours, under its names."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from predictor.runtimes.mar import base_handler, context, image_classifier, metrics, toolbox

_SENDS = {"send_intermediate_predict_response": toolbox.send_intermediate_predict_response}
_NAMES: Mapping[str, Mapping[str, Any]] = {
    "ts": {},
    "ts.context": {"Context": context.Context, "RequestProcessor": context.RequestProcessor},
    "ts.handler_utils": {},
    "ts.handler_utils.timer": {"timed": toolbox.timed},
    "ts.handler_utils.utils": _SENDS,
    "ts.metrics": {},
    "ts.metrics.dimension": {"Dimension": metrics.Dimension},
    "ts.metrics.metric_type_enum": {"MetricTypes": metrics.MetricTypes},
    "ts.protocol": {},
    "ts.protocol.otf_message_handler": _SENDS,  # where it was before 0.10
    "ts.torch_handler": {},
    "ts.torch_handler.base_handler": {"BaseHandler": base_handler.BaseHandler},
    "ts.torch_handler.image_classifier": {"ImageClassifier": image_classifier.ImageClassifier},
    "ts.torch_handler.vision_handler": {"VisionHandler": image_classifier.VisionHandler},
    "ts.utils": {},
    "ts.utils.util": {
        "PredictionException": toolbox.PredictionException,
        "list_classes_from_module": toolbox.list_classes_from_module,
        "load_label_mapping": toolbox.load_label_mapping,
        "map_class_to_label": toolbox.map_class_to_label,
    },
}


def register() -> None:
    """Let handlers find them. An installed TorchServe's are not found any more: its contexts would be others."""
    for name, members in _NAMES.items():
        if getattr(sys.modules.get(name), "__torpor__", False):
            continue
        module = ModuleType(name, "What handlers for TorchServe import, as Torpor has it.")
        module.__dict__.update(members, __torpor__=True)
        if any(each.startswith(f"{name}.") for each in _NAMES):
            module.__path__ = []  # a package
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
