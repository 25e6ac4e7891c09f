"""Why core ATen operators have no row in the table of `torch_rows`."""

from __future__ import annotations

RANDOM = "it draws random numbers: give them as an argument"
BACKWARD = "it is a step of a backward pass: expected the forward pass alone"
DECOMPOSED = "torch.export decomposes it into operators that have rows"
KNOWN = "it depends on no floating input: gradcheck computes it beforehand"
NO_WORD = "the vocabulary has no word for it"
DATA = "its shape or its result depends on the values"
MEMORY = "it reads memory by strides: expected views, slices and permutations"
STATIC = "shapes are numbers: gradcheck records one case"

_NAMES = {
    RANDOM: "bernoulli multinomial normal rand rand_like randint randn randn_like randperm",
    BACKWARD: """_adaptive_avg_pool2d_backward avg_pool2d_backward convolution_backward embedding_dense_backward
        max_pool2d_with_indices_backward native_group_norm_backward native_layer_norm_backward""",
    DECOMPOSED: "col2im reflection_pad1d reflection_pad2d reflection_pad3d replication_pad2d replication_pad3d",
    KNOWN: "arange empty empty_strided full scalar_tensor",
    NO_WORD: """_cdist_forward _embedding_bag _fft_c2r _fft_r2c _pdist_forward grid_sampler_2d isinf""",
    DATA: "_local_scalar_dense masked_scatter nonzero",
    MEMORY: "as_strided",
    STATIC: "sym_numel sym_size sym_storage_offset sym_stride",
}
REASONS = {name: reason for reason, names in _NAMES.items() for name in names.split()}
"""The reason by the operator's name, without "aten." and its overload."""


def reason(operator: str, instead: str) -> str:
    """Why an operator has no row, and what to write.

    Args:
        operator: such as "aten.topk.default".
        instead: what else may state the truth.
    """
    name = operator.split(".")[1] if operator.startswith("aten.") else operator
    expected = f"expected operators of docs/torch.md, or {instead}"
    return f"{REASONS.get(name, NO_WORD).partition(':')[0]}: {expected}"
