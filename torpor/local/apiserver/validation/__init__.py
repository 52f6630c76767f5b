"""What a schema cannot say: names, references between fields, and what on a cluster webhooks say. All of it is pure."""
