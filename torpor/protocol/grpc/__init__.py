"""The Open Inference Protocol over gRPC. Needs protobuf, which the extra `grpc` brings."""
