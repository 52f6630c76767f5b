"""KServe's own server, without its three log lines a request."""

import os

import kserve
import kserve.logging
import work


class Served(kserve.Model):
    def __init__(self):
        super().__init__("m")
        self.compute = work.model()
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        found = self.compute(payload.inputs[0].as_numpy())
        output = kserve.InferOutput("y", list(found.shape), "FP32")
        output.set_data_from_numpy(found, binary_data=False)
        return kserve.InferResponse(payload.id or "1", self.name, [output])


if __name__ == "__main__":
    for name in ("uvicorn.access", "kserve.trace"):
        quiet = kserve.logging.KSERVE_LOG_CONFIG["loggers"].setdefault(name, {"handlers": [], "propagate": False})
        quiet["level"] = "WARNING"
    server = kserve.ModelServer(
        http_port=int(os.environ["PORT"]), workers=1, enable_grpc=False, enable_docs_url=False, access_log_format=None
    )
    server.start([Served()])
