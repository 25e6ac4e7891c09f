"""The known backends, their interpreters, and their processes."""
