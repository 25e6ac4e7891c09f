"""Bugs for each shipped problem's hand-written NumPy gradient: a piece of its source, and its replacement.

Three for each small problem, five for each whole model.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """A bug; `kind` and `name` are the report's name of the array that is wrong by itself."""

    problem: str
    kind: str
    name: str
    right: str
    wrong: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.kind} {self.name}: {self.wrong}"


BUGS = (
    Bug("attention", "adjoint", "scores", "(dshares - np.sum(dshares * shares, axis=1, keepdims=True))", "dshares"),
    Bug("attention", "gradient", "Q", "dscores @ K / root", "dscores @ K"),
    Bug("attention", "gradient", "V", "shares.T @ doutput", "np.round(shares.T @ doutput, 4)"),
    Bug("batch_norm", "adjoint", "variance", "/ (2 * deviation * (variance + EPSILON))", "/ (2 * deviation)"),
    Bug("batch_norm", "adjoint", "mean", "np.sum(dnormal, axis=0) / deviation", "np.sum(doutput, axis=0) / deviation"),
    Bug("batch_norm", "gradient", "X", " + dmean / rows", ""),
    Bug("contrastive", "adjoint", "logits", "drows[:, None] * np.exp(logits - rows[:, None]) + ", ""),
    Bug(
        "contrastive",
        "adjoint",
        "logits",
        "dcolumns * np.exp(logits - columns)",
        "dcolumns * np.exp(logits - columns[:, None])",
    ),
    Bug("contrastive", "adjoint", "P", "(du - u * np.sum(du * u, axis=1, keepdims=True))", "du"),
    Bug("contrastive", "adjoint", "v", "scale * (dlogits.T @ u)", "dlogits.T @ u"),
    Bug("contrastive", "gradient", "log_scale", "np.sum(dlogits * logits)", "np.sum(dlogits * logits) / scale"),
    Bug("conv1d", "adjoint", "response", "(1 - activation * activation)", "(1 - response * response)"),
    Bug("conv1d", "gradient", "x", "+= w[tap].T @ dresponse", "= w[tap].T @ dresponse"),
    Bug("conv1d", "gradient", "b", "np.sum(dresponse, axis=1", "np.sum(dactivation, axis=1"),
    Bug("crf", "adjoint", "alpha3", " + np.where(inside[:, t, None], 0, dalpha)", ""),
    Bug("crf", "adjoint", "alpha3", "np.sum(dpairs, axis=2)", "np.sum(dpairs, axis=1)"),
    Bug(
        "crf",
        "gradient",
        "emissions",
        "dpath = dscore[:, None] * inside",
        "dpath = dscore[:, None] * np.ones_like(inside)",
    ),
    Bug(
        "crf",
        "gradient",
        "transitions",
        "np.add.at(dtransitions, (labels[:, :-1], labels[:, 1:]), dpath[:, 1:])",
        "dtransitions[labels[:, :-1], labels[:, 1:]] += dpath[:, 1:]",
    ),
    Bug(
        "crf",
        "gradient",
        "end",
        "np.add.at(dend, labels[rows, last], dscore)",
        "np.add.at(dend, labels[:, -1], dscore)",
    ),
    Bug("gaussian_mixture", "adjoint", "distances", "dexponents * precisions / 2", "dexponents * precisions"),
    Bug(
        "gaussian_mixture",
        "gradient",
        "log_deviations",
        "(np.sum(djoint, axis=0) + dprecisions * precisions)",
        "dprecisions",
    ),
    Bug("gaussian_mixture", "gradient", "logits", " - np.exp(log_weights) * np.sum(dlog_weights)", ""),
    Bug("gaussian_process", "adjoint", "covariance", "(inverse - np.outer(alpha, alpha)) / 2", "inverse / 2"),
    Bug("gaussian_process", "adjoint", "scaled", "-dcovariance * kernel / 2", "-dcovariance * kernel"),
    Bug("gaussian_process", "gradient", "X", "4 * np.sum(ddistance", "2 * np.sum(ddistance"),
    Bug("gaussian_process", "gradient", "log_length", "-2 * np.sum(dscaled", "-np.sum(dscaled"),
    Bug(
        "gaussian_process",
        "gradient",
        "log_noise",
        "np.exp(log_noise) * np.trace(dcovariance)",
        "np.trace(dcovariance)",
    ),
    Bug("layer_norm", "adjoint", "centred", "(2 * centred / X.shape[1])", "centred / X.shape[1]"),
    Bug(
        "layer_norm",
        "adjoint",
        "deviation",
        "normal, axis=1, keepdims=True) / deviation",
        "normal, axis=1, keepdims=True)",
    ),
    Bug("layer_norm", "gradient", "X", " - np.mean(dcentred, axis=1, keepdims=True)", ""),
    Bug(
        "gpt2_block",
        "gradient",
        "embedding",
        'np.add.at(d["embedding"], tokens, d["embedded"])',
        'd["embedding"][tokens] += d["embedded"]',
    ),
    Bug("gpt2_block", "gradient", "W_mix", '@ flat(d["attended"])', '@ flat(d["processed"])'),
    Bug("gpt2_block", "adjoint", "hidden", " + hidden * density", ""),
    Bug("gpt2_block", "adjoint", "joint", 'np.swapaxes(d["scores"], -1, -2) @ queries', 'd["scores"] @ queries'),
    Bug("gpt2_block", "adjoint", "processed", " - normal * along)", ")"),
    Bug("linear_regression", "adjoint", "residual", "residual / len(t)", "np.round(residual / len(t), 4)"),
    Bug("linear_regression", "gradient", "w", "X.T @ dprediction", "X.T @ prediction"),
    Bug("linear_regression", "gradient", "b", "np.sum(dprediction)", "np.mean(dprediction)"),
    Bug("logistic_regression", "adjoint", "logit", " - dpenalty * t", " + dpenalty * t"),
    Bug("logistic_regression", "adjoint", "logit", "np.where(logit >= 0, 1, decay)", "np.where(logit >= 0, decay, 1)"),
    Bug("logistic_regression", "gradient", "b", "np.sum(dlogit)", "np.sum(dnormaliser)"),
    Bug("lstm", "adjoint", "state2", "dstate = dc + dhidden", "dstate = dhidden"),
    Bug("lstm", "adjoint", "hidden2", "dhidden = dh + residual", "dhidden = residual"),
    Bug("lstm", "adjoint", "gates3", "dstate * states[t] * forget", "dstate * states[t + 1] * forget"),
    Bug("lstm", "gradient", "U", "outputs[t].T @ dgates", "outputs[t + 1].T @ dgates"),
    Bug("lstm", "gradient", "b", "db += np.sum", "db = np.sum"),
    Bug("lstm_cell", "adjoint", "gates", "(1 - candidate * candidate)", "(1 - candidate)"),
    Bug("lstm_cell", "adjoint", "forget", "dforget = dstate * c", "dforget = dstate * state"),
    Bug("lstm_cell", "adjoint", "state", "dstate = state + dsquashed", "dstate = dsquashed"),
    Bug("mlp", "adjoint", "weighted", "(weighted > 0)", "(dhidden > 0)"),
    Bug("mlp", "adjoint", "hidden", "doutput @ W.T", "output @ W.T"),
    Bug("mlp", "gradient", "W", "hidden.T @ doutput", "weighted.T @ doutput"),
    Bug("poisson_regression", "value", "surprise", "math.lgamma(count + 1)", "math.lgamma(max(count, 1))"),
    Bug("poisson_regression", "adjoint", "log_rate", "drate * rate + dfit * y", "drate * log_rate + dfit * y"),
    Bug("poisson_regression", "adjoint", "fit", "dfit = -dsurprise", "dfit = dsurprise"),
    Bug("poisson_regression", "gradient", "exposure", "dlog_rate / exposure", "dlog_rate * exposure"),
    Bug("poisson_regression", "gradient", "b", "np.sum(dlog_rate)", "np.mean(dlog_rate)"),
    Bug(
        "rope_swiglu",
        "value",
        "shares",
        "softmax(np.where(np.tri(X.shape[1], dtype=bool), scores, X.dtype.type(-np.inf)))",
        "softmax(scores)",
    ),
    Bug("rope_swiglu", "adjoint", "gate", "s * (1 + gate * (1 - s))", "s * (1 - s)"),
    Bug(
        "rope_swiglu",
        "adjoint",
        "y",
        "(dnormal - normal * np.mean(dnormal * normal, axis=-1, keepdims=True))",
        "dnormal",
    ),
    Bug("rope_swiglu", "adjoint", "k", "dscores.swapaxes(-1, -2) @ q", "dscores @ q"),
    Bug("rope_swiglu", "adjoint", "qkv", "join(rotate(dq, -1))", "join(rotate(dq))"),
    Bug("selective_scan", "adjoint", "h2", "dh = dnext + dy", "dh = dy"),
    Bug("selective_scan", "adjoint", "decay0", "ddecay = dh * before", "ddecay = dh * h"),
    Bug("selective_scan", "adjoint", "step", " + dproduct * X[:, t]\n", "\n"),
    Bug("selective_scan", "adjoint", "A", "dA += np.sum", "dA = np.sum"),
    Bug("selective_scan", "gradient", "X", " + dC @ W_C.T", ""),
    Bug("residual_block", "adjoint", "active", "columns] += part", "columns] = part"),
    Bug("residual_block", "adjoint", "second", "dnormal - mean - normal * along", "dnormal - mean"),
    Bug("residual_block", "gradient", "x", "through + through_skip", "through"),
    Bug("residual_block", "adjoint", "first", 'd["active"] * (active > 0)', 'd["active"] * (values["first"] > 0)'),
    Bug(
        "residual_block",
        "adjoint",
        "joined",
        "np.add.at(dpadded, (image, channel, 2 * row + winners // 3, 2 * column + winners % 3), dy)",
        "dpadded[image, channel, 2 * row + winners // 3, 2 * column + winners % 3] += dy",
    ),
    Bug("sigmoid_skip", "adjoint", "y", "dy = dz * u * (1 - u)", "dy = dz * u"),
    Bug("sigmoid_skip", "adjoint", "z", "dz = C.T @ dw", "dz = C @ dw"),
    Bug("sigmoid_skip", "gradient", "C", "np.outer(dw, z)", "np.outer(dw, u)"),
    Bug("sigmoid_skip_naive", "adjoint", "y", "decay / ((1 + decay) * (1 + decay))", "decay / (1 + decay)"),
    Bug("sigmoid_skip_naive", "adjoint", "w", "dnorm / norm * w", "dnorm * w"),
    Bug("sigmoid_skip_naive", "adjoint", "norm", "dnorm = 2 * norm", "dnorm = norm"),
    Bug("softmax_cross_entropy", "adjoint", "chosen", "dchosen = -dnormaliser", "dchosen = dnormaliser"),
    Bug("softmax_cross_entropy", "adjoint", "logits", "(exponentials / total)", "exponentials"),
    Bug("softmax_cross_entropy", "gradient", "W", "X.T @ dlogits", "X.T @ (exponentials / total)"),
    Bug("vae", "adjoint", "deviation", "ddeviation = dz * noise", "ddeviation = dz"),
    Bug("vae", "adjoint", "log_variance", "ddeviation * deviation / 2", "ddeviation * deviation"),
    Bug("vae", "adjoint", "mean", "dmean = dz + drows[:, None] * mean", "dmean = dz"),
    Bug("vae", "adjoint", "code", " + dlog_variance @ W_log.T", ""),
    Bug("vae", "gradient", "V", "z.T @ dunsquashed", "mean.T @ dunsquashed"),
)
