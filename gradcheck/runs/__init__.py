"""One case or many, from a request to a report."""
