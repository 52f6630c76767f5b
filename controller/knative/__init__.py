"""Knative Serving's reconcilers, for where Knative itself is not: a laptop, or a cluster without it."""
