"""Texts to vectors: the tokens' vectors pooled and, mostly, brought to length 1, as sentence-transformers does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from predictor.model import Signature, TensorSpec
from predictor.runtimes import texts as text
from predictor.runtimes.encoder import Encoder
from predictor.runtimes.pretrained import Plan
from torpor.protocol.tensors import Tensor

BATCH = 32
OUTPUT = "embedding"


class Embedder:
    """Fits `Model`."""

    def __init__(self, encoder: Encoder, plan: Plan) -> None:
        self._encoder = encoder
        self._plan = plan
        self._size = encoder.hidden_size * len(plan.pooling)

    @property
    def signature(self) -> Signature:
        return Signature(
            "transformers_safetensors",
            (TensorSpec(text.INPUT, "BYTES", (-1,)),),
            (TensorSpec(OUTPUT, "FP32", (-1, self._size)),),
        )

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        embeddings: list[Any] = self._embed(text.from_instances(instances)).tolist()
        return embeddings

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return (Tensor(OUTPUT, self._embed(text.from_tensors(inputs))),)

    def warm(self) -> None:
        self._embed(["warm"])

    def close(self) -> None:
        """Nothing: the weights go with the object."""

    def _embed(self, given: Sequence[str]) -> NDArray[np.float32]:
        prepared = [self._plan.prefix + (each.lower() if self._plan.lower_case else each) for each in given]
        embeddings = np.empty((len(given), self._size), np.float32)
        for batch in text.batches(prepared, BATCH):
            tokens, mask = self._encoder.encode([prepared[each] for each in batch])
            embeddings[batch] = _pooled(tokens, mask, self._plan).float().numpy()
        return embeddings


@torch.inference_mode()
def _pooled(tokens: torch.Tensor, mask: torch.Tensor, plan: Plan) -> torch.Tensor:
    real = mask.unsqueeze(-1).to(tokens.dtype)
    pooled = torch.cat([_pool(each, tokens, real) for each in plan.pooling], dim=1)
    return torch.nn.functional.normalize(pooled, dim=1) if plan.normalize else pooled


def _pool(mode: str, tokens: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    match mode:
        case "cls":
            return tokens[:, 0]
        case "max":
            return tokens.masked_fill(real == 0, -torch.inf).amax(dim=1)
        case "mean_sqrt_len_tokens":
            return (tokens * real).sum(dim=1) / real.sum(dim=1).clamp(min=1).sqrt()
        case _:
            return (tokens * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)
