"""Calls without a client's own ideas of what may be sent."""

from __future__ import annotations

from typing import Any

import grpc

from tests.support.triton import service_pb2

PATH = "/inference.GRPCInferenceService/"


def channel(port: int) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}")


def message(raw: bytes = bytes(16), *, name: str = "x", datatype: str = "FP64", **changes: Any) -> Any:
    """Return a request of one row."""
    found = service_pb2.ModelInferRequest(**{"model_name": "m", "raw_input_contents": [raw]} | changes)
    found.inputs.add(name=name, datatype=datatype, shape=[1] if datatype == "BYTES" else [1, 2])
    return found


def text(content: bytes, **changes: Any) -> Any:
    """Return a request for a model that takes a text."""
    raw = len(content).to_bytes(4, "little") + content
    return message(raw, name="text_input", datatype="BYTES", **changes)


async def infer(channel: grpc.aio.Channel, asked: Any, **options: Any) -> Any:
    """Call ModelInfer with a message, or with any bytes."""
    data = asked if isinstance(asked, bytes) else asked.SerializeToString()
    call = channel.unary_unary(f"{PATH}ModelInfer", response_deserializer=service_pb2.ModelInferResponse.FromString)
    return await call(data, timeout=20, **options)


def stream(channel: grpc.aio.Channel, *given: Any) -> Any:
    """Call ModelStreamInfer with these messages, or any bytes; with none, to be written to."""
    call = channel.stream_stream(
        f"{PATH}ModelStreamInfer",
        response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
    )
    return call(
        iter([each if isinstance(each, bytes) else each.SerializeToString() for each in given]) if given else None
    )
