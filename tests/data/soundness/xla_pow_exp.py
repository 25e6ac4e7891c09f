"""A power of an exponential, which XLA writes as one exponential."""

DATA = {
    "a": [
        10.840153435823849,
        18.32644147653398,
        17.870983074886833,
        12.393694429929521,
        18.76484230810704,
        10.585680348051943,
        13.361170605456604,
        11.50279466894839,
    ]
}


def inputs(k):
    return {"a": (8,)}


def sample(rng, k):
    return DATA


wrt = ("a",)


def loss(ops, a):
    return ops.sum(ops.watch("y", ops.exp(a) ** 2.5))
