"""A handler as TorchServe's documentation has it: 64 numbers from 0 to 16 in, the digit and how sure it is out."""

import torch
from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import PredictionException


class DigitsHandler(BaseHandler):
    def preprocess(self, data):
        rows = [row.get("data") or row.get("body") for row in data]
        if not all(isinstance(row, list) and len(row) == 64 for row in rows):
            raise PredictionException("64 numbers are needed, for 8 by 8 pixels", 400)
        return torch.tensor(rows, dtype=torch.float32) / 16

    def postprocess(self, data):
        likely, digits = data.softmax(1).max(1)
        return [
            {"digit": digit, "probability": probability}
            for digit, probability in zip(digits.tolist(), likely.tolist(), strict=True)
        ]
