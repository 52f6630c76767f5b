"""Several activators as one: who is there, who leads, what the others count, and whose slots are whose."""
