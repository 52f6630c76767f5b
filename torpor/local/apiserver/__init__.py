"""The laptop's Kubernetes API: the real wire protocol for the kinds that Torpor knows, kept in SQLite."""
