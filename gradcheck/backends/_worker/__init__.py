"""The worker's side of the protocol."""
