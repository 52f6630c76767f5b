"""Sounds to what is said in them: by CTC (wav2vec2) or by a decoder (Whisper)."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCTC, AutoModelForSpeechSeq2Seq, AutoProcessor

from predictor.model import Signature, TensorSpec
from predictor.runtimes import asked, blobs, loaded, sounds
from predictor.runtimes.pretrained import Plan
from predictor.runtimes.rewriter import MAX_NEW_TOKENS, bounds, defaults
from predictor.runtimes.tasked import Tasked
from torpor.errors import InvalidInputError
from torpor.protocol.tensors import Tensor

INPUT = "audio"
MAX_SECONDS = 60
"""Where the model has no limit: what it takes of memory grows with the square."""
SHORTEST_SECONDS = 0.1

Samples = NDArray[np.float32]


class Listener(Tasked[Samples, str]):
    """The parameter `max_new_tokens` bounds what a decoder says.

    A decoder says the likeliest token each time; the library's pipeline looks along five beams, at five times the work.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._processor = loaded.part(folder, plan, AutoProcessor)
        self._generates = not plan.architecture.endswith("ForCTC")
        kind = AutoModelForSpeechSeq2Seq if self._generates else AutoModelForCTC
        self._model = loaded.model(folder, plan, kind)
        extractor = self._processor.feature_extractor
        self._rate = int(extractor.sampling_rate)
        # What is longer would be cut off without a word.
        self._max_seconds = float(getattr(extractor, "chunk_length", None) or MAX_SECONDS)
        self._new_tokens = MAX_NEW_TOKENS
        if self._generates:
            positions = getattr(self._model.config, "max_target_positions", None) or MAX_NEW_TOKENS
            self._most = max(1, min(MAX_NEW_TOKENS, positions - 8))  # the first say language and task
            self._new_tokens = min(self._most, defaults(self._model.generation_config)[0])
        self._lock = threading.Lock()

    @property
    def signature(self) -> Signature:
        return Signature(
            "transformers_safetensors", (TensorSpec(INPUT, "BYTES", (-1,)),), (TensorSpec("text", "BYTES", (-1,)),)
        )

    def from_instances(self, instances: Sequence[Any]) -> list[Samples]:
        return [self._instance(f"instances[{index}]", each) for index, each in enumerate(instances)]

    def from_tensors(self, inputs: Sequence[Tensor]) -> list[Samples]:
        """Read WAV files, or samples at the model's rate: FP32, shape [samples] or [n, samples]."""
        (given,) = blobs.named(inputs, INPUT)
        if given.datatype == "FP32":
            if given.array.ndim not in {1, 2}:
                allowed = "this model takes samples of shape [samples] or [n, samples]"
                raise InvalidInputError(f"{INPUT}.shape", list(given.shape), allowed)
            rows = given.array.reshape(-1, given.shape[-1]) if given.array.size else given.array.reshape(1, 0)
            return [self._bounded(f"{INPUT}[{index}]", each) for index, each in enumerate(rows)]
        files = blobs.from_tensor(inputs, INPUT, (sounds.START,))
        return [self._file(f"{INPUT}[{index}]", each) for index, each in enumerate(files)]

    def compute(self, given: Sequence[Samples], parameters: Mapping[str, Any]) -> list[str]:
        new_tokens = self._new_tokens
        if self._generates:
            new_tokens = asked.whole(parameters, "max_new_tokens", self._new_tokens, self._most)
        # One by one: what fills up a batch changes what some of these models hear.
        return [self._heard(each, new_tokens) for each in given]

    def to_predictions(self, answers: Sequence[str]) -> list[Any]:
        return [{"text": each} for each in answers]

    def to_tensors(self, answers: Sequence[str]) -> tuple[Tensor, ...]:
        return (Tensor("text", np.array(answers, object)),)

    def warm(self) -> None:
        self._heard(np.zeros(self._rate, np.float32), 1)

    def _instance(self, field: str, given: Any) -> Samples:
        if not isinstance(given, list):
            return self._file(field, blobs.from_instance(field, given))
        if not all(type(each) in {int, float} for each in given):
            raise InvalidInputError(field, given, f"samples are numbers, {self._rate} for each second")
        return self._bounded(field, np.array(given, np.float32))

    def _file(self, field: str, raw: bytes) -> Samples:
        samples, rate = sounds.read(field, raw)
        self._check(field, len(samples) / rate)
        return sounds.resampled(samples, rate, self._rate)

    def _bounded(self, field: str, samples: Samples) -> Samples:
        self._check(field, len(samples) / self._rate)
        if not np.isfinite(samples).all():
            raise InvalidInputError(field, "NaN or infinity", "samples are finite numbers, mostly from -1 to 1")
        return samples

    def _check(self, field: str, seconds: float) -> None:
        if not SHORTEST_SECONDS <= seconds <= self._max_seconds:
            allowed = f"this model takes {SHORTEST_SECONDS} to {self._max_seconds:g} s of sound"
            raise InvalidInputError(field, f"{seconds:.3g} s", allowed)

    def _heard(self, samples: Samples, new_tokens: int) -> str:
        features = self._processor.feature_extractor(samples, sampling_rate=self._rate, return_tensors="pt")
        with self._lock, torch.inference_mode():
            if self._generates:
                ids = self._model.generate(**features, **bounds(new_tokens))
            else:
                ids = self._model(**features).logits.argmax(dim=-1)
        tokenizer = self._processor.tokenizer
        heard: str = tokenizer.decode(ids[0], skip_special_tokens=True) if self._generates else tokenizer.decode(ids[0])
        return heard
