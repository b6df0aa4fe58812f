"""The weights of a cell: stored as halves where no figure moves, and what is graded is what is stored."""

import pytest
import torch
from safetensors import safe_open

from bench.records.store import ResultStore
from bench.runner.run import run_cells
from bench.runner.running import Running
from bench.tasks.scales import Scale
from bench.training import sweep
from bench.training.cells import accuracy_cells
from bench.training.published import grade_weights, load_model
from bench.training.step import placed
from bench.training.sweep import TrainingSetup, round_weights
from models import MODELS, Reconstruction
from tests.bench.brightness import Brightness

SCALE = Scale(name="quick", image_shapes={"deblur": (16, 16)}, train_images=2, test_images=2)
VALIDATED = {"steps": 2, "validations": 1, "validation_images": 2}


def cell_of(folder, model, **changes):
    training = TrainingSetup(
        scale=SCALE,
        sources={},
        store=ResultStore(folder),
        device=torch.device("cpu"),
        changes=VALIDATED | changes,
        keep_weights=True,
    )
    (cell,) = accuracy_cells(training, ["deblur"], [model], ["final"])
    return cell, training


class InOtherUnits(Brightness):
    """Brightness whose gain is stored in units that float16 does not hold: too small for it, or too large."""

    def __init__(self, unit):
        super().__init__()
        self.gain, self.unit = torch.nn.Parameter(torch.tensor(0.9 / unit)), unit

    def forward(self, y, operator):
        image = y * (self.gain * self.unit)
        return Reconstruction(image, (y, image))


def test_weights_are_rounded_where_no_figure_moves(tmp_path):
    cell, training = cell_of(tmp_path, "luser-sw")
    torch.manual_seed(0)
    model = MODELS["luser-sw"](channels=3)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    assert round_weights(cell.spec, training, model)
    after = list(model.parameters())
    assert all(torch.equal(new, old.half().float()) for new, old in zip(after, before, strict=True))
    assert not all(torch.equal(new, old) for new, old in zip(after, before, strict=True))


@pytest.mark.parametrize("unit", [1e10, 1e-6], ids=["too small", "too large"])
def test_weights_that_do_not_bear_it_stay_exact(tmp_path, unit):
    cell, training = cell_of(tmp_path, "tests.bench.brightness:Brightness")
    model = InOtherUnits(unit)
    before = model.gain.item()
    assert not round_weights(cell.spec, training, model)
    assert model.gain.item() == before


def test_without_validation_images_nobody_knows_so_they_stay_exact(tmp_path):
    cell, training = cell_of(tmp_path, "luser-sw", validations=0)
    model = MODELS["luser-sw"](channels=3)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    assert not round_weights(cell.spec, training, model)
    assert all(torch.equal(new, old) for new, old in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize(("limit_db", "dtype"), [(sweep.ROUNDING_DB, torch.float16), (0.0, torch.float32)])
def test_what_is_graded_is_what_is_stored(tmp_path, monkeypatch, limit_db, dtype):
    monkeypatch.setattr(sweep, "ROUNDING_DB", limit_db)
    cell, training = cell_of(tmp_path, "luser-sw")
    (record,) = run_cells([cell], training.store, Running(apart=False))
    assert record.values is not None, record.message
    path = tmp_path / record.values.weights
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name).dtype for name, _ in MODELS["luser-sw"](channels=3).named_parameters()}
    assert set(weights.values()) == {dtype}
    spec, model = load_model(path)
    # The memory's layout in training moves the last digits.
    again = grade_weights(placed(model, torch.device("cpu")), spec, None)
    assert again.items == record.values.items
