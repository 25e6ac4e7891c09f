"""Primitives of jax.lax that have neither a row nor a reason, and rows of no primitive: run where JAX is installed."""

from __future__ import annotations

import json


def main() -> None:
    import jax
    from jax.extend.core import Primitive
    from jax.extend.core import primitives as known

    from gradcheck.backends import _jax_bodies, _jax_export
    from gradcheck.graphs.jax import CONVERSION, FILES
    from gradcheck.graphs.jax_reasons import REASONS
    from gradcheck.graphs.jax_rows import ROWS

    assert FILES, "they have filled the table"
    places = [known, jax.lax, jax.lax.linalg]
    found = {each.name for place in places for each in vars(place).values() if isinstance(each, Primitive)}
    made = {CONVERSION, *_jax_export.LOOPS}
    kept = {f"jit[{name}]" for name in _jax_bodies.KEPT}
    without = sorted(found - {*ROWS, *REASONS, *made})
    unknown = sorted(set(ROWS) - {*found, *kept, "take", "put", "stack"})
    print(
        json.dumps({"without": without, "unknown": unknown, "primitives": len(found), "kept": sorted(kept - set(ROWS))})
    )


if __name__ == "__main__":
    main()
