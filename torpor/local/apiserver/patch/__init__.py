"""The four ways to change an object by a patch, and who owns which field. All of it is pure."""
