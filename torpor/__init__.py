"""What the services share: specs, wire formats, the Kubernetes client, telemetry."""

__version__ = "0.1.0"
