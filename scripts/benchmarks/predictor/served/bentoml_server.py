import bentoml
import numpy as np


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Sum:
    @bentoml.api
    async def predict(self, x: list[float]) -> list[float]:
        return [float(np.asarray(x, np.float32).sum())]
