"""V2 over gRPC. Imported once HTTP is answered: grpcio takes 100 ms."""
