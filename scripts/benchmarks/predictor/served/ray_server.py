import os
import threading

import numpy as np
import ray
import work
from ray import serve

ray.init(
    num_cpus=2,
    include_dashboard=False,
    _node_ip_address="127.0.0.1",
    logging_level="error",
    log_to_driver=False,
    object_store_memory=100 * 2**20,
)
quiet = {"enable_access_log": False, "log_level": "ERROR"}
serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])}, logging_config=quiet)


@serve.deployment(num_replicas=1, logging_config=quiet, max_ongoing_requests=64, ray_actor_options={"num_cpus": 0.5})
class Served:
    def __init__(self):
        self.compute = work.model()

    @serve.batch(max_batch_size=work.BATCH, batch_wait_timeout_s=work.DELAY_S)
    async def many(self, rows):
        return list(self.compute(np.asarray(rows, np.float32)).tolist())

    async def __call__(self, request):
        document = await request.json()
        if work.BATCH > 1:
            return {"y": await self.many(document["x"])}
        return {"y": self.compute(np.asarray([document["x"]], np.float32))[0].tolist()}


serve.run(Served.bind(), name="m", route_prefix="/predict")
threading.Event().wait()
