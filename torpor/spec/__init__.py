"""Kubernetes objects as frozen dataclasses: parsed, defaulted, validated, with field paths in errors."""
