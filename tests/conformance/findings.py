"""Errors of engines that these tests found, with their causes.

None rests on one x86 processor: all are found with AVX, AVX2 and AVX-512 (`--processor`). MXNet's oneDNN gives the same
softrelu with each from SSE4.1 on, and MLX's functions are compiled for one instruction set.
"""

SOFTRELU = "softrelu returns its argument above 20, off by up to 2e-9: it has no threshold to set, as PyTorch's has"
SOFTRELU_32 = "oneDNN's float32 softrelu is off by up to 2e-6 below zero: -1.9e-6 at -18 instead of 1.5e-8, 0 at -30"
EXPM1 = "the derivative is taken as expm1(a) + 1, 0 far below zero: https://github.com/pytorch/pytorch/issues/192406"
EXPM1_AUTOGRAD = "autograd takes the derivative as expm1(a) + 1, 0 below -37: `ans + 1` in its numpy_vjps.py"
EXP_MLX = (
    "exp splits a·log₂e after rounding it, off by u·|a|, 50 u at 61; it is inf above 88: mlx/backend/cpu/simd/math.h"
)
EXPM1_MLX = "the derivative is taken as expm1(a) + 1, 0 far below zero"
EXPM1_JAX = "the derivative is taken as expm1(a) + 1, 0 far below zero: https://github.com/jax-ml/jax/issues/39794"
AXES_AUTOGRAD = "the gradient goes back by argsort(axes), wrong for negative axes: `transpose` in its numpy_vjps.py"
LOG1P_JAX = (
    "XLA's float64 log1p on the CPU is off by up to 240 u near −0.414: https://github.com/jax-ml/jax/issues/39707"
)
QUOTIENT_FORWARD = (
    "the tangent of a/b takes in −0·a/b² for a b that stands still, NaN where b² underflows, as jax.jacfwd has it at "
    "a = b = 1e-30 in float32: https://github.com/jax-ml/jax/pull/15766 would divide twice"
)
EXPONENTIALS_XLA = (
    "XLA compiles eᵃ·eᵇ as eᵃ⁺ᵇ, eᵃ/eᵇ as eᵃ⁻ᵇ and (eᵃ)ᵖ as e^(pa), and loses |a + b| u, 64 u and more: by "
    "its own choice, `exp(A)*exp(B) => exp(A+B)` in its algebraic_simplifier.cc"
)
EXPM1_INDUCTOR = "inductor computes expm1 as exp(a) − 1, 0 at 1e-30: `expm1` in torch/_inductor/codegen/cpp.py"
POWER_COMPLEX = (
    "NumPy computes the complex power aᵖ as e^(p log a) where p is no integer, and loses |p log a| u, 48 u at 1e-30"
)
MAX_MXNET = "max and min hand the whole gradient to each of the entries that tie, so that their shares add up to n"
PAD_MXNET = "pad puts zeros beside the entries, whatever constant_values says, as in mx.np.pad(a, w, constant_values=2)"
LOG_SOFTMAX_MXNET = "oneDNN's float32 log_softmax is off by 64 u: of a single entry it is 1.4e-6 instead of 0"
ERF_NARROW = (
    "kernels of narrow dtypes, and compiled ones, take erf by a formula that is off by up to 1.5e-7, 0 at 1e-30: "
    "Abramowitz and Stegun 7.1.26, `erf` in ATen/cpu/vec/vec512/vec512_float.h"
)
ERF_MLX = "erf is off by up to 6e-7, 0 at 1e-30: Abramowitz and Stegun 7.1.26, in mlx/backend/cpu/simd/math.h"
ERF_MXNET = "erf's derivative has a float32 π in it: `erf_grad` in src/operator/mshadow_op.h"
GELU_MXNET = "gelu computes in float32 in every dtype: `gelu` in src/operator/mshadow_op.h"
CLIP_MXNET = "clip takes its ends in float32: `a_max` is a real_t in src/operator/tensor/matrix_op-inl.h"
DIGAMMA_MXNET = "the derivative of lgamma is a digamma in float32: `gammaln_grad` in src/operator/mshadow_op.h"
TRIGAMMA_TORCH = (
    "trigamma, the derivative of digamma, ends its series too early, off by up to 5e-10 relative in float64: "
    "`trigamma` in ATen/native/Math.h"
)
LEAKY_MXNET = "leaky_relu multiplies in float32 in every dtype: `xelu` in src/operator/mshadow_op.h"
LAYER_NORM_MXNET = "layer_norm takes epsilon in float32: `eps` is a float in src/operator/nn/layer_norm-inl.h"
ELU_MXNET = "elu takes α in float32: `slope` in src/operator/leaky_relu-inl.h"
HYPOT_JAX = (
    "hypot is max·√(1 + (min/max)²), whose derivative divides by max², 0 in float16 below 2.4e-4: "
    "jax/_src/numpy/ufuncs.py"
)
GAMMALN_SCIPY = "SciPy's gammaln is infinite at subnormal numbers"
ELU_MXNET_32 = "elu's derivative is α at 1e-30, as if that were not above zero"
ELU_MLX = "elu's derivative is 0·∞ where eᵃ overflows: `mx.where(x > 0, x, alpha * (mx.exp(x) - 1))` in mlx.nn"
LOGADDEXP_MLX = "the second operand's share is 1 − σ(a − b), off by u: `LogAddExp::vjp` in mlx/primitives.cpp"
ATANH_INDUCTOR = (
    "inductor computes atanh as ½·log((1 + a)/(1 − a)), 0 at 1e-30: `atanh` in torch/_inductor/codegen/cpp.py"
)
LEAKY_TENSORFLOW = "leaky_relu takes its slope in float32: `alpha: float` of LeakyRelu in core/ops/nn_ops.cc"
GELU_TENSORFLOW = (
    "gelu rounds √½ and 0.044715 to float32 in every dtype, since tf.cast makes a float32 tensor of a number first: "
    "`gelu` in python/ops/nn_ops.py"
)
MOMENTS_MXNET = "np.var and np.std have the gradient zero: MakeZeroGradNodes in src/operator/numpy/np_moments_op.cc"
PROD_AUTOGRAD = "prod's derivative is g·v/a, 0/0 where a factor is zero: `grad_np_prod` in its numpy_vjps.py"
PROD_MXNET = "prod's derivative is a quotient by the factor, NaN where that is zero, as of mx.np.prod([2, 0, 3])"
CUMPROD_TENSORFLOW = (
    "cumprod's derivative is divided by the factor, and 0 where that is zero: `_CumprodGrad` in python/ops/math_grad.py"
)
NORM_AUTOGRAD = "norm's derivative forgets keepdims, and adds the axis once more: `norm_vjp` in its numpy/linalg.py"
FINDINGS = {
    **{("torch", "erf", dtype): ERF_NARROW for dtype in ("float16", "bfloat16")},
    **{("torch-compile", "erf", dtype): ERF_NARROW for dtype in ("float32", "float16", "bfloat16")},
    ("torch-forward", "erf", "bfloat16"): ERF_NARROW,
    **{("mlx", "erf", dtype): ERF_MLX for dtype in ("float32", "float16", "bfloat16")},
    **{(name, "atanh", "float64"): LOG1P_JAX for name in ("jax", "jax-eager")},
    **{("torch-compile", "atanh", dtype): ATANH_INDUCTOR for dtype in ("float64", "float32", "bfloat16")},
    **{("mlx", "elu", dtype): ELU_MLX for dtype in ("float32", "float16")},
    **{("mlx", "logaddexp", dtype): LOGADDEXP_MLX for dtype in ("float32", "float16", "bfloat16")},
    **{(name, "hypot", "float16"): HYPOT_JAX for name in ("jax", "jax-eager")},
    ("autograd", "lgamma", "float64"): GAMMALN_SCIPY,
    ("mxnet", "elu", "float32"): ELU_MXNET_32,
    ("mlx", "log_sigmoid", "float32"): EXP_MLX,
    ("mxnet", "log_sigmoid", "float64"): SOFTRELU,
    ("mxnet", "log_sigmoid", "float32"): SOFTRELU_32,
    ("mxnet", "lgamma", "float64"): DIGAMMA_MXNET,
    **{(name, "digamma", "float64"): TRIGAMMA_TORCH for name in ("torch", "torch-compile", "torch-forward")},
    ("mxnet", "leaky_relu", "float64"): LEAKY_MXNET,
    ("mxnet", "elu", "float64"): ELU_MXNET,
    ("mxnet", "layer_norm", "float64"): LAYER_NORM_MXNET,
    **{(name, "leaky_relu", "float64"): LEAKY_TENSORFLOW for name in ("tensorflow", "tensorflow-graph")},
    ("mxnet", "erf", "float64"): ERF_MXNET,
    ("mxnet", "gelu", "float64"): GELU_MXNET,
    ("mxnet", "clip", "float64"): CLIP_MXNET,
    **{(name, "gelu", "float64"): GELU_TENSORFLOW for name in ("tensorflow", "tensorflow-graph")},
    ("complex-step", "**", "float64"): POWER_COMPLEX,
    **{("jax-forward", "/", dtype): QUOTIENT_FORWARD for dtype in ("float32", "bfloat16")},
    **{(name, "log1p", "float64"): LOG1P_JAX for name in ("jax", "jax-eager", "jax-forward")},
    **{
        (name, "expm1", dtype): EXPM1_JAX
        for name in ("jax", "jax-eager", "jax-forward")
        for dtype in ("float64", "float32", "bfloat16")
    },
    **{(name, "expm1", "float16"): EXPM1_JAX for name in ("jax", "jax-eager")},
    **{("autograd", "permute_dims", dtype): AXES_AUTOGRAD for dtype in ("float64", "float32", "float16")},
    ("autograd", "expm1", "float64"): EXPM1_AUTOGRAD,
    ("autograd", "expm1", "float32"): EXPM1_AUTOGRAD,
    ("autograd", "expm1", "float16"): EXPM1_AUTOGRAD,
    **{("autograd", "vector_norm", dtype): NORM_AUTOGRAD for dtype in ("float64", "float32", "float16")},
    **{("autograd", "prod", dtype): PROD_AUTOGRAD for dtype in ("float64", "float32")},
    **{("mxnet", "prod", dtype): PROD_MXNET for dtype in ("float64", "float32")},
    **{("tensorflow", "cumulative_prod", dtype): CUMPROD_TENSORFLOW for dtype in ("float64", "float32")},
    ("mlx", "exp", "float32"): EXP_MLX,
    ("mlx", "sigmoid", "float32"): EXP_MLX,
    ("mlx", "softplus", "float32"): EXP_MLX,
    ("mlx", "silu", "float32"): EXP_MLX,
    ("mlx", "expm1", "float64"): EXPM1_MLX,
    ("mlx", "expm1", "float32"): EXPM1_MLX,
    ("mlx", "expm1", "float16"): EXPM1_MLX,
    ("mlx", "expm1", "bfloat16"): EXPM1_MLX,
    **{("mxnet", word, dtype): MAX_MXNET for word in ("max", "min") for dtype in ("float64", "float32")},
    ("mxnet", "pad", "float64"): PAD_MXNET,
    ("mxnet", "pad", "float32"): PAD_MXNET,
    ("mxnet", "log_softmax", "float32"): LOG_SOFTMAX_MXNET,
    **{("mxnet", word, dtype): MOMENTS_MXNET for word in ("var", "std") for dtype in ("float64", "float32")},
    ("mxnet", "softplus", "float64"): SOFTRELU,
    ("mxnet", "softplus", "float32"): SOFTRELU_32,
    ("torch-compile", "expm1", "float64"): EXPM1_INDUCTOR,
    ("torch-compile", "expm1", "float32"): EXPM1_INDUCTOR,
    ("torch-compile", "expm1", "bfloat16"): EXPM1_INDUCTOR,
    ("torch-forward", "expm1", "float64"): EXPM1,
    ("torch-forward", "expm1", "float32"): EXPM1,
    ("torch-forward", "expm1", "bfloat16"): EXPM1,
    ("torch", "expm1", "float64"): EXPM1,
    ("torch", "expm1", "float32"): EXPM1,
    ("torch", "expm1", "float16"): EXPM1,
    ("torch", "expm1", "bfloat16"): EXPM1,
}
"""(engine, word, dtype) -> what the engine gets wrong. With --every-case one that is no longer
found is an error, in float64 and float32 of engines that are no variants: these alone meet all hostile inputs."""
SCATTERS_INDUCTOR = (
    "inductor 2.13 compiles several scatter-adds of one graph to wrong gradients on the CPU, off by 23 in float32; "
    "with other words beside them they are right"
)
SOMETIMES = {("torch-compile", "[i]", dtype): SCATTERS_INDUCTOR for dtype in ("float32", "float16", "bfloat16")}
"""Findings that depend on the words beside it."""
REWRITTEN = {
    ("jax", name, "float64"): EXPONENTIALS_XLA for name in ("xla_exp_over_exp", "xla_exp_times_exp", "xla_pow_exp")
}
"""The same of problems in tests/data/soundness: formulas of several words that an engine rewrites, and loses digits."""

OF_SECOND_ORDER = {
    **{(name, "lgamma", "float64"): TRIGAMMA_TORCH for name in ("torch", "torch-forward")},
}
"""Findings in Hessian-vector products alone."""

HARDSIGMOID_TORCH = (
    "the derivative of hardsigmoid is float32's ⅙ in float64 too, off by 3e-8: `one_sixth(1.0f / 6.0f)` of "
    "`hardsigmoid_backward_kernel` in ATen/native/cpu/Activation.cpp"
)
GROUP_NORM_TORCH = (
    "native_group_norm has no gradient, though it requires one, where the cotangent of its mean or of its 1/σ comes "
    "alone: PyTorch's own `test_fn_grad` of it is an expected failure in common_methods_invocations.py"
)
OF_OPERATORS = {
    ("torch", "hardsigmoid", "float64"): HARDSIGMOID_TORCH,
    **{("torch", "native_group_norm", dtype): GROUP_NORM_TORCH for dtype in ("float64", "float32")},
}
"""Findings in an engine's operators that are several words; `tests/torch_front` finds those of PyTorch."""
