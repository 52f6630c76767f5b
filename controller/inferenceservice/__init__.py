"""InferenceService to Knative Service and Route."""
