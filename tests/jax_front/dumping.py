"""Make the dumps in tests/data/jax, with JAX: `python -m tests.jax_front.dumping FOLDER [NAME …]`.

Each has the answers of JAX beside it: by forward mode, without the rules of custom_vjp. Files are named from this
folder, or that of JAX.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    import jax

    jax.config.update("jax_enable_x64", True)
    from tests.jax_front import models

    for name, (function, arguments) in models.cases().items():
        if names and name not in names:
            continue
        (folder / f"{name}.json").write_text(json.dumps(dumped(jax, function, arguments), indent=0) + "\n")


def dumped(jax: Any, function: Any, arguments: tuple) -> dict[str, Any]:
    """The dump of a function, and what JAX computes."""
    from gradcheck.backends import _jax_calls as calls
    from gradcheck.backends import _jax_export as export

    call = calls.JaxCall(jax, function, arguments, {})
    try:
        dump = export.dumped(jax, call.labelled, call.arrays)
    except export.Untraceable as error:
        return {"refused": str(error).replace(f"{HERE}/", "")}
    library = str(Path(jax.__file__).parents[1])
    for node in dump["nodes"]:
        if node["file"]:
            node["file"] = str(Path(node["file"]).relative_to(library if library in node["file"] else HERE))
    arrays = {name: flat(array) for name, array in dump["arrays"].items()}
    answers = {name: flat(each) for name, each in answers_of(jax, function, call).items()}
    return {**dump, "arrays": arrays, "answers": answers}


def answers_of(jax: Any, function: Any, call: Any) -> dict[str, Any]:
    """The sum of all results, and its gradients."""
    names = [name for name, each in call.arrays.items() if jax.numpy.issubdtype(each.dtype, float)]

    def loss(*arrays: Any) -> Any:
        results = call.labelled(*{**call.arrays, **dict(zip(names, arrays))}.values())
        return sum(each.sum() for each in results.values() if jax.numpy.issubdtype(each.dtype, float))

    given = [call.arrays[name] for name in names]
    with_rule = hasattr(function, "defvjp")
    plain = [] if with_rule else jax.jacfwd(loss, range(len(names)))(*given)
    return {"loss": loss(*given), **dict(zip(names, plain))}


def flat(array: Any) -> dict[str, Any]:
    """An array as JSON."""
    import numpy as np

    array = np.asarray(array)
    return {"dtype": str(array.dtype), "shape": array.shape, "data": array.ravel().tolist()}


if __name__ == "__main__":
    main()
