"""`VisionHandler` and `ImageClassifier`: pictures in, the five likeliest classes out; without torchvision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from predictor.runtimes.mar import pictures
from predictor.runtimes.mar.base_handler import BaseHandler
from predictor.runtimes.mar.pictures import as_imagenet
from predictor.runtimes.mar.toolbox import PredictionException, map_class_to_label


class VisionHandler(BaseHandler):
    """A picture for each request: octets, base64, or numbers that are pixels already."""

    image_processing: Callable[[Any], Any]
    """From a picture of Pillow's in RGB to a tensor; a handler of one's own brings another."""

    def preprocess(self, data: Sequence[Any]) -> Any:
        import torch

        found = [self._picture((row.get("data") or row.get("body")) if isinstance(row, dict) else row) for row in data]
        return torch.stack(found).to(self.device)

    def _picture(self, given: Any) -> Any:
        import torch

        if isinstance(given, str):
            given = pictures.decoded(given)
        if isinstance(given, bytes | bytearray | memoryview):
            return self.image_processing(pictures.opened(given))
        try:
            return torch.as_tensor(given, dtype=torch.float32)
        except (TypeError, ValueError) as error:
            raise PredictionException("a picture is needed: its octets, base64, or rows of pixels", 400) from error


class ImageClassifier(VisionHandler):
    """What archives name as `image_classifier`."""

    topk = 5
    image_processing = staticmethod(as_imagenet)

    def set_max_result_classes(self, topk: int) -> None:
        self.topk = topk

    def get_max_result_classes(self) -> int:
        return self.topk

    def postprocess(self, data: Any) -> list[Any]:
        import torch

        likely = torch.nn.functional.softmax(data, dim=1)
        # A model of three classes has no five.
        values, classes = torch.topk(likely, min(self.topk, likely.shape[1]), dim=1)
        return list(map_class_to_label(values.tolist(), self.mapping, classes.tolist()))
