from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Sum(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        total = NumpyCodec.decode_input(payload.inputs[0]).sum(axis=1, keepdims=True)
        outputs = [NumpyCodec.encode_output("y", total)]
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=outputs)
