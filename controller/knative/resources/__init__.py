"""What is made for each object. Pure."""
