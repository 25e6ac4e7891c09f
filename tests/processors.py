"""Older processors, emulated: the variables that keep engines and libraries from using available instructions.

Measured on a processor with AVX-512, by the bits of results and by the reports of the libraries. They read the
variables when they are loaded; workers inherit them.

- `NPY_DISABLE_CPU_FEATURES` names the features of NumPy 2.4; MXNet's NumPy is older, ignores it, and computes nothing.
- `OPENBLAS_CORETYPE` picks the kernels of NumPy and MXNet. MLX's BLAS knows one processor alone.
- `GLIBC_TUNABLES` picks exp, log, sin, … of the C library: pure Python, MXNet and MLX call it.
- `ATEN_CPU_CAPABILITY` is PyTorch's and its compiler's; MKL is inside of it, whose `MKL_ENABLE_INSTRUCTIONS` AMD's
  processors ignore, while `MKL_CBWR` holds for all.
- oneDNN has three names: `ONEDNN_MAX_CPU_ISA`, and `DNNL_MAX_CPU_ISA` in MXNet, where it is from 2021.
- TensorFlow tests itself whether oneDNN can compute in bfloat16 on the processor, and crashes if oneDNN may not compute
  so: without oneDNN it computes as it does on those processors.
- `XLA_FLAGS` is JAX's.
"""

from __future__ import annotations

PROCESSORS = {
    "avx2": {
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "DNNL_MAX_CPU_ISA": "AVX2",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    },
    "avx": {
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
        "OPENBLAS_CORETYPE": "Sandybridge",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4",
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "ONEDNN_MAX_CPU_ISA": "AVX",
        "DNNL_MAX_CPU_ISA": "AVX",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX",
    },
}
"""A processor with these instructions and no later ones -> variables. TensorFlow and JAX need AVX at least."""
