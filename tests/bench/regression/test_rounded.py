"""Short trainings and the quality of stored weights, beside the committed baseline on whatever machine this is."""

import pytest
import torch

from bench.regression import rounded
from bench.regression.baseline import FOLDER, ROOT, ExactBaseline, ToleranceBaseline, read_baseline
from bench.regression.compare import compare_psnr, compare_trainings
from bench.regression.findings import regressed, told
from bench.training.published import load_model
from models import MODELS

WEIGHTS = "deblur-lu-dncnn-*.safetensors"


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def only(spread, chosen):
    values = {cell: numbers for cell, numbers in spread.reference.values.items() if cell in chosen}
    return spread.model_copy(update={"reference": spread.reference.model_copy(update={"values": values})})


@pytest.mark.usefixtures("one_thread")
def test_short_trainings_are_the_baseline_s_and_a_changed_one_is_noticed(monkeypatch):
    monkeypatch.setattr(rounded, "MODELS", {"luser-sw": MODELS["luser-sw"]})
    now = rounded.measure_trainings(["deblur"])
    baseline = only(read_baseline(ExactBaseline, FOLDER).trainings, now.values)
    assert now.values == rounded.measure_trainings(["deblur"]).values
    assert not regressed(list(compare_trainings(baseline, now)))
    monkeypatch.setattr(rounded, "MODELS", {"luser-sw": lambda **options: MODELS["luser-sw"](num_stages=7, **options)})
    assert regressed(list(compare_trainings(baseline, rounded.measure_trainings(["deblur"]))))


@pytest.mark.usefixtures("one_thread")
def test_weights_that_lose_a_third_of_a_decibel_are_noticed():
    (path,) = (ROOT / "results" / "weights").glob(WEIGHTS)
    stored = read_baseline(ToleranceBaseline, FOLDER).psnr_db
    baseline = only(stored, [path.stem])
    _, model = load_model(path)
    sound = rounded.mean_psnr_of("deblur", model)

    def compared(psnr_db):
        now = stored.reference.model_copy(update={"values": {path.stem: (psnr_db,)}})
        return list(compare_psnr(baseline, now))

    assert not regressed(compared(sound))
    assert regressed(compared(sound - 0.3))
    noise, size = torch.Generator().manual_seed(0), 0.1
    while sound - (worse := rounded.mean_psnr_of("deblur", model)) < 0.3:
        with torch.no_grad():
            for weight in model.parameters():
                weight += size * weight.std(correction=0) * torch.randn(weight.shape, generator=noise)
        size *= 1.5
    assert told(compared(worse))[0].startswith(f"regression: tolerance: PSNR of weights: {path.stem}: was ")


def test_the_committed_tolerances_stand_on_measurements():
    trainings, psnr_db = (
        read_baseline(ExactBaseline, FOLDER).trainings,
        read_baseline(ToleranceBaseline, FOLDER).psnr_db,
    )
    for spread in (trainings, psnr_db):
        assert len({measured.environment.capability for measured in spread.elsewhere.values()}) > 2
        assert {measured.environment.threads for measured in spread.elsewhere.values()} == {1, 2}
    assert all(tolerance < 0.15 for tolerances in psnr_db.tolerances.values() for tolerance in tolerances)
