"""Triton's Python backend: a class `TritonPythonModel`, and the module that it imports."""
