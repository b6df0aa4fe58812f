"""What has no finite quality is no answer: the image is named, and nothing is chosen or averaged by it."""

import math
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from bench import accuracy, grade
from bench.baselines.cells import reference_cells
from bench.baselines.methods import REFERENCES
from bench.data.base import LabelledImage
from bench.evaluation.grading import NotFiniteError, QualityError, Shown, evaluate
from bench.evaluation.weights import save_weights
from bench.records import Status, ValidationPoint
from bench.records.store import ResultStore
from bench.runner.cell import all_answered
from bench.runner.run import run_cells
from bench.runner.running import Running
from bench.tasks.scales import SCALES
from bench.training.log import TrainingLog
from bench.training.validation import Validation
from models import MODELS
from tests.bench.brightness import Brightness
from tests.bench.small_runs import OPERATOR, TASK, recipe, split, trained
from tests.bench.test_grade import SPEC

CPU = torch.device("cpu")


class Spoilt(Brightness):
    """Learns well, but reconstructs one pixel that is no number."""

    value = math.nan

    def forward(self, y, operator):
        result = super().forward(y, operator)
        if not self.training:
            result.image[..., 0, 0] = self.value
        return result


class Infinite(Spoilt):
    value = math.inf


@pytest.mark.parametrize("model", [Spoilt, Infinite])
def test_a_reconstruction_that_is_not_finite_is_named(model):
    images = split("test", 2)
    with pytest.raises(NotFiniteError, match=rf"^image {images[0].name}: its reconstruction holds values that are not"):
        evaluate(model(), OPERATOR, TASK, images)


def test_so_is_one_that_is_perfect():
    truth = split("test", 1)[0]
    shown = Shown(TASK, truth.image[None] / 2, truth.image[None], truth.image[None])
    with pytest.raises(QualityError, match=rf"^image {truth.name}: psnr_db is inf"):
        shown.grade(LabelledImage(image=truth.image, name=truth.name, group=truth.group))


@pytest.mark.parametrize("model", [Spoilt, Infinite])
def test_a_trained_network_without_a_quality_is_no_answer(tmp_path, model):
    arguments = ["--task", "deblur", "--model", f"{__name__}:{model.__name__}", "--loss", "final", "--steps", "2"]
    answer = CliRunner().invoke(
        accuracy.main, [*arguments, "--results", str(tmp_path), "--device", "cpu"], standalone_mode=False
    )
    assert answer.return_value == 1, answer.output
    (record,) = ResultStore(tmp_path).records()
    assert record.status is Status.DIVERGED
    assert record.values is None
    name = TASK.load_split(None, "test", image_shape=(48, 48), count=1, seed=0)[0].name
    assert record.message.startswith(f"image {name}: its reconstruction holds values that are not finite")


def test_a_method_without_a_quality_has_failed(tmp_path, monkeypatch):
    spoilt = replace(REFERENCES["tv"], reconstruct=lambda y, operator, setting: operator.adjoint(y) * math.nan)
    monkeypatch.setitem(REFERENCES, "tv", spoilt)
    cells = [c for c in reference_cells(["deblur"], SCALES["quick"], {}, device=CPU) if c.spec.method == "tv"]
    (record,) = records = run_cells(cells, ResultStore(tmp_path), Running(apart=False))
    assert record.status is Status.FAILED
    assert record.message.startswith("NotFiniteError: image ")
    assert not all_answered(records)


def test_published_weights_without_a_quality_are_refused_in_one_line(tmp_path):
    model = MODELS["luser-sw"](channels=1)
    torch.nn.init.constant_(model.step_size, 1e30)
    save_weights(tmp_path / "huge.safetensors", model, SPEC)
    answer = CliRunner().invoke(grade.main, [str(tmp_path / "huge.safetensors"), "--device", "cpu"])
    assert answer.exit_code != 0
    (line,) = answer.output.splitlines()
    assert f"{tmp_path / 'huge.safetensors'}: image " in line
    assert "not finite" in line


def test_a_validation_that_is_not_finite_is_never_the_best():
    points = [(1, math.nan), (2, 5.0), (3, math.inf), (4, -math.inf)]
    trace = [ValidationPoint(step=step, train_s=1.0, psnr_db=psnr_db, ssim=0.5) for step, psnr_db in points]
    log = TrainingLog(validation_trace=trace)
    assert log.best_psnr_db == 5.0
    assert TrainingLog(validation_trace=trace[:1]).best_psnr_db == -math.inf
    again = TrainingLog.model_validate_json(log.model_dump_json())
    assert [str(point.psnr_db) for point in again.validation_trace] == ["nan", "5.0", "inf", "-inf"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_network_is_chosen_by_the_validations_that_are_finite(value):
    class SpoiltAtFirst(Brightness):
        def forward(self, y, operator):
            result = super().forward(y, operator)
            if not self.training and self.step in (1, 3):
                result.image[...] = value
            return result

    images = Validation(split("validation", 2), OPERATOR)
    _, log = trained(recipe(steps=4, learning_rate=0.01, validations=4), SpoiltAtFirst(), validation=images)
    finite = [math.isfinite(point.psnr_db) for point in log.validation_trace]
    assert finite == [False, True, False, True]
    scores = {point.step: point.psnr_db for point in log.validation_trace if math.isfinite(point.psnr_db)}
    assert log.chosen_step == max(scores, key=scores.get)
