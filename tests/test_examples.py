"""Every script in examples/ runs as it is given to a researcher, and prints what it says it shows."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = {path.name: path for path in sorted((ROOT / "examples").glob("*.py"))}
LONGEST_S = 300  # on a busy machine; each takes less than a minute of one core


def printed(name, *words):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, SCRIPTS[name], *words]
    answer = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    return answer.stdout


def numbers(pattern, text):
    found = re.search(pattern, text)
    assert found, text
    return [float(number) for number in found.groups()]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_short_and_says_what_it_shows(name):
    text = SCRIPTS[name].read_text()
    assert len(text.splitlines()) <= 65
    assert len(ast.get_docstring(ast.parse(text)).split()) > 20
    assert f"def test_{SCRIPTS[name].stem}_" in Path(__file__).read_text()


@pytest.mark.slow
def test_own_model_learns():
    text = printed("own_model.py")
    (before,), (after,) = numbers(r"at first: +([\d.]+) dB", text), numbers(r"trained: +([\d.]+) dB", text)
    assert after > before + 5


@pytest.mark.slow
def test_own_operator_has_its_adjoint_its_formula_and_a_network_that_learns():
    text = printed("own_operator.py")
    left, right = numbers(r"<A x, y> = ([\d.]+), <x, A\^H y> = ([\d.]+)", text)
    assert left == right
    norm, of_formula = numbers(r"norms: +([\d.]+) of A, ([\d.]+) of", text)
    assert of_formula == pytest.approx(2 * norm**2, abs=1e-3)
    first, last = numbers(r"loss: +([\d.]+) at first, ([\d.]+) after", text)
    assert last < first / 2


def test_any_fixed_point_is_found_by_every_method_and_the_exact_rule_is_exact():
    text = printed("any_fixed_point.py")
    assert text.count("converged after") == 3
    error = {rule: float(value) for rule, value in re.findall(r"(.+): relative error of the gradient (\S+)", text)}
    assert list(error) == ["exact", "Jacobian-free", "phantom, 5 steps", "unrolled, 20 steps"]
    assert error["exact"] < 1e-3 < error["phantom, 5 steps"] < error["Jacobian-free"]


def test_what_fits_tells_a_batch_for_every_card():
    found = re.findall(r"(\d+) GB: batch (\d+) trains, simulated, with a peak of ([\d.]+) GB", printed("what_fits.py"))
    assert [int(card) for card, *_ in found] == [8, 10, 24]
    batches = [int(batch) for _, batch, _ in found]
    assert batches == sorted(set(batches))
    assert all(0.9 * float(card) < float(peak) <= float(card) for card, _, peak in found)
    assert printed("what_fits.py", "0.65") == "0.65 GB: not even batch 1\n"


@pytest.mark.slow
def test_grade_weights_beat_the_starting_images():
    text = printed("grade_weights.py")
    assert text.startswith("luser-sw for deblur, trained on ")
    (start,), (reached,) = (numbers(rf"{what}: ([\d.]+) dB", text) for what in ("starting images", "reconstructions"))
    assert reached > start + 2
