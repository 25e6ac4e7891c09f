"""Text: escaping, suggestions and wording of messages."""
