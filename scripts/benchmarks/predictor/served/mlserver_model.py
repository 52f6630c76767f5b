import work
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Served(MLModel):
    async def load(self):
        self.compute = work.model()
        return True

    async def predict(self, payload):
        found = self.compute(NumpyCodec.decode_input(payload.inputs[0]))
        outputs = [NumpyCodec.encode_output("y", found)]
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=outputs)
