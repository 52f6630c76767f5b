"""From a URI to a warm model in five stages: resolve, fetch, verify, open, warm."""
