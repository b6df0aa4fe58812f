"""What formulas of operators mean: simplified, exact, sharing their parts, refused where they make no sense."""

import numpy as np
import pytest
import torch
from torch import nn

from operators import CallCounter, Diffraction, GaussianBlur, Identity, LinearOperator, Radon, SubsampledFourier, stack
from tests.operators.cases import inner, norm_of, random_data, random_image

SHAPE = (6, 7)


@pytest.fixture
def radon():
    return Radon(SHAPE, num_angles=5)


@pytest.fixture
def blur():
    return GaussianBlur(SHAPE, channels=1, size=3, boundary="reflect")


@pytest.fixture
def fourier():
    return SubsampledFourier(SHAPE)


@pytest.fixture
def diffraction():
    return Diffraction(SHAPE)


class Diagonal(LinearOperator):
    """y = scale x with a parameter."""

    def __init__(self):
        super().__init__((1, *SHAPE), (1, *SHAPE))
        self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

    def _forward(self, x):
        return self.scale.to(x.dtype) * x

    _adjoint = _forward


def test_a_formula_applies_what_it_says(radon, blur):
    x = random_image(radon)
    y = random_data(radon)
    assert torch.equal(radon @ x, radon(x))
    assert torch.equal(radon.H @ y, radon.adjoint(y))
    assert torch.equal(radon.N @ x, radon.gramian(x))
    assert torch.equal((radon @ blur) @ x, radon(blur(x)))
    torch.testing.assert_close((2 * radon.H @ radon) @ x, 2 * radon.gramian(x))
    torch.testing.assert_close((radon / 4 - 3 * radon @ blur) @ x, radon(x) / 4 - 3 * radon(blur(x)))
    torch.testing.assert_close((-blur + blur * 0.5 + np.float32(1) * blur) @ x, 0.5 * blur(x))


def test_formulas_are_simplified(radon, blur):
    assert radon.H.H is radon
    assert 1 * radon is radon
    assert (-1 * -radon) is radon
    assert (2 * (3 * radon)).factor == 6
    assert (2 * (3 * radon)).part is radon
    assert Identity(radon.data_shape) @ radon @ Identity(radon.image_shape) is radon
    assert Identity((1, 2)).H.N.image_shape == (1, 2)
    assert radon.N.H.part is radon
    for normal in (radon.H @ radon, (radon @ blur).H @ (radon @ blur)):
        assert ".N" in normal.expression
    assert ((2 * radon).H @ (2 * radon)).expression == "4 * Radon.N"


def test_the_adjoint_after_the_operator_uses_its_gramian(fourier, monkeypatch):
    normal, x = fourier.H @ fourier, random_image(fourier)
    monkeypatch.setattr(SubsampledFourier, "_forward", None)
    assert torch.equal(normal @ x, fourier.gramian(x))


def test_formulas_name_themselves_their_shapes_and_their_memory(radon, blur):
    assert repr(blur) == "GaussianBlur: (1, 6, 7) -> (1, 6, 7), 0.0 MB of tables"
    assert ((radon @ (blur - 0.5 * Identity((1, *SHAPE)))).H).expression == (
        "(Radon @ (GaussianBlur - 0.5 * Identity)).H"
    )
    assert (2 * stack([CallCounter(radon), radon]).N).expression == "2 * stack([CallCounter(Radon), Radon]).N"
    large = Radon((64, 64), num_angles=64)
    megabytes = [float(repr(each).split(", ")[-1].split()[0]) for each in (large, stack([large, large @ large.N]))]
    assert megabytes[0] == megabytes[1] > 0  # shared tables are counted once


def test_norms_follow_from_the_parts(radon, fourier):
    assert radon.H.norm() == radon.norm()
    assert radon.N.norm() == radon.norm() ** 2
    assert (-2 * radon).norm() == 2 * radon.norm()
    assert Identity((3,)).norm() == 1
    assert (fourier @ fourier.H).norm() == pytest.approx(1)
    assert stack([radon, 2 * radon]).norm() == pytest.approx(5**0.5 * radon.norm(), rel=0.01)
    assert (radon - radon).norm() == 0


def test_norms_are_never_stale():
    part = Diagonal()
    whole = [3 * part, part.H, part @ part, part + part, stack([part, part]), part.N]
    expected = [lambda s: 3 * s, lambda s: s, lambda s: s**2, lambda s: 2 * s, lambda s: 2**0.5 * s, lambda s: s**2]
    for scale in (2.0, 5.0):
        with torch.no_grad():
            part.scale.fill_(scale)
        assert [one.norm() for one in whole] == pytest.approx([norm(scale) for norm in expected])
    part.scale.data.fill_(7.0)  # which PyTorch does not count
    part.forget_norm()
    assert [one.norm() for one in whole] == pytest.approx([norm(7.0) for norm in expected])


def test_a_norm_may_be_assumed(radon):
    scaled = 2 * radon
    scaled.assume_norm(1.5)
    assert scaled.norm() == 1.5
    scaled.forget_norm()
    assert scaled.norm() == 2 * radon.norm()


def test_parameters_of_parts_learn():
    part = Diagonal()
    x = random_image(part)
    for whole, power in ((part @ part, 2), (2 * part.H, 1), (part.N @ part, 3)):
        (gradient,) = torch.autograd.grad((whole @ x).sum(), part.scale)
        torch.testing.assert_close(gradient * part.scale, power * (whole @ x).sum())


def test_parts_are_shared_not_copied(radon, blur):
    whole = radon @ blur + radon
    assert {id(tensor) for tensor in whole.buffers()} == {id(t) for part in (radon, blur) for t in part.buffers()}
    whole.to("meta")
    assert radon.device.type == "meta"


def test_calls_of_a_counted_part_are_counted_but_not_those_for_a_norm(radon, blur):
    counter = CallCounter(radon)
    whole = counter @ blur + counter
    whole.norm()
    assert not counter.calls
    x = random_image(whole, 3).requires_grad_()
    (whole @ x).sum().backward()
    assert counter.samples == {("forward", "reconstruct"): 6, ("adjoint", "backward"): 6}


def test_a_bent_part_inside_a_composition_is_counted_in_its_phase(diffraction, blur):
    counter = CallCounter(diffraction)
    whole = counter @ blur
    x, v = random_image(whole), random_data(whole)
    counter.reset()
    whole.pullback(x, v)
    assert counter.calls == {("adjoint", "reconstruct"): 1}


def test_the_adjoint_of_complex_measurements_takes_complex_images(fourier):
    adjoint = fourier.H
    y, x = random_data(fourier).requires_grad_(), random_image(fourier)
    assert (adjoint.complex_images, adjoint.complex_data) == (True, False)
    assert inner(adjoint @ y.detach(), x) == pytest.approx(inner(y.detach(), fourier @ x), rel=1e-12)
    (gradient,) = torch.autograd.grad(adjoint @ y, y, x)
    assert torch.equal(gradient, fourier(x))
    both = fourier @ adjoint
    assert (both @ y).dtype == both.adjoint(y).dtype == torch.complex128
    torch.testing.assert_close(both.gramian(y), both @ (both @ y))
    assert torch.autograd.gradcheck(both, y, fast_mode=True)
    assert torch.autograd.gradgradcheck(both.gramian, y, fast_mode=True)
    assert both.H.complex_images
    shifted = both + Identity(fourier.data_shape, complex_images=True)
    assert shifted.norm() == pytest.approx(2)
    function = torch.compile(lambda y: (both(y), shifted.adjoint(y), both.gramian(y)), fullgraph=True, backend="eager")
    for found, expected in zip(function(y), (both @ y, shifted.adjoint(y), both.gramian(y)), strict=True):
        assert torch.equal(found, expected)


def test_stacked_measurements_are_split_and_joined(radon, blur):
    both = stack([radon, blur])
    x = random_image(both, 3)
    first, second = both.split(both @ x)
    assert torch.equal(first, radon(x))
    assert torch.equal(second, blur(x))
    assert torch.equal(both.join([first, second]), both @ x)
    torch.testing.assert_close(both.H @ (both @ x), radon.gramian(x) + blur.adjoint(blur(x)))
    assert both.data_shape == (first[0].numel() + second[0].numel(),)
    with pytest.raises(ValueError, match="measurements of 2 operators, got 1"):
        both.join([first])
    with pytest.raises(ValueError, match="expected a measurement batch"):
        both.join([second, first])


def test_bent_operators_are_scaled_composed_added_and_stacked(diffraction, blur):
    x = random_image(diffraction)
    for whole, expected in (
        (3 * diffraction, 3 * diffraction(x)),
        (diffraction @ (2 * blur), diffraction(2 * blur(x))),
        (2 * diffraction @ blur, 2 * diffraction(blur(x))),
        (diffraction - 2 * diffraction, -diffraction(x)),
        (stack([diffraction]), diffraction(x).flatten(1)),
    ):
        assert not whole.linear
        torch.testing.assert_close(whole @ x, expected)
        with pytest.raises(ValueError, match="is not linear"):
            _ = whole.H
    assert norm_of((diffraction @ (2 * blur)) @ x - 2 * diffraction(blur(x))) > 0.01


REFUSED = {
    "shapes of factors": (lambda a, b, f, d: a @ a, r"Radon @ Radon: the first takes \(1, 6, 7\), the second measures"),
    "shapes of terms": (lambda a, b, f, d: a + b, "Radon and GaussianBlur differ in data shape"),
    "images": (lambda a, b, f, d: stack([a, f]), "Radon and SubsampledFourier differ in image shape"),
    "complex terms": (lambda a, b, f, d: stack([a, d]), "differ in complex data: real and complex"),
    "complex factors": (lambda a, b, f, d: Identity(f.data_shape) @ f, "takes real images, the second's .* complex"),
    "nothing": (lambda a, b, f, d: stack([]), "one operator or more"),
    "tensors": (lambda a, b, f, d: stack([a, torch.zeros(2)]), "one operator or more"),
    "adjoint": (lambda a, b, f, d: d.H, "Diffraction is not linear and has no adjoint"),
    "gramian": (lambda a, b, f, d: d.N, "Diffraction is not linear and has no gramian"),
    "not a number": (lambda a, b, f, d: float("nan") * a, "a scale must be a finite number, got nan"),
    "infinite": (lambda a, b, f, d: a * float("inf"), "a scale must be a finite number, got inf"),
    "zero": (lambda a, b, f, d: a / 0, "can't be divided by zero"),
    "complex": (lambda a, b, f, d: 2j * a, "scaled by a real number, got 2j"),
    "array": (lambda a, b, f, d: np.ones(2) * a, "scaled by a real number, got array"),
    "tensor": (lambda a, b, f, d: torch.ones(2) * a, "scaled by a real number, got tensor"),
    "size": (lambda a, b, f, d: Identity((3, 0)), "a size in image_shape must be at least 1"),
    "sizes": (lambda a, b, f, d: Identity(3), "image_shape must be a sequence of sizes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(case, radon, blur, fourier, diffraction):
    formula, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as caught:
        formula(radon, blur, fourier, diffraction)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "formula", [lambda a: a * a, lambda a: a / a, lambda a: a @ 3, lambda a: a + 3, lambda a: 3 - a, lambda a: a - 3]
)
def test_operators_are_not_multiplied_and_numbers_not_added(radon, formula):
    with pytest.raises(TypeError, match="unsupported operand"):
        formula(radon)
