"""Answers compared with the oracle: verdicts, their evidence and their cause."""
