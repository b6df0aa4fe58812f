"""A user's own model that is none: every command says so in one line, before anything is measured or stored."""

import importlib
import sys

import click
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli import MODEL
from bench.cli.model_check import check_model

COMMANDS = {
    "bench.memory": ["--backend", "simulate"],
    "bench.memory what-fits": ["--gpu", "8GB"],
    "bench.memory record": ["history.json.gz", "--device", "cuda"],
    "bench.accuracy": [],
    "bench.timing": [],
    "bench.calls": [],
    "bench.queue": [],
}

NO_MODEL = "which is no models.ReconstructionModel; models there: Brightness, Own"
MISTAKES = {
    "makes_a_layer": f"'mine:makes_a_layer' made a Linear, {NO_MODEL}",
    "makes_nothing": f"'mine:makes_nothing' made None, {NO_MODEL}",
    "takes_nothing": "called with channels=1, 'mine:takes_nothing' raises TypeError: takes_nothing() got an unexpected",
    "raises": "called with channels=1, 'mine:raises' raises RuntimeError: no weights here",
    "leaves": "called with channels=1, 'mine:leaves' raises SystemExit: 3",
    "Layer": "'mine:Layer' is no models.ReconstructionModel: type",
    "own": "mine has no 'own'; did you mean 'Own'?",
    "make_a_layer": "mine has no 'make_a_layer'; did you mean 'makes_a_layer'?",
    "Qqqqqqqq": "mine has no 'Qqqqqqqq'; models there: Brightness, Own",
}

MODULE = """
import sys
from torch import nn
from tests.bench.brightness import Brightness

class Own(Brightness): pass
class Layer(nn.Linear): pass
def makes_a_layer(channels): return nn.Linear(channels, channels)
def makes_nothing(channels): pass
def takes_nothing(): pass
def raises(channels): raise RuntimeError("no weights\\nhere")
def leaves(channels): sys.exit(3)
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    importlib.invalidate_caches()


def told(command, *options):
    """Return what a command says of a mistake, with a click exception, which ``run`` ends in exit code 2."""
    module, *sub = command.split()
    main = importlib.import_module("bench.memory.__main__" if module == "bench.memory" else module).main
    answer = CliRunner().invoke(main, [*sub, *options], standalone_mode=False)
    assert isinstance(answer.exception, click.ClickException)
    return answer.exception.format_message()


@pytest.mark.parametrize(("attribute", "message"), MISTAKES.items())
def test_what_is_no_model_is_told_in_one_line(attribute, message, mine):
    answer = told("bench.memory", "--model", f"mine:{attribute}")
    assert message in answer
    assert "\n" not in answer


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_so_before_it_stores_anything(command, mine, tmp_path):
    answer = told(command, *COMMANDS[command], "--model", "mine:makes_a_layer")
    assert answer == MISTAKES["makes_a_layer"]
    assert {path.name for path in tmp_path.iterdir()} <= {"mine.py", "__pycache__"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise KeyError('weights')", "cannot import model 'broken:Model': KeyError: 'weights'"),
        ("import sys; sys.exit(3)", "cannot import model 'broken:Model': SystemExit: 3"),
        ("import no_such_thing", "cannot import model 'broken:Model': ModuleNotFoundError: No module named"),
        ("def", "cannot import model 'broken:Model': SyntaxError: invalid syntax"),
        ("\0", "cannot import model 'broken:Model': SyntaxError: source code"),
        ("class Model: pass\n" + 50 * " " + "x", "cannot import model 'broken:Model': IndentationError: "),
    ],
)
def test_a_module_that_cannot_be_imported_names_its_exception(text, message, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    assert told("bench.memory", "--model", "broken:Model").startswith(message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torch:relu", "called with channels=1, 'torch:relu' raises TypeError: "),
        ("torch.nn:Linear", "'torch.nn:Linear' is no models.ReconstructionModel: type"),
        ("builtins:print", "'builtins:print' has no source file"),
        ("tests.bench.brightnes:Brightness", "; did you mean 'brightness'?"),
        ("tests.bench.brightness:Brigtness", "tests.bench.brightness has no 'Brigtness'; did you mean 'Brightness'?"),
        (":Model", "':Model' names no model: write package.module:Name"),
        ("os:path", "'os:path' is no models.ReconstructionModel: module"),
        ("mod:", "'mod:' names no model: write package.module:Name, such as mod:Name"),
        ("../x:Y", "'../x:Y' names no model: write package.module:Name, such as x:Y"),
        ("a/b.py:C", "write package.module:Name, such as a.b:C"),
        (".x:Y", "'.x:Y' names no model"),
        ("x:Y:Z", "'x:Y:Z' names no model"),
        ("os;rm -rf:x", "'os;rm -rf:x' names no model"),
        ("a\n:\x1b[2J", r"'a\n:\x1b[2J' names no model"),
        ("models:MODELS", "'models:MODELS' is no models.ReconstructionModel: dict; models there: DEQ4IP, "),
    ],
)
def test_names_of_others_modules(name, message):
    answer = told("bench.memory", "--model", name)
    assert message in answer
    assert "\n" not in answer


def test_a_model_for_some_channels_alone_is_one_and_draws_no_numbers(tmp_path, monkeypatch):
    text = "import torch\nfrom tests.bench.brightness import Brightness\nclass Three(Brightness):\n"
    text += "    def __init__(self, channels):\n        assert channels == 3\n        super().__init__(channels)\n"
    (tmp_path / "three.py").write_text(text + "        torch.rand(5)\n")
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    before = torch.get_rng_state()
    check_model("three:Three")
    assert torch.equal(before, torch.get_rng_state())


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(max_size=12), st.sampled_from(["", ":", "/", ".", "os", "\\"]), st.text(max_size=12))
def test_any_name_is_refused_in_one_line(start, middle, end):
    for name in (f"{start}{middle}:{end}", f":{start}{middle}{end}"):
        with pytest.raises(click.ClickException) as caught:
            MODEL.convert(name, None, None)
        assert caught.value.message.isprintable()
