"""KServe's own server, without its three log lines a request."""

import os

import kserve
import kserve.logging


class Sum(kserve.Model):
    def __init__(self):
        super().__init__("m")
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        total = payload.inputs[0].as_numpy().sum(axis=1, keepdims=True)
        output = kserve.InferOutput("y", list(total.shape), "FP32")
        output.set_data_from_numpy(total, binary_data=False)
        return kserve.InferResponse(payload.id or "1", self.name, [output])


if __name__ == "__main__":
    for name in ("uvicorn.access", "kserve.trace"):
        quiet = kserve.logging.KSERVE_LOG_CONFIG["loggers"].setdefault(name, {"handlers": [], "propagate": False})
        quiet["level"] = "WARNING"
    server = kserve.ModelServer(
        http_port=int(os.environ["PORT"]), workers=1, enable_grpc=False, enable_docs_url=False, access_log_format=None
    )
    server.start([Sum()])
