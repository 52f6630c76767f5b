import bentoml
import numpy as np
import work

compute = work.model()
MANY = work.BATCH > 1


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Served:
    if MANY:

        @bentoml.api(batchable=True, max_batch_size=work.BATCH, max_latency_ms=1000)
        def predict(self, x: np.ndarray) -> np.ndarray:
            return compute(x)

    else:

        @bentoml.api
        async def predict(self, x: list[float]) -> list[float]:
            return compute(np.asarray([x], np.float32))[0].tolist()
