"""Which backends there are, their interpreters, and their processes."""
