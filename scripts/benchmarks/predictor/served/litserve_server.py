import os

import litserve
import numpy as np


class Sum(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return np.asarray(request["x"], np.float32)

    def predict(self, x):
        return x.sum()

    def encode_response(self, output):
        return {"y": float(output)}


if __name__ == "__main__":
    server = litserve.LitServer(Sum(), accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        log_level="error",
        generate_client_file=False,
        access_log=False,
    )
