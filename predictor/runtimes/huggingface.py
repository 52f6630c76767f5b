"""Models of the transformers library, from a local folder and without the network."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from predictor.model import Model
from predictor.runtimes import cpus, pretrained, safetensors
from predictor.runtimes.pretrained import Configs, Plan, Task
from predictor.runtimes.runtime import Files
from torpor.errors import InvalidInputError, LoadError, NotFoundError

if TYPE_CHECKING:  # the module itself imports torch
    from predictor.runtimes.encoder import Encoder

_TASKS = {
    Task.CLASSIFICATION: ("predictor.runtimes.classifier", "Classifier"),
    Task.TOKENS: ("predictor.runtimes.tokenclassifier", "TokenClassifier"),
    Task.MASK: ("predictor.runtimes.maskfiller", "MaskFiller"),
    Task.REWRITING: ("predictor.runtimes.rewriter", "Rewriter"),
    Task.PICTURES: ("predictor.runtimes.pictureclassifier", "PictureClassifier"),
    Task.SPEECH: ("predictor.runtimes.listener", "Listener"),
}
"""Each imports parts of the library, and so when a model needs it."""

_preparing = threading.Lock()


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """Fits `Runtime`."""

    requires: tuple[str, ...] = ("torch", "transformers", "safetensors")
    extra: str = "transformers"
    keeps_files: bool = False

    def choose(self, names: Sequence[str], *, allow_pickle: bool) -> tuple[str, ...]:
        return pretrained.choose(names, allow_pickle=allow_pickle)

    def prepare(self) -> None:
        """Import torch. transformers takes twice as long again, so it is left to the models that need it."""
        # Before any import, which reads them: files are here, and nothing is to be asked for elsewhere.
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
        with _preparing:
            import torch

            import predictor.runtimes.bert
            import predictor.runtimes.embedder  # noqa: F401

            if "OMP_NUM_THREADS" not in os.environ:
                torch.set_num_threads(cpus.available())

    def verify(self, files: Files) -> None:
        plan = pretrained.plan(configs(files))
        task = pretrained.requested(sys.argv[1:])
        if task and task != plan.task:
            raise LoadError("verify", f"the task {task} is asked for, and {plan.architecture} is for {plan.task}")
        pretrained.check(plan, files.names)
        weights = [each for each in files.names if each.endswith(pretrained.WEIGHTS)]
        if pretrained.INDEX in files.names:
            wanted = pretrained.shards(_object(files, pretrained.INDEX))
            missing = [each for each in wanted if each not in weights]
            if missing:
                raise NotFoundError(f"{', '.join(missing)}: named by {pretrained.INDEX}, and not there")
        for name in weights:
            safetensors.check(files.path(name))

    def open(self, files: Files) -> Model:
        self.prepare()
        plan = pretrained.plan(configs(files))
        if plan.task is Task.EMBEDDING:
            from predictor.runtimes.embedder import Embedder

            return Embedder(_encoder(files, plan), plan)
        module, kind = _TASKS[plan.task]
        model: Model = getattr(importlib.import_module(module), kind)(files.folder, plan)
        return model


def _encoder(files: Files, plan: Plan) -> Encoder:
    from predictor.runtimes import bert, encoder

    config = _object(files, pretrained.CONFIG)
    tokenizer, own = _optional(files, "tokenizer_config.json"), _optional(files, "tokenizer.json")
    weights = [each for each in files.names if each.endswith(pretrained.WEIGHTS) and "/" not in each]
    if weights and bert.fits(files.names, config, tokenizer or {}, own or {}):
        return bert.BertEncoder(files.folder, weights, config, plan.max_length)
    from transformers import AutoModel

    return encoder.AutoEncoder(files.folder, plan, AutoModel)


def configs(files: Files) -> Configs:
    """Read the configuration files; raises InvalidInputError naming the one that cannot be read."""
    pooling = next((each for each in files.names if each.endswith("_Pooling/config.json")), "")
    modules = _json(files, "modules.json") if "modules.json" in files.names else []
    if not isinstance(modules, list) or not all(isinstance(each, dict) for each in modules):
        raise InvalidInputError("modules.json", modules, "a list of steps is needed")
    return Configs(
        model=_object(files, pretrained.CONFIG),
        modules=modules,
        pooling=_optional(files, pooling),
        sentence=_optional(files, "sentence_bert_config.json"),
        prompts=_optional(files, "config_sentence_transformers.json"),
    )


def _optional(files: Files, name: str) -> dict[str, Any] | None:
    return _object(files, name) if name in files.names else None


def _object(files: Files, name: str) -> dict[str, Any]:
    document = _json(files, name)
    if not isinstance(document, dict):
        raise InvalidInputError(name, document, "a JSON object is needed")
    return document


def _json(files: Files, name: str) -> Any:
    raw = files.path(name).read_bytes()
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(name, raw[:50], f"JSON is needed: {error}") from error
