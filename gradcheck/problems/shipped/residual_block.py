"""A residual block of convolutions with batch norm, max-pooling and a classifier.

K. He, X. Zhang, S. Ren and J. Sun, Deep Residual Learning for Image Recognition, CVPR 2016, section 3.3, with a
projection of the input (option B) and a stride of two; S. Ioffe and C. Szegedy, Batch Normalization, ICML 2015.
"""

import numpy as np

BATCH, CLASSES, EPSILON = 4, 5, 1e-5


def inputs(k):
    return {
        "x": (BATCH, k, 2 * k, 2 * k),
        "labels": (BATCH,),
        "filters1": (k, k, 3, 3),
        "gain1": (k,),
        "shift1": (k,),
        "filters2": (k, k, 3, 3),
        "gain2": (k,),
        "shift2": (k,),
        "projection": (k, k, 1, 1),
        "W": (k, CLASSES),
        "b": (CLASSES,),
    }


def sample(rng, k):
    return {"labels": rng.integers(CLASSES, size=(BATCH,))}


def loss(ops, x, labels, filters1, gain1, shift1, filters2, gain2, shift2, projection, W, b):
    first = ops.watch("first", ops.conv(x, filters1, padding=1))
    active = ops.watch("active", ops.relu(batch_norm(ops, first, gain1, shift1)))
    second = ops.watch("second", ops.conv(active, filters2, stride=2, padding=1))
    skip = ops.watch("skip", ops.conv(x, projection, stride=2))
    joined = ops.watch("joined", batch_norm(ops, second, gain2, shift2) + skip)
    pooled = ops.watch("pooled", ops.max_pool(ops.relu(joined), 3, stride=2, padding=1))
    logits = ops.watch("logits", ops.mean(pooled, axis=(2, 3)) @ W + b)
    shares = ops.log_softmax(logits)
    return -ops.mean(ops.take_along_axis(shares, ops.expand_dims(labels, axis=-1)))


def batch_norm(ops, x, gain, shift):
    centred = x - ops.mean(x, axis=(0, 2, 3), keepdims=True)
    scale = ops.rsqrt(ops.mean(ops.square(centred), axis=(0, 2, 3), keepdims=True) + EPSILON)
    return centred * scale * gain[:, None, None] + shift[:, None, None]


def forward(x, filters1, gain1, shift1, filters2, gain2, shift2, projection, W, b):
    """The watched values, and what the derivatives need besides them."""
    first = convolve(x, filters1, padding=1)
    normal1, kept1 = normalise(first, gain1, shift1)
    active = np.maximum(normal1, 0)
    second = convolve(active, filters2, stride=2, padding=1)
    normal2, kept2 = normalise(second, gain2, shift2)
    skip = convolve(x, projection, stride=2)
    joined = normal2 + skip
    pooled, winners = pool(np.maximum(joined, 0))
    logits = np.mean(pooled, axis=(2, 3)) @ W + b
    values = {
        "first": first, "active": active, "second": second, "skip": skip, "joined": joined, "pooled": pooled,
        "logits": logits,
    }  # fmt: skip
    return values, (kept1, kept2, winners)


def by_hand(x, labels, **given):
    """Each step backwards: d["x"] is the derivative by x."""
    values, (kept1, kept2, winners) = forward(x, **given)
    logits, pooled, joined, active = (values[name] for name in ("logits", "pooled", "joined", "active"))
    rows, places = np.arange(BATCH), pooled.shape[2] * pooled.shape[3]
    largest = np.max(logits, axis=1, keepdims=True)
    exponentials = np.exp(logits - largest)
    total = np.sum(exponentials, axis=1, keepdims=True)

    d = {"logits": exponentials / total}
    d["logits"][rows, labels] -= 1
    d["logits"] /= BATCH
    d["W"], d["b"] = np.mean(pooled, axis=(2, 3)).T @ d["logits"], np.sum(d["logits"], axis=0)
    dfeatures = d["logits"] @ given["W"].T
    d["pooled"] = np.broadcast_to((dfeatures / places)[:, :, None, None], pooled.shape)
    d["joined"] = pool_backward(d["pooled"], winners, joined.shape) * (joined > 0)
    d["skip"] = d["joined"]
    d["second"], d["gain2"], d["shift2"] = normalise_backward(d["joined"], kept2, given["gain2"])
    d["active"], d["filters2"] = convolve_backward(d["second"], active, given["filters2"], stride=2, padding=1)
    d["first"], d["gain1"], d["shift1"] = normalise_backward(d["active"] * (active > 0), kept1, given["gain1"])
    through, d["filters1"] = convolve_backward(d["first"], x, given["filters1"], padding=1)
    through_skip, d["projection"] = convolve_backward(d["skip"], x, given["projection"], stride=2)
    d["x"] = through + through_skip
    return np.mean((largest + np.log(total))[:, 0] - logits[rows, labels]), d, values


def windows(x, size, stride, padding, value=0.0):
    """(batch, channels, rows, columns, size, size): each window of a padded image, as a view."""
    around = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x, around, constant_values=value)
    seen = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    return seen[:, :, ::stride, ::stride]


def convolve(x, filters, stride=1, padding=0):
    """The cross-correlation with square filters."""
    seen = windows(x, filters.shape[2], stride, padding)
    return np.tensordot(seen, filters, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)


def convolve_backward(dy, x, filters, stride=1, padding=0):
    """The derivatives by the image and by the filters."""
    size = filters.shape[2]
    seen = windows(x, size, stride, padding)
    dfilters = np.tensordot(dy, seen, axes=((0, 2, 3), (0, 2, 3)))
    batch, channels, height, width = x.shape
    dpadded = np.zeros((batch, channels, height + 2 * padding, width + 2 * padding), x.dtype)
    for row in range(size):
        for column in range(size):
            rows = slice(row, row + (dy.shape[2] - 1) * stride + 1, stride)
            columns = slice(column, column + (dy.shape[3] - 1) * stride + 1, stride)
            part = np.tensordot(dy, filters[:, :, row, column], axes=(1, 0))
            dpadded[:, :, rows, columns] += part.transpose(0, 3, 1, 2)
    return dpadded[:, :, padding : padding + height, padding : padding + width], dfilters


def normalise(x, gain, shift):
    """Batch norm; also what its derivative needs."""
    centred = x - np.mean(x, axis=(0, 2, 3), keepdims=True)
    scale = 1 / np.sqrt(np.mean(centred * centred, axis=(0, 2, 3), keepdims=True) + EPSILON)
    normal = centred * scale
    return normal * gain[:, None, None] + shift[:, None, None], (normal, scale)


def normalise_backward(dy, kept, gain):
    """The derivatives by the input, the gain and the shift."""
    normal, scale = kept
    dnormal = dy * gain[:, None, None]
    mean = np.mean(dnormal, axis=(0, 2, 3), keepdims=True)
    along = np.mean(dnormal * normal, axis=(0, 2, 3), keepdims=True)
    dx = scale * (dnormal - mean - normal * along)
    return dx, np.sum(dy * normal, axis=(0, 2, 3)), np.sum(dy, axis=(0, 2, 3))


def pool(x):
    """The largest entry of each window of 3 × 3, one in two, and its place in the window."""
    seen = windows(x, 3, 2, 1, -np.inf)
    flat = seen.reshape(*seen.shape[:4], 9)
    return np.max(flat, axis=-1), np.argmax(flat, axis=-1)


def pool_backward(dy, winners, shape):
    """Each derivative at the place of its window's largest entry."""
    batch, channels, height, width = shape
    dpadded = np.zeros((batch, channels, height + 2, width + 2), dy.dtype)
    image, channel, row, column = np.indices(dy.shape)
    np.add.at(dpadded, (image, channel, 2 * row + winners // 3, 2 * column + winners % 3), dy)
    return dpadded[:, :, 1:-1, 1:-1]


gradients = {"numpy": by_hand}
backends = ("numpy", "torch", "jax")
