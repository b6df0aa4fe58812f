"""Any training step through the same door: its largest batch, its identity, and one clear line where it has none."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from bench.memory.__main__ import main
from bench.memory.calibration import DOCUMENTED
from bench.memory.proof.perceptron import Perceptron
from bench.memory.replay import fits
from bench.memory.trace import TraceError, trace_step
from bench.memory.user_step import trace_user_step
from bench.records import GIB, MIB
from bench.records.store import ResultStore

MODULE = """
import torch
from torch import nn
from torch.nn import functional as F
from {name}_parts import WIDTH

def make_step(batch):
    network = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 8))
    optimizer = torch.optim.Adam(network.parameters(), foreach=True)
    samples, labels = torch.randn(batch, 64), torch.zeros(batch, dtype=torch.int64)
    def step():
        optimizer.zero_grad()
        F.cross_entropy(network(samples), labels).backward()
        optimizer.step()
    return step

def gpt(batch):
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    network, head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(64, 100)
    tokens, optimizer = nn.Embedding(100, 64), torch.optim.AdamW([*network.parameters(), *head.parameters()])
    text = torch.zeros(batch, 32, dtype=torch.int64)
    mask = nn.Transformer.generate_square_subsequent_mask(32)
    def step():
        optimizer.zero_grad()
        scores = head(network(tokens(text), mask=mask, is_causal=True))
        F.cross_entropy(scores.flatten(0, 1), text.flatten()).backward()
        optimizer.step()
    return step

def looks(batch):
    network = nn.Linear(4, 4)
    return lambda: print("small" if network(torch.zeros(batch, 4)).sum() > 0 else "large")

def on_a_gpu(batch):
    return nn.Linear(4, 4).cuda()

def nothing(batch):
    return None

NOT_A_FUNCTION = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """A user's module of a name of its own, which imports a second one."""
    name = f"theirs_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE.format(name=name))
    (tmp_path / f"{name}_parts.py").write_text("WIDTH = 4096\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def ask(*options):
    arguments = ["--results", "results", "--backend", "simulate", *options]
    return CliRunner().invoke(main, arguments, standalone_mode=False)


def told(*options):
    answer = ask("--format", "json", *options)
    assert answer.return_value == 0, answer.output
    return json.loads(answer.stdout)


def test_the_largest_batch_fits_and_the_next_does_not(module):
    (row,) = told("--step", f"{module}:make_step", "--cap", "2GB")
    assert row["max_batch"] % 2 == 0
    assert row["sure_batch"] <= row["max_batch"] <= row["possible_batch"]
    assert row["peak_bytes"] <= 2 * GIB < row["next_peak_bytes"]
    trace = trace_user_step(f"{module}:make_step", "fp32")
    verdicts = [fits(trace, row["max_batch"] + more, 2 * GIB, DOCUMENTED.expected) for more in (0, 2)]
    assert verdicts == [True, False]
    (odd,) = told("--step", f"{module}:make_step", "--cap", "2GB", "--any-batch")
    assert odd["max_batch"] in (row["max_batch"], row["max_batch"] + 1)
    assert len(list(ResultStore(Path("results")).records())) == 2


def test_half_precision_takes_less(module):
    full, half = told("--step", f"{module}:make_step", "--cap", "2GB", "--precision", "fp32", "--precision", "bf16")
    assert half["max_batch"] > 1.3 * full["max_batch"]


def test_a_transformer_goes_through_the_same_door_and_is_drawn(module):
    answer = ask("--step", f"{module}:gpt", "--cap", "2GB", "--explain", "pictures")
    assert answer.return_value == 0, answer.output
    assert "2 GB" in answer.stdout
    (picture,) = Path("pictures").glob("*.png")
    assert picture.stat().st_size > 10_000


def test_an_edited_import_is_another_question(module, monkeypatch):
    (first,) = told("--step", f"{module}:make_step", "--cap", "2GB")
    assert "stored already" in ask("--step", f"{module}:make_step", "--cap", "2GB").stderr
    Path(f"{module}_parts.py").write_text("WIDTH = 8192  # wider\n")
    for name in (module, f"{module}_parts"):
        monkeypatch.delitem(__import__("sys").modules, name)
    (second,) = told("--step", f"{module}:make_step", "--cap", "2GB")
    assert second["max_batch"] < 0.6 * first["max_batch"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (":make_stap", (), "did you mean 'make_step'?"),
        (":NOT_A_FUNCTION", (), "cannot be called"),
        ("", (), "is no package.module:make_step"),
        (":make_step", ("--task", "ct", "--policy", "paper"), "--step excludes --task, --policy"),
    ],
)
def test_bad_input_is_one_clear_line(module, name, options, message):
    answer = ask("--step", f"{module}{name}", "--cap", "2GB", *options)
    assert message in answer.exception.format_message()
    assert not Path("results").exists()


def test_odd_batches_belong_to_steps():
    assert "--any-batch needs --step" in ask("--any-batch").exception.format_message()


@pytest.mark.parametrize(
    ("name", "message"),
    [("looks", "_local_scalar_dense"), ("nothing", "cannot be called"), ("on_a_gpu", "name no device in it")],
)
def test_what_cannot_be_traced_says_why(module, name, message):
    with pytest.raises(TraceError, match=message):
        trace_user_step(f"{module}:{name}", "fp32")


def test_published_perceptrons_go_through_the_same_door():
    perceptron = Perceptron(64, 8, 2, "uniform", 32, "relu", None, True)
    trace = trace_step(perceptron.make_step)
    assert fits(trace, 32, GIB, DOCUMENTED.expected)
    assert not fits(trace, 32, DOCUMENTED.expected.context_bytes + MIB, DOCUMENTED.expected)
    assert torch.is_grad_enabled()
