"""What part 1 finds wrong, and what part 2 keeps of calls that fail."""

import pytest
import torch

from bench.gpu import calibrating, checks
from bench.gpu.budget import Budget
from bench.gpu.ledger import Ledger
from bench.gpu.site import Site, Work
from bench.memory.calibration import Calibration


@pytest.fixture
def work(tmp_path):
    return Work(Site(tmp_path, "cpu", rehearse=True), Budget(600), Ledger(tmp_path / "ledger.jsonl"))


def test_a_step_whose_gradient_is_not_finite_is_found(work, monkeypatch):
    real = checks._problem

    def problem(*arguments):
        model, operator, y, truth = real(*arguments)
        return model, operator, y, torch.full_like(truth, torch.nan)

    assert checks.checked_step(work, "luser-sw", "deblur")["moved"] > 0
    monkeypatch.setattr(checks, "_problem", problem)
    with pytest.raises(ArithmeticError, match="not finite"):
        checks.checked_step(work, "luser-sw", "deblur")


def test_a_step_that_leaves_a_weight_where_it_is_is_found(work, monkeypatch):
    monkeypatch.setattr(checks, "make_optimizer", lambda model: torch.optim.SGD(list(model.parameters())[1:], lr=1.0))
    with pytest.raises(ArithmeticError, match="parameters moved"):
        checks.checked_step(work, "luser-sw", "deblur")


def test_gradients_that_differ_between_devices_are_found(work, monkeypatch):
    gradients = iter([torch.ones(4), 1.05 * torch.ones(4), torch.ones(4), 1.2 * torch.ones(4)])
    monkeypatch.setattr(checks, "_gradient", lambda *_: next(gradients))
    assert checks.compared(work, "luser-sw", "deblur")["relative_difference"] == pytest.approx(0.05)
    with pytest.raises(ArithmeticError, match=r"gradients differ by 2\.00e-01"):
        checks.compared(work, "luser-sw", "deblur")


def test_a_radon_transform_whose_adjoint_is_none_is_found(work, monkeypatch):
    monkeypatch.setattr(checks, "_mismatch", lambda *_: 1e-3)
    with pytest.raises(ArithmeticError, match="the Radon transform is off"):
        checks.radon(work)


def test_a_calibration_is_stored_without_the_calls_that_fail(work, monkeypatch):
    def measured(call, device, batches):
        if call == "b":
            raise RuntimeError("no such kernel")
        return [(batch, 8 * batch) for batch in batches]

    monkeypatch.setattr(calibrating, "library_calls", lambda specs: ["a", "b"])
    monkeypatch.setattr(calibrating, "_rehearsed_call", measured)
    calibrating.calibrate(work)
    found = Calibration.model_validate_json(calibrating.calibration_file(work.site).read_text())
    assert found.calls == {"a": ((2, 16), (16, 128), (64, 512))}
    assert work.ledger.failures == {"b": "RuntimeError: no such kernel"}
    assert not (work.site.folder / "calibration").exists()  # where a measured one would be
