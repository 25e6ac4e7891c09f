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
