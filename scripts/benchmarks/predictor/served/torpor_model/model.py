"""The sum of each row; and, for tensors of megabytes, the tensor itself."""


class Model:
    def infer(self, inputs):
        if "echo" in inputs:
            return {"echoed": inputs["echo"]}
        return {"y": inputs["x"].sum(axis=1, keepdims=True)}
