"""What reads texts: a tokenizer and a model on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from predictor.runtimes import loaded
from predictor.runtimes.pretrained import Plan

_NO_LIMIT = 100_000
"""Tokenizers without a limit say 10**30."""


class Encoder(Protocol):
    """Texts in, one vector for each token out."""

    @property
    def hidden_size(self) -> int:
        """Numbers per token."""

    def encode(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens' vectors for one batch, and which tokens are real (1) or filled in (0)."""


class AutoEncoder:
    """Any model of the transformers library. Fits `Encoder`.

    One pass at a time, on all CPUs of the pod: two at once would share them, and both be late.
    """

    def __init__(self, folder: Path, plan: Plan, kind: Any) -> None:
        """`kind` is one of the Auto classes; raises LoadError if weights are missing, since those would be random."""
        from transformers import AutoTokenizer

        self._tokenizer = loaded.part(folder, plan, AutoTokenizer)
        self._model = loaded.model(folder, plan, kind)
        self._max_length = plan.max_length or limit(self._tokenizer, self._model.config)
        self._lock = threading.Lock()

    @property
    def config(self) -> Any:
        return self._model.config

    @property
    def hidden_size(self) -> int:
        return int(self._model.config.hidden_size)

    def encode(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        output, mask = self.run(texts)
        return output.last_hidden_state, mask

    @torch.inference_mode()
    def run(self, texts: Sequence[str]) -> tuple[Any, torch.Tensor]:
        """Return all that the model answers for one batch, and which tokens are real."""
        tokens = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._max_length, return_tensors="pt"
        )
        with self._lock:
            return self._model(**tokens), tokens["attention_mask"]


def limit(tokenizer: Any, config: Any) -> int:
    """Return the most tokens that both tokenizer and model can take."""
    positions = getattr(config, "max_position_embeddings", None) or _NO_LIMIT
    if getattr(config, "model_type", "") in {"roberta", "xlm-roberta", "camembert", "mpnet"}:
        positions -= 2  # their positions begin behind the one for padding
    return int(min(tokenizer.model_max_length, positions, _NO_LIMIT))
