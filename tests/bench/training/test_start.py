"""The option --start: CT from filtered backprojection, other tasks as ever."""

import pytest
import torch
from click.testing import CliRunner

from bench import accuracy
from bench.evaluation.grading import NOISE_SEED, Shown, simulated
from bench.records.store import ResultStore
from bench.tasks import PAPER_TASKS, TASKS
from bench.tasks.scales import SCALES, Scale
from bench.training.published import grade_weights, load_model
from bench.training.step import placed
from models import MODELS
from models.base import FBP_CUTOFF, starting_image
from operators import Radon
from operators.radon.filtered_backprojection import filtered_backprojection

CPU = torch.device("cpu")
SHAPE = (16, 16)


def test_the_start_is_a_filtered_backprojection_without_a_graph():
    operator = Radon(SHAPE, num_angles=24)
    y = torch.rand((2, *operator.data_shape), generator=torch.Generator().manual_seed(0), requires_grad=True)
    start = starting_image(y, operator, "fbp")
    assert torch.equal(start, filtered_backprojection(y, operator, window="hann", cutoff=FBP_CUTOFF))
    assert start.shape == (2, 1, *SHAPE)
    assert not start.requires_grad


@pytest.mark.parametrize("task", [name for name in TASKS if name != "ct"])
def test_operators_without_a_filtered_backprojection_refuse_it(task):
    operator = TASKS[task].operator_at(SHAPE, CPU)
    with pytest.raises(ValueError, match=f"{type(operator).__name__} has no filtered backprojection"):
        starting_image(torch.zeros((1, *operator.data_shape)), operator, "fbp")


def test_an_unknown_start_is_refused():
    with pytest.raises(ValueError, match="unknown start 'zero'; known: adjoint, fbp"):
        starting_image(torch.zeros(1, 1, 24, 25), Radon(SHAPE, num_angles=24), "zero")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_starts_where_it_is_told(name):
    torch.manual_seed(0)
    operator = Radon(SHAPE, num_angles=24)
    y = torch.rand((1, *operator.data_shape))
    model = MODELS[name](channels=1).eval()
    with torch.no_grad():
        usual = model(y, operator).image
        model.start = "fbp"
        other = model(y, operator).image
    assert torch.equal(model.starting_image(y, operator), starting_image(y, operator, "fbp"))
    assert not torch.equal(usual, other)


def start_psnr_db(task, start):
    operator = TASKS[task].operator_at(SHAPE, CPU)
    images = TASKS[task].load_split(None, "test", image_shape=SHAPE, count=2, seed=0)
    return [
        Shown(TASKS[task], starting_image(y, operator, start), truth, truth).score(labelled).start_psnr_db
        for labelled, truth, y in simulated(TASKS[task], operator, images, NOISE_SEED, CPU)
    ]


def test_records_tell_the_start_and_its_quality(tmp_path, monkeypatch):
    tiny = Scale(name="quick", image_shapes=dict.fromkeys(TASKS, SHAPE), train_images=2, test_images=2)
    monkeypatch.setitem(SCALES, "quick", tiny)
    arguments = ["--model", "luser-sw", "--loss", "final", "--steps", "1", "--start", "fbp", "--keep-weights"]
    tasks = [part for name in PAPER_TASKS for part in ("--task", name)]
    options = ["--results", str(tmp_path), "--device", "cpu"]
    answer = CliRunner().invoke(accuracy.main, [*arguments, *tasks, *options], standalone_mode=False)
    assert answer.return_value == 0, answer.output
    records = {record.spec.task: record for record in ResultStore(tmp_path).records()}
    starts = {task: record.spec.start for task, record in records.items()}
    assert starts == {"ct": "fbp"} | {task: "adjoint" for task in PAPER_TASKS if task != "ct"}
    for task, start in starts.items():
        found = [item.start_psnr_db for item in records[task].values.items]
        assert found == pytest.approx(start_psnr_db(task, start), abs=1e-4)
    assert start_psnr_db("ct", "fbp") != pytest.approx(start_psnr_db("ct", "adjoint"), abs=0.5)
    spec, model = load_model(tmp_path / records["ct"].values.weights)
    assert model.start == "fbp"
    assert grade_weights(placed(model, CPU), spec, None).items == records["ct"].values.items
