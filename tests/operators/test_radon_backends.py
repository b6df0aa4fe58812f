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
from tests.operators.torch_radon_stand_in import stand_in

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SINGLE, DOUBLE = torch.float32, torch.float64
PRECISIONS = {"matrix": (SINGLE, DOUBLE), "triton": (SINGLE, DOUBLE), "astra": (SINGLE,)}
TOLERANCE = {SINGLE: 1e-6, DOUBLE: 1e-12}
ROOT = Path(__file__).resolve().parents[2]


def require(backend):
    if backend == "triton":
        pytest.importorskip("triton", reason="triton is not installed")
        interpreted = importlib.import_module("operators.radon_triton").INTERPRETED
        if DEVICE == "cpu" and not interpreted:
            pytest.skip("triton was imported for CUDA, and there is none")
    if backend == "astra":
        pytest.importorskip("astra", reason="the extra 'astra' is not installed")


@pytest.fixture(params=PRECISIONS)
def backend(request):
    require(request.param)
    return request.param


@pytest.fixture(params=["original", "fork"])
def torch_radon(request, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_radon", stand_in(request.param))
    return request.param


def phantom(shape, dtype=SINGLE):
    """Two smooth bumps on one side of the image, so that no flip or turn goes unseen."""
    v, u = (torch.arange(n, dtype=DOUBLE) - (n - 1) / 2 for n in shape)
    v = -v[:, None] / shape[0]
    u = u / shape[1]
    image = torch.exp(-80 * ((u - 0.15) ** 2 + (v - 0.1) ** 2)) + 0.5 * torch.exp(-90 * ((u + 0.1) ** 2 + v**2))
    return image.to(DEVICE, dtype)[None, None]


def relative_error(result, expected):
    return float(torch.linalg.vector_norm(result - expected) / torch.linalg.vector_norm(expected))


def inner(a, b):
    return float((a.double() * b.double()).sum())


def norm_of(a):
    return inner(a, a) ** 0.5


@pytest.mark.parametrize("shape", [(24, 24), (21, 21), (18, 25)], ids=str)
@pytest.mark.parametrize("spacing", [1.0, 0.7, 1.6])
def test_backends_agree_on_a_phantom(backend, shape, spacing):
    scan = {"num_angles": 7, "num_detectors": 40, "detector_spacing": spacing, "pixel_size": 0.3}
    ours, theirs = Radon(shape, **scan).to(DEVICE), Radon(shape, backend=backend, **scan).to(DEVICE)
    x = phantom(shape)
    y = ours(x)
    assert relative_error(theirs(x), y) < (1e-5 if theirs.is_matched else 0.01)
    if theirs.is_matched:
        assert relative_error(theirs.adjoint(y), ours.adjoint(y)) < 1e-5


@st.composite
def scans(draw):
    num_angles = draw(st.sampled_from([1, 2, 3, 7, 200]))
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


@pytest.mark.parametrize(
    ("name", "examples"), [("matrix", 60), ("astra", 60), ("triton", 6)], ids=["matrix", "astra", "triton"]
)
def test_adjoints_are_exact_on_any_scan(name, examples):
    require(name)

    @settings(derandomize=True, deadline=None, max_examples=examples, database=None)
    @given(scan=scans(), batch=st.integers(1, 5), seed=st.integers(0, 99))
    def check(scan, batch, seed):
        operator = Radon(backend=name, **scan).to(DEVICE)
        if operator.is_matched:
            for dtype in PRECISIONS[name]:
                assert_adjoint(operator, dtype, batch, seed)

    check()


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
@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_triton_kernels_compile_for_a_gpu_that_is_not_here(precision):
    pytest.importorskip("triton", reason="triton is not installed")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("compile_kernels.py")), precision]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.parametrize(("shape", "spacing"), [((24, 24), 0.8), ((25, 25), 0.5)])
def test_torch_radon_is_adapted_in_units_orientation_and_scale(torch_radon, shape, spacing):
    scan = {"num_angles": 9, "num_detectors": 71, "detector_spacing": spacing, "pixel_size": 0.3}
    ours, theirs = Radon(shape, **scan), Radon(shape, backend="torch-radon", **scan)
    x = phantom(shape)
    y = ours(x)
    assert relative_error(theirs(x), y) < 0.01
    assert relative_error(theirs.adjoint(y), ours.adjoint(y)) < 0.03


def test_torch_radon_says_that_it_is_not_matched_and_takes_our_adjoint(torch_radon):
    scan = {"image_shape": (16, 16), "num_angles": 5}
    ours = Radon(**scan)
    unmatched = Radon(**scan, backend="torch-radon")
    assert ours.is_matched
    assert not unmatched.is_matched
    half = Radon(**scan, backend="torch-radon", adjoint_backend="auto")
    y = ours(phantom((16, 16)))
    assert torch.equal(half.adjoint(y), ours.adjoint(y))
    assert torch.equal(half(phantom((16, 16))), unmatched(phantom((16, 16))))
    assert not half.is_matched  # their projection is not Joseph's to rounding


def test_torch_radons_limits_are_told(torch_radon):
    with pytest.raises(ValueError, match="at most 4096 angles"):
        Radon((8, 8), num_angles=4097, backend="torch-radon")
    if torch_radon == "original":
        with pytest.raises(ValueError, match="square images only"):
            Radon((8, 9), num_angles=3, backend="torch-radon")
    else:
        assert Radon((8, 9), num_angles=3, backend="torch-radon").adjoint(torch.ones(1, 1, 3, 13)).shape[2:] == (8, 9)


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
