"""Pictures to labels with scores. As the library's pipeline answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModelForImageClassification

from predictor.model import Signature, TensorSpec
from predictor.runtimes import asked, blobs, loaded, pictures
from predictor.runtimes.pretrained import Plan
from predictor.runtimes.tasked import Tasked
from torpor.protocol.tensors import Tensor

BATCH = 8
TOP_K = 5
INPUT = "image"

Labels = list[dict[str, Any]]
"""The likeliest first."""


class PictureClassifier(Tasked[Any, Labels]):
    """The parameter `top_k` says how many labels there are for each picture."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._processor = loaded.part(folder, plan, AutoImageProcessor)
        self._model = loaded.model(folder, plan, AutoModelForImageClassification)
        labels: dict[int, str] = self._model.config.id2label
        self._labels = [labels[each] for each in sorted(labels)]
        self._lock = threading.Lock()

    @property
    def signature(self) -> Signature:
        outputs = (TensorSpec("label", "BYTES", (-1, -1)), TensorSpec("score", "FP32", (-1, -1)))
        return Signature("transformers_safetensors", (TensorSpec(INPUT, "BYTES", (-1,)),), outputs)

    def from_instances(self, instances: Sequence[Any]) -> list[Any]:
        fields = [f"instances[{index}]" for index in range(len(instances))]
        return [
            pictures.opened(field, blobs.from_instance(field, each))
            for field, each in zip(fields, instances, strict=True)
        ]

    def from_tensors(self, inputs: Sequence[Tensor]) -> list[Any]:
        files = blobs.from_tensor(inputs, INPUT, pictures.STARTS)
        return [pictures.opened(f"{INPUT}[{index}]", each) for index, each in enumerate(files)]

    def compute(self, given: Sequence[Any], parameters: Mapping[str, Any]) -> list[Labels]:
        count = len(self._labels)
        top_k = asked.whole(parameters, "top_k", min(TOP_K, count), count)
        answers: list[Labels] = []
        for start in range(0, len(given), BATCH):
            best = self._likely(list(given[start : start + BATCH])).topk(top_k)
            for scores, places in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                pairs = zip(places, scores, strict=True)
                answers.append([{"label": self._labels[place], "score": score} for place, score in pairs])
        return answers

    def to_predictions(self, answers: Sequence[Labels]) -> list[Any]:
        return list(answers)

    def to_tensors(self, answers: Sequence[Labels]) -> tuple[Tensor, ...]:
        shape = (len(answers), len(answers[0]) if answers else 0)
        flat = [each for answer in answers for each in answer]
        return (
            Tensor("label", np.array([each["label"] for each in flat], object).reshape(shape)),
            Tensor("score", np.array([each["score"] for each in flat], np.float32).reshape(shape)),
        )

    def warm(self) -> None:
        from PIL import Image

        self._likely([Image.new("RGB", (64, 64))])

    def _likely(self, given: list[Any]) -> torch.Tensor:
        pixels = self._processor(given, return_tensors="pt")
        with self._lock, torch.inference_mode():
            logits: torch.Tensor = self._model(**pixels).logits.float()
        kind = self._model.config.problem_type
        if kind == "regression":
            return logits
        if kind == "multi_label_classification" or len(self._labels) == 1:
            return logits.sigmoid()
        return logits.softmax(dim=1)
