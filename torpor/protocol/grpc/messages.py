"""The messages and methods of the protocol, in a pool of their own.

protobuf's default pool takes each name once: a model that imports Triton's or KServe's client, which define the same
names, could not be loaded into a process that has them there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "inference.GRPCInferenceService"
Message = Any
"""A protobuf message: its fields are made from descriptors, so no type says them."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the service."""

    name: str
    request: type[Message]
    response: type[Message]
    streams: bool
    """In both directions; otherwise in none."""


def _pool() -> descriptor_pool.DescriptorPool:
    found = descriptor_pb2.FileDescriptorSet.FromString(files(__package__).joinpath("inference.binpb").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for each in found.file:
        pool.Add(each)
    return pool


POOL = _pool()


def message(name: str) -> type[Message]:
    """Return the class of the message `inference.NAME`."""
    found: type[Message] = message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"inference.{name}"))
    return found


def _methods() -> Mapping[str, Method]:
    return {
        each.name: Method(
            each.name,
            message_factory.GetMessageClass(each.input_type),
            message_factory.GetMessageClass(each.output_type),
            each.client_streaming,
        )
        for each in POOL.FindServiceByName(SERVICE).methods
    }


METHODS = _methods()
ModelInferResponse = message("ModelInferResponse")
