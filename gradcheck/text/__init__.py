"""Text: what is shown, escaped, suggested and put into words."""
