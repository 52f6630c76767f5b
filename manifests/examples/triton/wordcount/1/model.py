"""Counts words; a model of Triton's Python backend, as it would run there."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.separator = config["parameters"]["separator"]["string_value"].encode()
        self.dtype = pb_utils.triton_string_to_numpy(pb_utils.get_output_config_by_name(config, "words")["data_type"])

    def execute(self, requests):
        responses = []
        for request in requests:
            texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
            counts = [[len([word for word in _bytes(row[0]).split(self.separator) if word])] for row in texts]
            words = pb_utils.Tensor("words", np.array(counts, self.dtype))
            responses.append(pb_utils.InferenceResponse(output_tensors=[words]))
        return responses


def _bytes(text):
    """Texts are bytes by Triton's own clients, and may be str where they came as JSON."""
    return text.encode() if isinstance(text, str) else text
