"""From host and path to a route, from a route to a revision."""
