"""What is to be done about one object, given what is seen. Pure."""
