"""Metrics, tracing and logs: every name and label is declared here."""
