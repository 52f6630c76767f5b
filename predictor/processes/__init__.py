"""A model in processes of its own, which may crash, hang and leak without taking the server with them."""
