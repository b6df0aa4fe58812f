"""Every backend of the Radon transform gives the same line integrals; what can't be had is said in one line."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import Radon
from tests.operators.phantom import DEVICE, phantom, relative_error
from tests.operators.radon.torch_radon_stand_in import stand_in

SINGLE, DOUBLE = torch.float32, torch.float64
PRECISIONS = {"matrix": (SINGLE, DOUBLE), "triton": (SINGLE, DOUBLE), "astra": (SINGLE,)}
TOLERANCE = {SINGLE: 1e-6, DOUBLE: 1e-12}
ROOT = Path(__file__).resolve().parents[3]


def require(backend):
    if backend == "triton":
        pytest.importorskip("triton", reason="triton is not installed")
        interpreted = importlib.import_module("operators.radon.triton_backend").INTERPRETED
        if DEVICE == "cpu" and not interpreted:
            pytest.skip("triton was imported for CUDA, and there is none")
    if backend == "astra":
        pytest.importorskip("astra", reason="the extra 'astra' is not installed")


@pytest.fixture(params=PRECISIONS)
def backend(request):
    require(request.param)
    return request.param


def inner(a, b):
    return float((a.double() * b.double()).sum())


def norm_of(a):
    return inner(a, a) ** 0.5


@pytest.mark.parametrize(("shape", "spacing"), [((24, 24), 1.0), ((21, 21), 0.7), ((18, 25), 1.6)], ids=str)
def test_backends_agree_on_a_phantom(backend, shape, spacing):
    scan = {"num_angles": 7, "num_detectors": 40, "detector_spacing": spacing, "pixel_size": 0.3}
    ours, theirs = Radon(shape, **scan).to(DEVICE), Radon(shape, backend=backend, **scan).to(DEVICE)
    x = phantom(shape)
    y = ours(x)
    assert relative_error(theirs(x), y) < (1e-5 if theirs.is_matched else 0.01)
    if theirs.is_matched:
        assert relative_error(theirs.adjoint(y), ours.adjoint(y)) < 1e-5


@st.composite
def scans(draw, num_angles):
    largest = 4 if num_angles == 200 else 12
    return {
        "image_shape": (draw(st.integers(1, largest)), draw(st.integers(1, largest))),
        "num_angles": num_angles,
        "num_detectors": draw(st.integers(1, 15)),
        "detector_spacing": draw(st.floats(0.3, 3)),
        "pixel_size": draw(st.sampled_from([1.0, 7e-4])),
    }


def assert_adjoint(operator, dtype, batch, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, *operator.image_shape, dtype=dtype, generator=generator).to(DEVICE)
    y = torch.randn(batch, *operator.data_shape, dtype=dtype, generator=generator).to(DEVICE)
    forward, adjoint = operator(x), operator.adjoint(y)
    scale = max(norm_of(forward) * norm_of(y), norm_of(x) * norm_of(adjoint))
    assert abs(inner(forward, y) - inner(x, adjoint)) <= TOLERANCE[dtype] * scale
    again, energy = operator(adjoint), inner(adjoint, adjoint)
    assert abs(inner(again, y) - energy) <= TOLERANCE[dtype] * energy


@pytest.mark.parametrize("num_angles", [1, 2, 3, 7, 200])
@pytest.mark.parametrize("name", ["matrix", "astra"])
def test_adjoints_are_exact_on_any_scan(name, num_angles):
    require(name)

    @settings(derandomize=True, deadline=None, max_examples=15, database=None)
    @given(scan=scans(num_angles), batch=st.integers(1, 5), seed=st.integers(0, 99))
    def check(scan, batch, seed):
        operator = Radon(backend=name, **scan).to(DEVICE)
        if operator.is_matched:
            for dtype in PRECISIONS[name]:
                assert_adjoint(operator, dtype, batch, seed)

    check()


@pytest.mark.parametrize(
    ("num_angles", "shape", "spacing"),
    [(1, (4, 4), 1.0), (2, (3, 5), 0.8), (3, (5, 5), 2.1), (7, (4, 4), 0.3), (7, (6, 3), 1.0), (200, (2, 3), 1.0)],
    ids=str,
)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_adjoints_of_the_kernels_are_exact(num_angles, shape, spacing, dtype):
    require("triton")
    operator = Radon(shape, num_angles, num_detectors=6, detector_spacing=spacing, backend="triton").to(DEVICE)
    assert_adjoint(operator, dtype, batch=3, seed=0)


def test_linearity_and_gradients_are_the_opposite_map(backend):
    operator = Radon((9, 8), num_angles=5, backend=backend).to(DEVICE)
    x, other = phantom((9, 8)), torch.rand(1, 1, 9, 8, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    torch.testing.assert_close(operator(2 * x - other), 2 * operator(x) - operator(other), rtol=1e-5, atol=1e-5)
    y = operator(other)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(operator(leaf), leaf, y)
    assert torch.equal(gradient, operator.adjoint(y))
    leaf = y.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(operator.adjoint(leaf), leaf, x)
    assert torch.equal(gradient, operator(x))


@pytest.mark.parametrize("name", ["matrix", "triton"])
def test_gradients_to_second_order(name):
    require(name)
    operator = Radon((4, 5), num_angles=3, num_detectors=6, backend=name).to(DEVICE)
    x = torch.rand(1, *operator.image_shape, dtype=DOUBLE, device=DEVICE, requires_grad=True)
    y = torch.rand(1, *operator.data_shape, dtype=DOUBLE, device=DEVICE, requires_grad=True)
    for function, start in ((operator, x), (operator.adjoint, y)):
        assert torch.autograd.gradcheck(function, start, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, start, fast_mode=True)


def test_samples_do_not_depend_on_their_batch_and_layouts_do_not_matter(backend):
    operator = Radon((9, 9), num_angles=4, backend=backend).to(DEVICE)
    x = torch.rand(9, 9, 1, 11, generator=torch.Generator().manual_seed(0)).to(DEVICE).permute(3, 2, 0, 1)
    together = operator(x)
    torch.testing.assert_close(together, torch.cat([operator(sample[None]) for sample in x]), rtol=1e-6, atol=1e-6)
    back = operator.adjoint(together.transpose(2, 3).contiguous().transpose(2, 3))
    torch.testing.assert_close(back, operator.adjoint(together), rtol=1e-6, atol=1e-6)
    assert operator(x[:0]).shape == (0, *operator.data_shape)


@pytest.mark.skipif(DEVICE == "cuda", reason="kernels run compiled here")
def test_triton_kernels_compile_for_a_gpu_that_is_not_here():
    pytest.importorskip("triton", reason="triton is not installed")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("compile_kernels.py"))]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.parametrize("name", ["astra", "torch-radon"])
def test_single_precision_libraries_refuse_double(name, monkeypatch):
    if name == "astra":
        require(name)
    monkeypatch.setitem(sys.modules, "torch_radon", stand_in("fork"))
    operator = Radon((8, 8), num_angles=3, backend=name)
    with pytest.raises(ValueError, match="image of float32, got float64"):
        operator(torch.zeros(1, 1, 8, 8, dtype=DOUBLE))


@pytest.mark.parametrize(
    ("name", "module", "advice"),
    [
        ("triton", "triton", "pip install triton"),
        ("astra", "astra", r"\.\[astra\]"),
        ("torch-radon", "torch_radon", "conda"),
    ],
)
def test_a_missing_library_is_named_in_one_line(name, module, advice, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=advice) as caught:
        Radon((8, 8), backend=name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("argument", ["backend", "adjoint_backend"])
def test_an_unknown_backend_is_refused(argument):
    with pytest.raises(ValueError, match="auto, matrix, triton, astra, torch-radon; got 'cuda'"):
        Radon((8, 8), **{argument: "cuda"})


def test_triton_refuses_detectors_beyond_its_numbers():
    require("triton")
    with pytest.raises(ValueError, match=r"2\^30"):
        Radon((8, 8), num_detectors=3, detector_spacing=1e10, backend="triton")


def test_a_plain_import_and_a_plain_operator_load_no_backend_library():
    script = (
        "import sys, operators; operators.Radon((8, 8), 4); "
        "assert not {'triton', 'astra', 'torch_radon'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120)


def test_auto_is_the_matrix_on_the_cpu():
    operator = Radon((8, 8), num_angles=4)
    assert type(operator.projector).__name__ == "MatrixProjector"
    before = operator.projector
    assert operator.to("cpu").double().projector is before
    assert operator.adjoint_projector is before


@pytest.mark.skipif(DEVICE == "cpu", reason="no CUDA device")
def test_auto_is_triton_on_cuda_and_comes_back():
    operator = Radon((33, 32), num_angles=8)
    expected = operator(phantom((33, 32)).cpu())
    assert type(operator.cuda().projector).__name__ == "TritonProjector"
    torch.testing.assert_close(operator(phantom((33, 32))).cpu(), expected, rtol=1e-5, atol=1e-5)
    assert type(operator.cpu().projector).__name__ == "MatrixProjector"


def test_astra_in_two_threads_at_once_does_not_wait_for_ever():
    require("astra")
    code = """if True:
        import sys
        from concurrent.futures import ThreadPoolExecutor
        import torch
        from operators import Radon
        sys.setswitchinterval(1e-6)
        operators = [Radon((16, 16), 8, backend="astra") for _ in range(2)]
        projectors = [operator.projector for operator in operators]
        x = torch.rand(8, 1, 16, 16)
        with ThreadPoolExecutor(2) as pool:
            for _ in range(500):
                list(pool.map(lambda projector: projector.project(x), projectors))
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT)
