"""Leaves letters, digits and spaces of texts."""

import re

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("clean", _clean(each))]) for each in requests]


def _clean(request):
    texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
    cleaned = [[re.sub(rb"[^\w\s]", b"", _bytes(text)) for text in row] for row in texts]
    return np.array(cleaned, np.object_)


def _bytes(text):
    """Texts are bytes by Triton's own clients, and may be str where they came as JSON."""
    return text.encode() if isinstance(text, str) else text
