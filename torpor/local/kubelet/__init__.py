"""The laptop's pods: processes, probes, logs, endpoints."""
