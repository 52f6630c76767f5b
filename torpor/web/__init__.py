"""ASGI shell for our services: start, drain, probes, one error table."""
