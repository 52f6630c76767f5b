"""The HTTP/1.1 data plane: clients on one side, pods on the other."""
