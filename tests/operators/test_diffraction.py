"""The multi-slice operator against optics that can be written down."""

import math

import pytest
import torch

from operators import Diffraction


def total_field(operator, x):
    """The fields behind the object: what is measured and the undisturbed waves."""
    _, _, down, _, _, across = operator._tables(x)
    return operator(x) + torch.cat((down, across), dim=-1)


@pytest.mark.parametrize("shape", [(12, 12), (9, 14)])
def test_a_uniform_slab_delays_every_wave_by_the_same_phase(shape):
    operator = Diffraction(shape, delay=1.5)
    fields = total_field(operator, torch.full((1, 1, *shape), 0.3, dtype=torch.float64))
    undisturbed = total_field(operator, torch.zeros(1, 1, *shape, dtype=torch.float64))
    ratio = (fields / undisturbed).split([shape[1], shape[0]], dim=-1)
    for part, depth in zip(ratio, shape, strict=True):
        phase = 2 * math.pi * 1.5 * 0.3 * depth / max(shape)
        torch.testing.assert_close(part, torch.full_like(part, 1) * complex(math.cos(phase), math.sin(phase)))


def test_a_lossless_object_conserves_the_power_of_waves_that_travel():
    # A smooth object scatters into travelling waves alone.
    row = torch.cos(2 * math.pi * torch.arange(16, dtype=torch.float64) / 16)
    x = (1 + row[:, None] * row)[None, None] / 2
    power = total_field(Diffraction((16, 16), num_tilts=1), x).abs().square().mean()
    assert float(power) == pytest.approx(1, abs=1e-6)


def test_free_waves_spread_as_the_helmholtz_equation_wants():
    operator = Diffraction((16, 20), num_tilts=5)
    incident, spread, undisturbed, *_ = operator._tables(torch.zeros(0, dtype=torch.float64))
    across = operator.periods[0].double() / (20 * 0.5)  # in wavenumbers
    along = torch.sqrt(1 - across.square())
    phase = 2 * math.pi * 16 * 0.5 * (along - 1)
    torch.testing.assert_close(undisturbed, incident * torch.polar(torch.ones_like(phase), phase)[:, None])
    assert spread.abs().max() <= 1 + 1e-12


def test_a_weak_object_scatters_as_born_says():
    operator = Diffraction((10, 10), delay=1e-4)
    x = torch.rand(1, 1, 10, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert float((operator(2 * x) - 2 * operator(x)).norm() / operator(x).norm()) < 1e-3


def test_a_point_shows_where_the_wave_that_crosses_it_leaves():
    operator = Diffraction((12, 12), num_tilts=1, delay=0.1)
    for side, (row, column) in enumerate([(11, 4), (7, 11)]):  # next to the exit: it has one pixel to spread
        x = torch.zeros(1, 1, 12, 12, dtype=torch.float64)
        x[..., row, column] = 1
        assert int(operator(x)[0, 0].abs().split([12, 12])[side].argmax()) == min(row, column)


def test_turning_the_object_over_swaps_the_sides():
    operator = Diffraction((8, 8))
    x = torch.rand(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    above, left = operator(x).split([8, 8], dim=-1)
    torch.testing.assert_close(operator(x.mT), torch.cat((left, above), dim=-1))


def test_tilts_are_whole_periods_within_45_degrees():
    operator = Diffraction((48, 30))
    assert operator.data_shape == (12, 78)
    sines = operator.periods / (torch.tensor([[30], [48]]) * 0.5)
    assert sines.abs().max() <= math.sin(math.pi / 4) + 0.5 / 15
    assert torch.equal(operator.periods, -operator.periods.flip(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (0, 4)}, "image_shape"),
        ({"image_shape": (4, 4), "num_tilts": 0}, "num_tilts"),
        ({"image_shape": (4, 4), "num_tilts": 1.5}, "num_tilts"),
        ({"image_shape": (4, 4), "delay": 0.0}, "delay"),
        ({"image_shape": (4, 4), "delay": float("inf")}, "delay"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Diffraction(**arguments)
