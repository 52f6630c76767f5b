"""Several requests in one execution of a model: when, which, and how they are put together."""
