"""Counts the words of texts."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("words", _words(each))]) for each in requests]


def _words(request):
    texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
    return np.array([[len(text.split()) for text in row] for row in texts], np.int32)
