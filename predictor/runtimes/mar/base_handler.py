"""`BaseHandler`: opens TorchScript, or weights with a class beside them, and asks the model in three steps."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from predictor.runtimes.mar.toolbox import list_classes_from_module, load_label_mapping

log = logging.getLogger(__name__)

LABELS = "index_to_name.json"


class BaseHandler:
    """What archives name as `base_handler`, and what most handlers of users' own extend."""

    def __init__(self) -> None:
        self.model: Any = None
        self.mapping: Mapping[str, Any] | None = None
        self.device: Any = None
        self.initialized = False
        self.context: Any = None
        self.model_pt_path: str | None = None
        self.manifest: Mapping[str, Any] | None = None
        self.map_location: str | None = None
        self.explain = False
        self.target = 0
        self.profiler_args: dict[str, Any] = {}
        self.model_yaml_config: Mapping[str, Any] = {}

    def initialize(self, context: Any) -> None:
        """Open the model; raises what torch raises, or RuntimeError where the archive has none."""
        import torch

        self.context, self.manifest = context, context.manifest
        self.model_yaml_config = context.model_yaml_config
        properties = context.system_properties
        has_gpu = torch.cuda.is_available() and properties.get("gpu_id") is not None
        self.map_location = "cuda" if has_gpu else "cpu"
        self.device = torch.device(f"cuda:{properties['gpu_id']}" if has_gpu else "cpu")
        folder, said = properties["model_dir"], context.manifest["model"]
        if said.get("serializedFile"):
            self.model_pt_path = str(Path(folder) / said["serializedFile"])
        self.model = self._opened(folder, said.get("modelFile"))
        self._compile()
        self.mapping = load_label_mapping(str(Path(folder) / LABELS))
        self.initialized = True

    def preprocess(self, data: Sequence[Any]) -> Any:
        """Make one tensor of the inputs of all requests."""
        import torch

        rows: list[Any] = [(row.get("data") or row.get("body")) if isinstance(row, dict) else row for row in data]
        if rows and all(hasattr(row, "__array__") for row in rows):  # of which torch makes no tensor at once
            import numpy as np

            return torch.from_numpy(np.stack(rows)).to(self.device)
        return torch.as_tensor(rows, device=self.device)

    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        import torch

        with torch.inference_mode():
            return self.model(data.to(self.device), *args, **kwargs)

    def postprocess(self, data: Any) -> list[Any]:
        answers: list[Any] = data.tolist()
        return answers

    def handle(self, data: Sequence[Any], context: Any) -> Any:
        """Return the answers to a list of requests, in their order."""
        self.context = context
        prepared = self.preprocess(data)
        if self._is_explain():
            return self.explain_handle(prepared, data)
        return self.postprocess(self.inference(prepared))

    def explain_handle(self, data_preprocess: Any, raw_data: Sequence[Any]) -> list[Any]:
        """Return the one explanation that the handler's own `get_insights` gives."""
        first = raw_data[0]
        inputs = (first.get("data") or first.get("body")) if isinstance(first, dict) else first
        target = first.get("target", 0) if isinstance(first, dict) else 0
        get_insights: Any = getattr(self, "get_insights", None)
        if get_insights is None:
            raise NotImplementedError("this handler has no get_insights, and so no explanations")
        return [get_insights(data_preprocess, inputs, int(target or 0))]

    def describe_handle(self) -> Any:
        """Return nothing: handlers say here what they like."""

    def _is_explain(self) -> bool:
        return self.context is not None and self.context.get_request_header(0, "explain") == "True"

    def _opened(self, folder: str, model_file: str | None) -> Any:
        path = self.model_pt_path
        if model_file:
            model = self._load_pickled_model(folder, model_file, path)
            model.to(self.device)
            model.eval()
            return model
        if path is None:
            raise RuntimeError("the archive names neither a serializedFile nor a modelFile: there is nothing to open")
        if not path.endswith((".pt", ".pth")):
            name = Path(path).name
            raise RuntimeError(f"{name} is not opened by this handler: TorchScript (.pt), or weights with a modelFile")
        model = self._load_torchscript_model(path)
        model.eval()
        return model

    def _load_torchscript_model(self, model_pt_path: str) -> Any:
        import torch

        return torch.jit.load(model_pt_path, map_location=self.device)  # type: ignore[no-untyped-call]  # torch has no type for it

    def _load_pickled_model(self, model_dir: str, model_file: str, model_pt_path: str | None) -> Any:
        """Make the one class of the model's file, and give it its weights; a pickle of anything else is not opened."""
        import torch

        del model_dir  # which is on the path of modules
        module = importlib.import_module(model_file.removesuffix(".py"))
        classes = list_classes_from_module(module, torch.nn.Module) or list_classes_from_module(module)
        if len(classes) != 1:
            names = ", ".join(each.__name__ for each in classes) or "none"
            raise ValueError(f"{model_file} should define one class, which is the model; it defines {names}")
        model = classes[0]()
        if model_pt_path:
            weights = torch.load(model_pt_path, map_location=self.device, weights_only=True)
            model.load_state_dict(weights)
        return model

    def _compile(self) -> None:
        """Let torch compile the model where model-config.yaml asks for it; where it cannot, it stays as it is."""
        import torch

        said = self.model_yaml_config.get("pt2")
        if isinstance(said, dict) and "compile" in said:
            options = dict(said["compile"])
            if not options.pop("enable", False):
                return
        elif isinstance(said, str):
            options = {"backend": said}
        else:
            return
        try:
            self.model = torch.compile(self.model, **options)
        except Exception:
            log.exception("the model is not compiled, and runs as it is")
