"""Convolution in one dimension: L = mean(tanh(w ⋆ x + b)²)/2, with (w ⋆ x)ᵢ = Σⱼ wⱼ xᵢ₊ⱼ, each wⱼ a matrix of channels.

I. Goodfellow, Y. Bengio and A. Courville, Deep Learning, 2016, section 9.1, equation 9.6 (the cross-correlation that
libraries call convolution), and section 9.5 for its gradients.
"""

import numpy as np

WIDTH, CHANNELS, FILTERS = 3, 2, 4


def inputs(k):
    return {"x": (CHANNELS, k + WIDTH - 1), "w": (WIDTH, FILTERS, CHANNELS), "b": (FILTERS, 1)}


def loss(x, w, b):
    length = x.shape[1] - WIDTH + 1
    total = w[0] @ x[:, :length]
    for tap in range(1, WIDTH):
        total = total + w[tap] @ x[:, tap : tap + length]
    response = total + b
    activation = np.tanh(response)
    return np.mean(activation * activation) / 2


def vectorised(x, w, b):
    length = x.shape[1] - WIDTH + 1
    windows = [x[:, tap : tap + length] for tap in range(WIDTH)]
    response = sum(w[tap] @ windows[tap] for tap in range(WIDTH)) + b
    activation = np.tanh(response)

    dactivation = activation / activation.size
    dresponse = dactivation * (1 - activation * activation)
    dx = np.zeros_like(x)
    for tap in range(WIDTH):
        dx[:, tap : tap + length] += w[tap].T @ dresponse
    dw = np.stack([dresponse @ window.T for window in windows])
    gradients = {"x": dx, "w": dw, "b": np.sum(dresponse, axis=1, keepdims=True)}
    adjoints = {"response": dresponse, "activation": dactivation}
    values = {"response": response, "activation": activation}
    return np.mean(activation * activation) / 2, gradients | adjoints, values


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "mxnet")
