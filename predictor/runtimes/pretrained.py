"""What a folder of a transformers model is to be served as, from its configuration files alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from predictor.runtimes.runtime import PICKLES, refuse_pickle
from torpor.errors import InvalidInputError, NotFoundError, UnsupportedError

CONFIG = "config.json"
WEIGHTS = ".safetensors"
INDEX = "model.safetensors.index.json"

# Beside the weights lie the same weights for other libraries, and pictures for the model's page.
_NOT_NEEDED = frozenset(
    {".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".ot", ".tflite", ".pb", ".gguf", ".mlmodel"}
    | {".md", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".pdf", ".py", ".zip", ".gz", ".tar"}
)
_OTHER_FOLDERS = ("onnx", "openvino", "coreml", "original", "runs")
_TOKENIZERS = {
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
}
_PROCESSORS = {"preprocessor_config.json", "processor_config.json"}
_LATER = re.compile(r"For(CausalLM|ConditionalGeneration|Vision2Seq|ImageTextToText)$|LMHead")
_SPEECH = re.compile(r"For(CTC|SpeechSeq2Seq)$|^(Whisper|Speech2Text)\w*ForConditionalGeneration$")
_REWRITING = re.compile(r"For(ConditionalGeneration|Seq2SeqLM)$|MTModel$")
_PICTURES = re.compile(r"ForImageClassification(WithTeacher)?$")
_ALIASES = {
    "sequence-classification": "text-classification",
    "sentiment-analysis": "text-classification",
    "text-embedding": "embedding",
    "feature-extraction": "embedding",
}
"""What KServe's server and the library's pipelines call them."""
_POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens")


class Task(StrEnum):
    """What the model answers with."""

    EMBEDDING = "embedding"
    CLASSIFICATION = "text-classification"
    TOKENS = "token-classification"
    MASK = "fill-mask"
    REWRITING = "text2text-generation"
    PICTURES = "image-classification"
    SPEECH = "automatic-speech-recognition"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to serve a model."""

    task: Task
    architecture: str
    max_length: int | None = None
    """Longest text in tokens; None leaves it to the tokenizer."""
    lower_case: bool = False
    prefix: str = ""
    pooling: tuple[str, ...] = ("mean",)
    """Of _POOLINGS; several are put one after the other."""
    normalize: bool = True


@dataclass(frozen=True, slots=True)
class Configs:
    """The configuration files, parsed; those that are not there are empty."""

    model: Mapping[str, Any]
    modules: Sequence[Mapping[str, Any]] = ()
    """sentence-transformers' steps, in order."""
    pooling: Mapping[str, Any] | None = None
    sentence: Mapping[str, Any] | None = None
    prompts: Mapping[str, Any] | None = None


def choose(names: Sequence[str], *, allow_pickle: bool) -> tuple[str, ...]:
    """Return the files that are needed; raises where the folder holds no model that may be opened."""
    if CONFIG not in names:
        raise NotFoundError(f"there is no {CONFIG}: is this the folder of a transformers model?")
    if not (_TOKENIZERS | _PROCESSORS) & set(names):
        raise NotFoundError(f"there is no tokenizer: one of {', '.join(sorted(_TOKENIZERS))} is needed")
    kept = [each for each in names if _is_needed(each)]
    if any(each.endswith(WEIGHTS) and "/" not in each for each in kept):
        return tuple(kept)
    pickles = sorted(each for each in names if "/" not in each and PurePosixPath(each).suffix in PICKLES)
    if not pickles:
        raise NotFoundError(f"there are no weights: model{WEIGHTS} is missing")
    if not allow_pickle:
        raise refuse_pickle(pickles[0], f"{WEIGHTS} (save_pretrained)")
    return (*kept, *(each for each in pickles if each.endswith(".bin") and each.startswith("pytorch_model")))


def plan(configs: Configs) -> Plan:
    """Return how to serve the model; raises UnsupportedError that names what is not served."""
    architectures = configs.model.get("architectures") or []
    architecture = str(architectures[0]) if architectures else ""
    if configs.modules:
        return _sentence_plan(architecture, configs)
    task = _task(architecture, several=bool(configs.model.get("is_encoder_decoder")))
    if task is not None:
        return Plan(task, architecture)
    if _LATER.search(architecture):
        raise UnsupportedError(
            f"{architecture} generates: that is served by a later release; now {', '.join(Task)} are"
        )
    if not architecture or architecture.endswith("Model"):
        # The mean of all tokens is what most models for embeddings were trained with.
        return Plan(Task.EMBEDDING, architecture)
    raise UnsupportedError(f"{architecture} is not served; models for {', '.join(Task)} are")


def requested(arguments: Sequence[str]) -> str:
    """Return the task that arguments name, in the library's words or in those of KServe's server, or nothing."""
    for index, each in enumerate(arguments):
        name, equals, value = each.partition("=")
        if name == "--task":
            value = value if equals else "".join(arguments[index + 1 : index + 2])
            value = value.replace("_", "-")
            return _ALIASES.get(value, value)
    return ""


def check(plan: Plan, names: Sequence[str]) -> None:
    """Raise NotFoundError where the files lack what the task needs beside weights."""
    needs_tokenizer = plan.task is not Task.PICTURES
    if needs_tokenizer and not _TOKENIZERS & set(names):
        raise NotFoundError(f"there is no tokenizer, which {plan.task} needs: one of {', '.join(sorted(_TOKENIZERS))}")
    if plan.task in {Task.PICTURES, Task.SPEECH} and not _PROCESSORS & set(names):
        raise NotFoundError(f"there is no processor, which {plan.task} needs: {' or '.join(sorted(_PROCESSORS))}")


def _task(architecture: str, *, several: bool) -> Task | None:
    """Return the task of an architecture's name, if it has one. `several`: it has an encoder and a decoder."""
    if architecture.endswith("ForSequenceClassification"):
        return Task.CLASSIFICATION
    if architecture.endswith("ForTokenClassification"):
        return Task.TOKENS
    if architecture.endswith("ForMaskedLM"):
        return Task.MASK
    if _PICTURES.search(architecture):
        return Task.PICTURES
    if _SPEECH.search(architecture):
        return Task.SPEECH
    return Task.REWRITING if several and _REWRITING.search(architecture) else None


def _is_needed(name: str) -> bool:
    path = PurePosixPath(name)
    if len(path.parts) > 1 and path.parts[0] in _OTHER_FOLDERS:
        return False
    return path.suffix not in _NOT_NEEDED and not any(part.startswith(".") for part in path.parts)


def _sentence_plan(architecture: str, configs: Configs) -> Plan:
    kinds = [str(each.get("type", "")).rpartition(".")[2] for each in configs.modules]
    for kind in kinds:
        if kind not in {"Transformer", "Pooling", "Normalize"}:
            raise UnsupportedError(f"modules.json: the step {kind} of sentence-transformers is not served yet")
    sentence, prompts = configs.sentence or {}, configs.prompts or {}
    prompt = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name") or "", "")
    length = sentence.get("max_seq_length")
    return Plan(
        Task.EMBEDDING,
        architecture,
        max_length=int(length) if length else None,
        lower_case=bool(sentence.get("do_lower_case")),
        prefix=str(prompt),
        pooling=_pooling(configs.pooling or {}),
        normalize="Normalize" in kinds,
    )


def _pooling(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Read both forms: a flag for each mode, and (newer) the modes by name."""
    named = config.get("pooling_mode")
    if named:
        modes = [named] if isinstance(named, str) else list(named)
    else:
        flags = {"cls_token": "cls", "max_tokens": "max", "mean_tokens": "mean"}
        on = [
            key.removeprefix("pooling_mode_")
            for key, value in config.items()
            if key.startswith("pooling_mode_") and value
        ]
        modes = [flags.get(each, each) for each in on] or ["mean"]
    for mode in modes:
        if mode not in _POOLINGS:
            raise UnsupportedError(f"pooling {mode!r} is not served; {', '.join(_POOLINGS)} are")
    # The order in which sentence-transformers puts them, whichever order the file has.
    return tuple(each for each in _POOLINGS if each in modes)


def shards(index: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files that an index of weights names; raises InvalidInputError if it names none."""
    files = index.get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(each, str) for each in files.values()):
        raise InvalidInputError(INDEX, None, "a `weight_map` from tensors to files is needed")
    return tuple(sorted(set(files.values())))
