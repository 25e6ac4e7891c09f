"""Answers against the oracle: verdicts, their evidence and their cause."""
