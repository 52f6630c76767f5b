"""Models of a Triton model repository, as Triton's users have them."""
