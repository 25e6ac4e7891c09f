"""Make the dumps in tests/data/torch, with PyTorch: `python -m tests.torch_front.dumping FOLDER [NAME …]`.

Each has the answers of PyTorch's autograd beside it. Files are named from the package's folder, or from this one.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    import torch

    from tests.torch_front import models

    for name, (function, arguments) in models.cases().items():
        if names and name not in names:
            continue
        (folder / f"{name}.json").write_text(json.dumps(dumped(torch, function, arguments), indent=0) + "\n")


def dumped(torch: Any, function: Any, arguments: tuple) -> dict[str, Any]:
    """The dump of a function, and what PyTorch computes."""
    from gradcheck.backends import _torch_export as export
    from gradcheck.graphs.torch import ROWS

    is_module = isinstance(function, torch.nn.Module)
    names = list(inspect.signature(function.forward if is_module else function).parameters)
    leaves = export.leaves_of(torch, (arguments, {}), names)
    module = export.wrapped(torch, function, {"": function} if is_module else {})
    dump = export.dumped(torch, module, (arguments, {}), [name for name, _ in leaves], ROWS)
    tensors = {**dict(leaves), **dict(module.named_parameters())}
    wanted = {name: each.requires_grad_() for name, each in tensors.items() if each.is_floating_point()}
    results = [each for each in torch.utils._pytree.tree_leaves(function(*arguments)) if each.is_floating_point()]
    loss = sum(each.sum() for each in results)
    found = torch.autograd.grad(loss, list(wanted.values()), materialize_grads=True, allow_unused=True)
    answers = {"loss": loss, **dict(zip(wanted, found))}
    library = str(Path(torch.__file__).parents[1])
    for node in dump["nodes"]:
        if node["file"]:
            node["file"] = str(Path(node["file"]).relative_to(library if library in node["file"] else HERE))
    arrays = {name: flat(array) for name, array in dump["arrays"].items()}
    return {**dump, "arrays": arrays, "answers": {name: flat(each.detach().numpy()) for name, each in answers.items()}}


def flat(array: Any) -> dict[str, Any]:
    """An array as JSON."""
    return {"dtype": str(array.dtype), "shape": array.shape, "data": array.ravel().tolist()}


if __name__ == "__main__":
    main()
