"""Core ATen operators that have neither a row nor a reason, and rows of no operator: run where PyTorch is installed."""

from __future__ import annotations

import json


def main() -> None:
    import torch

    from gradcheck.graphs.torch import CONVERSION, FILES
    from gradcheck.graphs.torch_reasons import REASONS
    from gradcheck.graphs.torch_rows import ROWS

    assert FILES, "they have filled the table"
    packets = [getattr(torch.ops.aten, name) for name in dir(torch.ops.aten)]
    known = [getattr(each, overload) for each in packets if hasattr(each, "overloads") for overload in each.overloads()]
    core = {str(each) for each in known if torch.Tag.core in each.tags}
    core = {each for each in core if not each.endswith(".out")}  # functionalisation makes others of them
    without = sorted(each for each in core - {*ROWS, CONVERSION} if each.split(".")[1] not in REASONS)
    unknown = [name for name in sorted(ROWS) if not _exists(torch, name)]
    print(json.dumps({"without": without, "unknown": unknown, "core": len(core)}))


def _exists(torch, name: str) -> bool:
    _, operator, overload = name.split(".")
    return hasattr(getattr(torch.ops.aten, operator, None), overload)


if __name__ == "__main__":
    main()
