"""Takes two seconds, and its requests may wait."""

import time


class Model:
    def __init__(self):
        self.batching = {"max_batch_size": 4}

    def infer(self, inputs):
        if inputs["x"].any():
            time.sleep(2)
        return {"y": inputs["x"]}
