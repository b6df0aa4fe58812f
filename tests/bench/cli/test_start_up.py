"""Help without waiting: no command imports torch, or anything that takes long, to explain itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[3]
LONGEST_S = 0.5
SLOW = ("torch", "lightning_fabric", "deepinv", "matplotlib", "pandas", "scipy", "skimage", "h5py")
PROGRAM = """
import json, runpy, sys, time
module, *words = sys.argv[1:]
sys.argv = [module, *words]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as end:
    modules = sorted({name.partition(".")[0] for name in sys.modules})
    print(json.dumps({"code": end.code, "modules": modules, "processor_s": time.process_time()}))
"""


def ending_of(*words):
    command = [sys.executable, "-c", PROGRAM, *words]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "words",
    [
        ["bench"],
        ["bench", "--help"],
        ["bench", "--version"],
        *(form for name in COMMANDS for form in ([f"bench.{name}", "--help"], ["bench", name, "--help"])),
    ],
    ids=" ".join,
)
def test_help_imports_nothing_that_takes_long(words):
    ending = ending_of(*words)
    assert ending["code"] == 0
    assert not set(SLOW) & set(ending["modules"])


@pytest.mark.parametrize("words", [["bench"], *(["bench", name] for name in COMMANDS)], ids=" ".join)
def test_help_takes_half_a_second(words):
    # Of processor time, and the best of three: other programs on the machine slow this one down.
    assert any(ending_of(*words, "--help")["processor_s"] < LONGEST_S for _ in range(3))
