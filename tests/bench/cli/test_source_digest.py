"""A user's own model that is edited is another model; one that is merely moved is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.source_digest import code_of
from bench.records.store import ResultStore

ROOT = Path(__file__).resolve().parents[3]
MODEL = """
import torch
from models import Reconstruction, ReconstructionModel
{imports}

class Steps(ReconstructionModel):
    def forward(self, y, operator):
        x = operator.adjoint(y) * self.step_size
        for _ in range({count}):
            x = operator.adjoint(operator(x))
        return Reconstruction(x, (x,))
"""


def digest(folder, model):
    """Ask in a process of its own, since modules are imported once."""
    script = f"from bench.cli.source_digest import code_of; print(code_of({model!r}))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-B", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_the_protocol_covers_our_own_models():
    assert code_of("luser-dw") is None


@pytest.mark.slow
def test_an_edited_model_is_counted_again(tmp_path):
    arguments = [sys.executable, "-B", "-m", "bench.calls", "--task", "deblur", "--model", "mine:Steps"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def counted(count):
        write(tmp_path, {"mine.py": MODEL.format(imports="", count=count)})
        answer = subprocess.run(
            [*arguments, "--results", "r"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stderr
        return "stored already" in answer.stderr

    assert [counted(count) for count in (1, 1, 2)] == [False, True, False]
    forward = [record.values.reconstruction["forward.reconstruct"] for record in ResultStore(tmp_path / "r").records()]
    assert sorted(forward) == [1, 2]


PACKAGE = {
    "pack/__init__.py": "",
    "pack/deep/__init__.py": "",
    "pack/deep/model.py": MODEL.format(imports="from ..layers import width\nimport pack.other", count=1),
    "pack/layers.py": "from pack import widths\nwidth = widths.WIDTH",
    "pack/widths.py": "WIDTH = 3",
    "pack/other.py": "",
    "pack/unused.py": "",
    "outside.py": "",
}


@pytest.mark.parametrize("changed", ["pack/deep/model.py", "pack/layers.py", "pack/widths.py", "pack/__init__.py"])
def test_what_a_model_imports_from_its_package_counts(tmp_path, changed):
    before = digest(write(tmp_path / "a", PACKAGE), "pack.deep.model:Steps")
    edited = PACKAGE | {changed: PACKAGE[changed] + "\n# edited"}
    assert digest(write(tmp_path / "b", edited), "pack.deep.model:Steps") != before


def test_what_it_does_not_import_and_where_it_lies_do_not(tmp_path):
    before = digest(write(tmp_path / "a", PACKAGE), "pack.deep.model:Steps")
    edited = PACKAGE | {"pack/unused.py": "# edited", "outside.py": "# edited"}
    assert digest(write(tmp_path / "b", edited), "pack.deep.model:Steps") == before


def test_a_file_beside_a_model_without_a_package_counts(tmp_path):
    files = {"mine.py": MODEL.format(imports="import layers", count=1), "layers.py": "import json"}
    before = digest(write(tmp_path, files), "mine:Steps")
    (tmp_path / "layers.py").write_text("import json\nWIDTH = 3")
    assert digest(tmp_path, "mine:Steps") != before


def test_a_file_beside_a_model_that_python_cannot_read_counts_too(tmp_path):
    imports = "try:\n    import layers\nexcept SyntaxError:\n    pass"
    before = digest(
        write(tmp_path, {"mine.py": MODEL.format(imports=imports, count=1), "layers.py": "def f(:"}), "mine:Steps"
    )
    (tmp_path / "layers.py").write_text("def g(:")
    assert digest(tmp_path, "mine:Steps") != before
