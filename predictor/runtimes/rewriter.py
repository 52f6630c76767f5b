"""Texts to texts, by an encoder and a decoder: summaries, translations."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from predictor.model import Signature, TensorSpec
from predictor.runtimes import asked, loaded
from predictor.runtimes import texts as text
from predictor.runtimes.encoder import limit
from predictor.runtimes.pretrained import Plan
from predictor.runtimes.tasked import Tasked
from torpor.protocol.tensors import Tensor

BATCH = 8
NEW_TOKENS, MAX_NEW_TOKENS = 128, 1024
MAX_BEAMS = 8


class Rewriter(Tasked[str, str]):
    """The parameters `max_new_tokens` and `num_beams` bound the work; without them generation_config.json does."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._tokenizer = loaded.part(folder, plan, AutoTokenizer)
        self._model = loaded.model(folder, plan, AutoModelForSeq2SeqLM)
        self._max_length = limit(self._tokenizer, self._model.config)
        self._new_tokens, self._beams = defaults(self._model.generation_config)
        self._lock = threading.Lock()

    @property
    def signature(self) -> Signature:
        given, found = TensorSpec(text.INPUT, "BYTES", (-1,)), TensorSpec("generated_text", "BYTES", (-1,))
        return Signature("transformers_safetensors", (given,), (found,))

    def from_instances(self, instances: Sequence[Any]) -> list[str]:
        return text.from_instances(instances)

    def from_tensors(self, inputs: Sequence[Tensor]) -> list[str]:
        return text.from_tensors(inputs)

    def compute(self, given: Sequence[str], parameters: Mapping[str, Any]) -> list[str]:
        new_tokens = asked.whole(parameters, "max_new_tokens", self._new_tokens, MAX_NEW_TOKENS)
        beams = asked.whole(parameters, "num_beams", self._beams, MAX_BEAMS)
        answers = [""] * len(given)
        for batch in text.batches(given, BATCH):
            found = self._rewritten([given[each] for each in batch], new_tokens, beams)
            for place, each in zip(batch, found, strict=True):
                answers[place] = each
        return answers

    def to_predictions(self, answers: Sequence[str]) -> list[Any]:
        return [{"generated_text": each} for each in answers]

    def to_tensors(self, answers: Sequence[str]) -> tuple[Tensor, ...]:
        return (Tensor("generated_text", np.array(answers, object)),)

    def warm(self) -> None:
        self._rewritten(["warm"], 2, 1)

    def _rewritten(self, given: list[str], new_tokens: int, beams: int) -> list[str]:
        tokens = self._tokenizer(given, padding=True, truncation=True, max_length=self._max_length, return_tensors="pt")
        tokens.pop("token_type_ids", None)
        with self._lock, torch.inference_mode():
            ids = self._model.generate(**tokens, **bounds(new_tokens), num_beams=beams)
        texts: list[str] = self._tokenizer.batch_decode(ids, skip_special_tokens=True)
        return texts


def defaults(config: Any) -> tuple[int, int]:
    """Return how many tokens and beams the model's own generation_config.json asks for, within what is allowed."""
    new_tokens = config.max_new_tokens or config.max_length or NEW_TOKENS
    return max(1, min(new_tokens, MAX_NEW_TOKENS)), max(1, min(config.num_beams or 1, MAX_BEAMS))


def bounds(new_tokens: int) -> dict[str, Any]:
    """Return what keeps a model to that many tokens: a length of its own would win over, or warn of, ours."""
    return {"max_new_tokens": new_tokens, "max_length": None, "min_length": 0, "do_sample": False}
