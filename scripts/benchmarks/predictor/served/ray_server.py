import os
import threading

import numpy as np
import ray
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
class Sum:
    async def __call__(self, request):
        document = await request.json()
        return {"y": float(np.asarray(document["x"], np.float32).sum())}


serve.run(Sum.bind(), name="m", route_prefix="/predict")
threading.Event().wait()
