"""The verbs on objects: get, create, update, patch, delete, and what follows from them. Knows no HTTP."""
