"""BERT's encoder in torch alone: the most common model for embeddings, without the time to import transformers.

Measured on two cores: 6.5 s of CPU to import torch and transformers' BertModel, 2.0 s for torch. See decision 0008.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from torch.nn import functional

from predictor.runtimes.loaded import lacking

_TOKENIZER = "tokenizer.json"
_LAYER = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
_REST = ("attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm")


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a config.json that the computation needs."""

    layers: int
    heads: int
    hidden_size: int
    epsilon: float
    pad_token_id: int
    max_positions: int


class BertEncoder:
    """Fits `Encoder`. One pass at a time, on all CPUs of the pod."""

    def __init__(self, folder: Path, weights: Sequence[str], config: Mapping[str, Any], max_length: int | None) -> None:
        self._shape = _shape(config)
        self._tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        # Its file has settings of its own for both, often to fill every text up to the longest that there can be.
        self._tokenizer.enable_truncation(min(max_length or self._shape.max_positions, self._shape.max_positions))
        self._tokenizer.enable_padding(pad_id=self._shape.pad_token_id)
        self._weights = _weights([folder / each for each in weights], self._shape)
        self._lock = threading.Lock()

    @property
    def hidden_size(self) -> int:
        return self._shape.hidden_size

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        encodings = self._tokenizer.encode_batch(list(texts))
        ids = torch.tensor([each.ids for each in encodings])
        mask = torch.tensor([each.attention_mask for each in encodings])
        with self._lock:
            return self._forward(ids, None if mask.all() else mask.bool()[:, None, None, :]), mask

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        weights, length = self._weights, ids.shape[1]
        tokens = weights["embeddings.word_embeddings.weight"][ids]
        tokens = tokens + weights["embeddings.token_type_embeddings.weight"][0]  # a single text is all of type 0
        tokens = tokens + weights["embeddings.position_embeddings.weight"][:length]
        tokens = self._norm("embeddings.LayerNorm", tokens)
        for layer in range(self._shape.layers):
            tokens = self._layer(f"encoder.layer.{layer}", tokens, mask)
        return tokens

    def _layer(self, name: str, tokens: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        query, key, value = (
            self._heads(self._linear(f"{name}.attention.self.{each}", tokens)) for each in ("query", "key", "value")
        )
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        seen = self._linear(f"{name}.attention.output.dense", seen.transpose(1, 2).flatten(2))
        tokens = self._norm(f"{name}.attention.output.LayerNorm", tokens + seen)
        inner = functional.gelu(self._linear(f"{name}.intermediate.dense", tokens))
        return self._norm(f"{name}.output.LayerNorm", tokens + self._linear(f"{name}.output.dense", inner))

    def _heads(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.view(*tokens.shape[:2], self._shape.heads, -1).transpose(1, 2)

    def _linear(self, name: str, tokens: torch.Tensor) -> torch.Tensor:
        return functional.linear(tokens, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, name: str, tokens: torch.Tensor) -> torch.Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(tokens, (self._shape.hidden_size,), weight, bias, self._shape.epsilon)


def fits(names: Sequence[str], config: Mapping[str, Any], tokenizer: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """Say whether the model is one that this file computes exactly as transformers does. Pure.

    `tokenizer` is tokenizer_config.json, `own` tokenizer.json. Whatever is unusual is left to the library.
    """
    plain = (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not any(
            config.get(each) for each in ("is_decoder", "add_cross_attention", "auto_map", "quantization_config")
        )
    )
    return plain and _TOKENIZER in names and _usual(tokenizer, own.get("normalizer") or {})


def _usual(tokenizer: Mapping[str, Any], normalizer: Mapping[str, Any]) -> bool:
    """Say whether transformers would leave the normalizer as it is in tokenizer.json."""
    settings = {"lowercase": "do_lower_case", "strip_accents": "strip_accents"}
    settings["handle_chinese_chars"] = "tokenize_chinese_chars"
    return (
        tokenizer.get("tokenizer_class") in {"BertTokenizer", "BertTokenizerFast"}
        and normalizer.get("type") == "BertNormalizer"
        and all(
            tokenizer.get(ours, normalizer.get(theirs)) == normalizer.get(theirs) for theirs, ours in settings.items()
        )
    )


def _shape(config: Mapping[str, Any]) -> Shape:
    return Shape(
        layers=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        hidden_size=int(config["hidden_size"]),
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        pad_token_id=int(config.get("pad_token_id") or 0),
        max_positions=int(config["max_position_embeddings"]),
    )


def _weights(paths: Sequence[Path], shape: Shape) -> dict[str, torch.Tensor]:
    """Return what is needed, mapped and not copied where it is float32; raises LoadError if anything is missing."""
    found: dict[str, torch.Tensor] = {}
    needed = set(_needed(shape.layers))
    for path in paths:
        with safe_open(path, framework="pt") as file:
            for stored in file.keys():  # noqa: SIM118  # no mapping
                # A model that was trained for something else has the encoder inside; old ones say gamma and beta.
                name = stored.removeprefix("bert.").replace("LayerNorm.gamma", "LayerNorm.weight")
                name = name.replace("LayerNorm.beta", "LayerNorm.bias")
                if name in needed:
                    found[name] = file.get_tensor(stored).float()
    if needed - found.keys():
        raise lacking(sorted(needed - found.keys()), "BertModel")
    return found


def _needed(layers: int) -> Iterator[str]:
    for each in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        yield f"embeddings.{each}.weight"
    parts = [
        "embeddings.LayerNorm",
        *(f"encoder.layer.{layer}.{part}" for layer in range(layers) for part in _LAYER + _REST),
    ]
    for part in parts:
        yield f"{part}.weight"
        yield f"{part}.bias"
