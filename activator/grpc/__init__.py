"""The HTTP/2 data plane: gRPC and whatever else comes by HTTP/2, to pods that speak it."""
