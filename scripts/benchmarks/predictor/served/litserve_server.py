import os

import litserve
import numpy as np
import work


class Served(litserve.LitAPI):
    def setup(self, device):
        self.compute = work.model()

    def decode_request(self, request):
        return np.asarray(request["x"], np.float32)

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, x):
        return self.compute(x if x.ndim == 2 else x[None])

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return {"y": output.ravel().tolist()}


if __name__ == "__main__":
    api = Served(max_batch_size=work.BATCH, batch_timeout=work.DELAY_S if work.BATCH > 1 else 0.0)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        log_level="error",
        generate_client_file=False,
        access_log=False,
    )
