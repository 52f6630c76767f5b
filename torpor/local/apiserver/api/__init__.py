"""Kubernetes' HTTP: paths, media types, discovery, and streams. What the verbs mean is the registry's."""
