"""Compiles the Triton kernels for two GPU generations without a GPU: run by test_radon_backends.py in a process."""

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from operators.radon import triton_backend

SIZES = dict.fromkeys(("batch", "height", "width", "num_angles", "num_detectors"), "i32")


def compile_for(kernel, capability, precision):
    types = {"images": f"*{precision}", "sinograms": f"*{precision}", "rays": "*i64", "lengths": "*fp64"}
    types |= {"slack": "fp32", **SIZES}
    constants = {"CANDIDATES": 3, "DTYPE": getattr(tl, f"float{precision[2:]}"), "SHARED": 4, "BLOCK": 128}
    constants = {name: value for name, value in constants.items() if name in kernel.arg_names}
    signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
    source = ASTSource(kernel, signature, constexprs=constants)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 4}).asm["ptx"]


if __name__ == "__main__":
    for kernel in (triton_backend._forward_kernel, triton_backend._adjoint_kernel):
        for capability, precision in ((80, "fp32"), (90, "fp32"), (90, "fp64")):
            assert "ld.global" in compile_for(kernel, capability, precision)
