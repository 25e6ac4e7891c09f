"""Words of fused kernels in NumPy, for real and complex arrays of any precision, as they are written out.

Only workers import it.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def scaled_dot_product_attention(
    q: Any, k: Any, v: Any, mask: Any = None, is_causal: bool = False, scale: Any = None
) -> Any:
    """softmax(scale·q kᵀ)v."""
    scores = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(np.longdouble(q.shape[-1])) if scale is None else scale)
    allowed = np.tri(*scores.shape[-2:]) > 0 if is_causal else np.array(True)
    allowed = allowed if mask is None else allowed & mask
    largest = np.max(np.where(allowed, np.real(scores), -np.inf), axis=-1, keepdims=True)
    exponentials = np.where(allowed, np.exp(np.where(allowed, scores - largest, 0)), 0)
    return (exponentials @ v) / np.sum(exponentials, axis=-1, keepdims=True)


def layer_norm(x: Any, weight: Any = None, bias: Any = None, epsilon: float = 1e-5, axis: int = -1) -> Any:
    """(x − mean)/√(variance + epsilon)·weight + bias."""
    centred = x - np.mean(x, axis=axis, keepdims=True)
    return _scaled(centred, weight, bias, epsilon, axis)


def rms_norm(x: Any, weight: Any = None, epsilon: float = 1e-5, axis: int = -1) -> Any:
    """x/√(mean square + epsilon)·weight."""
    return _scaled(x, weight, None, epsilon, axis)


def _scaled(x: Any, weight: Any, bias: Any, epsilon: float, axis: int) -> Any:
    """x/√(mean square + epsilon)·weight + bias."""
    result = np.moveaxis(x / np.sqrt(np.mean(x * x, axis=axis, keepdims=True) + epsilon), axis, -1)
    result = result if weight is None else result * weight
    return np.moveaxis(result if bias is None else result + bias, -1, axis)


def batch_norm(x: Any, weight: Any = None, bias: Any = None, epsilon: float = 1e-5) -> Any:
    """(x − mean)/√(variance + epsilon)·weight + bias of each channel."""
    channels = np.moveaxis(x, 1, 0)
    flat = channels.reshape(len(channels), -1)
    normal = layer_norm(flat, epsilon=epsilon)
    normal = normal if weight is None else normal * weight[:, None]
    return np.moveaxis((normal if bias is None else normal + bias[:, None]).reshape(channels.shape), 0, 1)
