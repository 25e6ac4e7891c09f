"""Why primitives of JAX have no row in the table of `jax_rows`."""

from __future__ import annotations

import re

RANDOM = "it draws normal random numbers: give them as an argument"
KNOWN = "it depends on no floating input: gradcheck computes it beforehand"
INLINED = "its steps take its place"
OPAQUE = "JAX does not see what it computes"
SEVERAL = "it computes on several devices: expected one"
NO_WORD = "the vocabulary has no word for it"
COMPLEX = "it computes complex numbers"
PLACES = "its indices depend on floating numbers; if they do not, `take` or `put` is in its place"
FACTORS = "the vocabulary has solve, inv, slogdet and cholesky alone"
EFFECTS = "it has effects, or is a step of JAX's own transformations"
NARROW = "it rounds to fewer digits than a dtype has"

_NAMES = {
    RANDOM: "erf_inv random_gamma_grad rng_bit_generator rng_uniform",
    KNOWN: """axis_index bitcast_convert_type clz empty2 iota mulhi nextafter platform_index population_count
        random_bits random_clone random_fold_in random_gamma random_seed random_split random_unwrap
        random_wrap shift_left shift_right_arithmetic shift_right_logical threefry2x32""",
    INLINED: "call closed_call cond core_call custom_jvp_call custom_vjp_call jit remat2 scan while",
    OPAQUE: "ffi_call io_callback pallas_call pure_callback",
    SEVERAL: "all_gather all_to_all pmax pmin ppermute psum ragged_all_to_all shard_map",
    NO_WORD: """approx_top_k bessel_i0e bessel_i1e cbrt cumlogsumexp cummax cummin custom_linear_solve eq_to
        igamma igamma_grad_a igammac le_to lt_to polygamma reduce reduce_window reduce_xor
        regularized_incomplete_beta scatter-max scatter-min scatter-mul scatter-sub select_and_gather_add
        select_and_scatter select_and_scatter_add symmetric_product zeta""",
    COMPLEX: "complex conj fft imag real",
    PLACES: "dynamic_slice dynamic_update_slice gather scatter scatter-add",
    FACTORS: """cholesky_update eig eigh hessenberg householder_product lu lu_pivots_to_permutation ormqr qr schur svd
        tridiagonal tridiagonal_solve""",
    EFFECTS: "after_all create_token custom_lin dce_sink get stage swap",
    NARROW: "reduce_precision",
}
REASONS = {name: reason for reason, names in _NAMES.items() for name in names.split()}
"""The reason by the primitive's name."""


def reason(primitive: str, instead: str) -> str:
    """Why a primitive has no row, and what to write.

    Args:
        primitive: such as "cumprod".
        instead: what else may state the truth.
    """
    expected = f"expected primitives of docs/jax.md, or {instead}"
    return f"{re.split('[:;]', REASONS.get(primitive, NO_WORD))[0]}: {expected}"
