"""Triton's gRPC client, its messages in a pool of their own.

KServe's SDK defines the same names, and protobuf's default pool takes each of them once: whoever came second in this
process could not be imported.
"""

from __future__ import annotations

from unittest import mock

from google.protobuf import descriptor_pool

_POOL = descriptor_pool.DescriptorPool()

with mock.patch.object(descriptor_pool, "Default", return_value=_POOL):
    import tritonclient.grpc as sync
    import tritonclient.grpc.aio as aio
    from tritonclient.grpc import model_config_pb2, service_pb2

__all__ = ["aio", "model_config_pb2", "service_pb2", "sync"]
