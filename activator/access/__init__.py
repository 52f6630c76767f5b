"""Who may call a service, and how often: policies, keys, tokens, limits."""
