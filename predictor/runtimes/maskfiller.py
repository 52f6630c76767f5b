"""Texts with a gap to what may fill it. As the library's pipeline answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from predictor.model import Signature, TensorSpec
from predictor.runtimes import asked, loaded
from predictor.runtimes import texts as text
from predictor.runtimes.encoder import limit
from predictor.runtimes.pretrained import Plan
from predictor.runtimes.tasked import Tasked
from torpor.errors import InvalidInputError, LoadError
from torpor.protocol.tensors import Tensor

BATCH = 16
TOP_K, MAX_TOP_K = 5, 100

Gap = list[dict[str, Any]]
"""What may fill it, the likeliest first."""


class MaskFiller(Tasked[str, list[Gap]]):
    """The parameter `top_k` says how many answers there are for each gap."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._tokenizer = loaded.part(folder, plan, AutoTokenizer)
        if self._tokenizer.mask_token_id is None:
            raise LoadError("open", f"{plan.architecture}: its tokenizer has no mask, which {plan.task} needs")
        self._model = loaded.model(folder, plan, AutoModelForMaskedLM)
        self._max_length = limit(self._tokenizer, self._model.config)
        self._lock = threading.Lock()

    @property
    def signature(self) -> Signature:
        outputs = (
            TensorSpec("token", "BYTES", (-1, -1)),
            TensorSpec("score", "FP32", (-1, -1)),
            TensorSpec("sequence", "BYTES", (-1, -1)),
        )
        return Signature("transformers_safetensors", (TensorSpec(text.INPUT, "BYTES", (-1,)),), outputs)

    def from_instances(self, instances: Sequence[Any]) -> list[str]:
        return self._with_gaps("instances", text.from_instances(instances))

    def from_tensors(self, inputs: Sequence[Tensor]) -> list[str]:
        given = self._with_gaps(text.INPUT, text.from_tensors(inputs))
        mask = self._tokenizer.mask_token
        for index, each in enumerate(given):
            if each.count(mask) > 1:
                raise InvalidInputError(f"{text.INPUT}[{index}]", each, f"by V2 a text has one {mask}; or use V1")
        return given

    def compute(self, given: Sequence[str], parameters: Mapping[str, Any]) -> list[list[Gap]]:
        top_k = asked.whole(parameters, "top_k", TOP_K, min(MAX_TOP_K, self._model.config.vocab_size))
        answers: list[list[Gap]] = [[] for _ in given]
        for batch in text.batches(given, BATCH):
            for place, gaps in zip(batch, self._fill([given[each] for each in batch], top_k), strict=True):
                if not gaps:
                    allowed = (
                        f"this model reads {self._max_length} tokens, and no {self._tokenizer.mask_token} is there"
                    )
                    raise InvalidInputError(f"texts[{place}]", given[place], allowed)
                answers[place] = gaps
        return answers

    def to_predictions(self, answers: Sequence[list[Gap]]) -> list[Any]:
        """Give for a text with one gap its answers, and for one with several a list for each."""
        return [each[0] if len(each) == 1 else each for each in answers]

    def to_tensors(self, answers: Sequence[list[Gap]]) -> tuple[Tensor, ...]:
        gaps = [each[0] for each in answers]
        shape = (len(gaps), len(gaps[0]) if gaps else 0)
        flat = [each for gap in gaps for each in gap]
        return (
            Tensor("token", np.array([each["token_str"] for each in flat], object).reshape(shape)),
            Tensor("score", np.array([each["score"] for each in flat], np.float32).reshape(shape)),
            Tensor("sequence", np.array([each["sequence"] for each in flat], object).reshape(shape)),
        )

    def warm(self) -> None:
        self._fill([self._tokenizer.mask_token], 1)

    def _with_gaps(self, field: str, given: list[str]) -> list[str]:
        mask = self._tokenizer.mask_token
        for index, each in enumerate(given):
            if mask not in each:
                raise InvalidInputError(f"{field}[{index}]", each, f"a text with {mask} in it is needed")
        return given

    def _fill(self, given: list[str], top_k: int) -> list[list[Gap]]:
        tokens = self._tokenizer(given, padding=True, truncation=True, max_length=self._max_length, return_tensors="pt")
        with self._lock, torch.inference_mode():
            logits = self._model(**tokens).logits
        return [
            self._gaps(ids[real.bool()], scores[real.bool()], top_k)
            for ids, real, scores in zip(tokens["input_ids"], tokens["attention_mask"], logits, strict=True)
        ]

    def _gaps(self, ids: torch.Tensor, logits: torch.Tensor, top_k: int) -> list[Gap]:
        places = (ids == self._tokenizer.mask_token_id).nonzero().flatten().tolist()
        gaps: list[Gap] = []
        for place in places:
            best = logits[place].float().softmax(dim=-1).topk(top_k)
            gap: Gap = []
            for score, token in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                filled = ids.tolist()
                filled[place] = token
                # The other gaps stay visible.
                sequence = self._tokenizer.decode(filled, skip_special_tokens=len(places) == 1)
                word = self._tokenizer.decode([token])
                gap.append({"score": score, "token": token, "token_str": word, "sequence": sequence})
            gaps.append(gap)
        return gaps
