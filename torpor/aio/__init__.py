"""Async tools that know no inference."""
