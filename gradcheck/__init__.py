"""Evaluate one loss and its gradients in many engines, and say with a certificate which of them is wrong."""

__version__ = "0.1.0"
