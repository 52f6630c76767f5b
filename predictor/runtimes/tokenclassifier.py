"""Texts to the words in them that have a label: names, places. As the library's pipeline answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from predictor.model import Signature, TensorSpec
from predictor.runtimes import asked, loaded
from predictor.runtimes import texts as text
from predictor.runtimes.encoder import limit
from predictor.runtimes.pretrained import Plan
from predictor.runtimes.tasked import Tasked
from torpor.errors import LoadError
from torpor.protocol.tensors import Tensor

BATCH = 32
NOTHING = "O"
"""The label of what has none."""
STRATEGIES = ("none", "simple")

Entity = dict[str, Any]


class TokenClassifier(Tasked[str, list[Entity]]):
    """The parameter `aggregation_strategy` says whether each token is an answer, or tokens of one label together."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._tokenizer = loaded.part(folder, plan, AutoTokenizer)
        if not self._tokenizer.is_fast:
            raise LoadError("open", f"{plan.task} needs a tokenizer.json, which knows where in a text its tokens are")
        self._model = loaded.model(folder, plan, AutoModelForTokenClassification)
        self._labels: dict[int, str] = self._model.config.id2label
        self._max_length = limit(self._tokenizer, self._model.config)
        self._lock = threading.Lock()

    @property
    def signature(self) -> Signature:
        numbers, words = ("text", "start", "end"), ("entity", "word")
        specs = {name: TensorSpec(name, "INT64", (-1,)) for name in numbers}
        specs |= {name: TensorSpec(name, "BYTES", (-1,)) for name in words}
        specs["score"] = TensorSpec("score", "FP32", (-1,))
        outputs = tuple(specs[name] for name in ("text", "entity", "score", "word", "start", "end"))
        return Signature("transformers_safetensors", (TensorSpec(text.INPUT, "BYTES", (-1,)),), outputs)

    def from_instances(self, instances: Sequence[Any]) -> list[str]:
        return text.from_instances(instances)

    def from_tensors(self, inputs: Sequence[Tensor]) -> list[str]:
        return text.from_tensors(inputs)

    def compute(self, given: Sequence[str], parameters: Mapping[str, Any]) -> list[list[Entity]]:
        together = asked.one_of(parameters, "aggregation_strategy", STRATEGIES) == "simple"
        answers: list[list[Entity]] = [[] for _ in given]
        for batch in text.batches(given, BATCH):
            for place, found in zip(batch, self._entities([given[each] for each in batch]), strict=True):
                kept = self._grouped(found) if together else found
                name = "entity_group" if together else "entity"
                answers[place] = [each for each in kept if each[name] != NOTHING]
        return answers

    def to_predictions(self, answers: Sequence[list[Entity]]) -> list[Any]:
        return list(answers)

    def to_tensors(self, answers: Sequence[list[Entity]]) -> tuple[Tensor, ...]:
        """Give all words in one row; `text` says which text each is of."""
        words = [(index, each) for index, found in enumerate(answers) for each in found]
        labels = [each.get("entity", each.get("entity_group")) for _, each in words]
        return (
            Tensor("text", np.array([index for index, _ in words], np.int64)),
            Tensor("entity", np.array(labels, object)),
            Tensor("score", np.array([each["score"] for _, each in words], np.float32)),
            Tensor("word", np.array([each["word"] for _, each in words], object)),
            Tensor("start", np.array([each["start"] for _, each in words], np.int64)),
            Tensor("end", np.array([each["end"] for _, each in words], np.int64)),
        )

    def warm(self) -> None:
        self._entities(["warm"])

    def _entities(self, given: list[str]) -> list[list[Entity]]:
        tokens = self._tokenizer(
            given,
            padding=True,
            truncation=True,
            max_length=self._max_length,
            return_tensors="pt",
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
        offsets, special = tokens.pop("offset_mapping").tolist(), tokens.pop("special_tokens_mask").tolist()
        with self._lock, torch.inference_mode():
            scores = self._model(**tokens).logits.float().softmax(dim=-1)
        best, likely = (each.tolist() for each in (scores.argmax(dim=-1), scores.amax(dim=-1)))
        ids, real = tokens["input_ids"].tolist(), tokens["attention_mask"].tolist()
        return [
            list(self._of_one(given[row], ids[row], real[row], special[row], offsets[row], best[row], likely[row]))
            for row in range(len(given))
        ]

    def _of_one(
        self,
        given: str,
        ids: list[int],
        real: list[int],
        special: list[int],
        offsets: list[list[int]],
        best: list[int],
        likely: list[float],
    ) -> Iterator[Entity]:
        index = -1
        for at, token in enumerate(ids):
            index += real[at]
            if special[at] or not real[at]:
                continue
            start, end = offsets[at]
            known = token != self._tokenizer.unk_token_id
            word = self._tokenizer.convert_ids_to_tokens(token) if known else given[start:end]
            label = self._labels[best[at]]
            yield {"entity": label, "score": likely[at], "index": index, "word": word, "start": start, "end": end}

    def _grouped(self, entities: Sequence[Entity]) -> list[Entity]:
        groups: list[list[Entity]] = []
        for each in entities:
            if groups and _kind(each) == _kind(groups[-1][-1]) and not each["entity"].startswith("B-"):
                groups[-1].append(each)
            else:
                groups.append([each])
        return [
            {
                "entity_group": _kind(group[0]),
                "score": sum(each["score"] for each in group) / len(group),
                "word": self._tokenizer.convert_tokens_to_string([each["word"] for each in group]),
                "start": group[0]["start"],
                "end": group[-1]["end"],
            }
            for group in groups
        ]


def _kind(entity: Entity) -> str:
    """Return what a label is of: B- and I- say whether a word begins one or goes on with it."""
    label: str = entity["entity"]
    return label[2:] if label.startswith(("B-", "I-")) else label
