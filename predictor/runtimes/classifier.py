"""Texts to labels with scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from predictor.model import Signature, TensorSpec
from predictor.runtimes import texts as text
from predictor.runtimes.encoder import AutoEncoder
from predictor.runtimes.pretrained import Plan
from torpor.protocol.tensors import Tensor

BATCH = 32


class Classifier:
    """Fits `Model`. The score is a probability; of a model with one output (a regression, a rank) it is that output."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._encoder = AutoEncoder(folder, plan, AutoModelForSequenceClassification)
        labels: dict[int, str] = self._encoder.config.id2label
        self._labels = np.array([labels[each] for each in sorted(labels)], dtype=object)
        self._several = self._encoder.config.problem_type == "multi_label_classification"

    @property
    def signature(self) -> Signature:
        return Signature(
            "transformers_safetensors",
            (TensorSpec(text.INPUT, "BYTES", (-1,)),),
            (TensorSpec("label", "BYTES", (-1,)), TensorSpec("score", "FP32", (-1,))),
        )

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        best, scores = self._classify(text.from_instances(instances))
        return [
            {"label": label, "score": score}
            for label, score in zip(self._labels[best].tolist(), scores.tolist(), strict=True)
        ]

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        best, scores = self._classify(text.from_tensors(inputs))
        return Tensor("label", self._labels[best]), Tensor("score", scores)

    def warm(self) -> None:
        self._classify(["warm"])

    def close(self) -> None:
        """Nothing: the weights go with the object."""

    def _classify(self, given: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return, for each text, which label is the likeliest, and how likely."""
        best = np.empty(len(given), np.int64)
        scores = np.empty(len(given), np.float32)
        for batch in text.batches(given, BATCH):
            output, _ = self._encoder.run([given[each] for each in batch])
            likely = self._likely(output.logits.float()).numpy()
            best[batch] = likely.argmax(axis=1)
            scores[batch] = likely.max(axis=1)
        return best, scores

    @torch.inference_mode()
    def _likely(self, logits: torch.Tensor) -> torch.Tensor:
        if logits.shape[1] == 1:
            return logits
        return logits.sigmoid() if self._several else logits.softmax(dim=1)
