"""Every kind that is served: one entry in `table` each."""
