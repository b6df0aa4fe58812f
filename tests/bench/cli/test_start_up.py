"""Help without waiting: no command imports torch, or anything that takes long, to explain itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[3]
SLOW = ("torch", "lightning_fabric", "deepinv", "matplotlib", "pandas", "scipy", "skimage", "h5py")
PROGRAM = """
import json, runpy, sys
command, *sub = sys.argv[1].split()
sys.argv = [command, *sub, "--help"]
try:
    runpy.run_module(command, run_name="__main__", alter_sys=True)
except SystemExit as end:
    print(json.dumps({"code": end.code, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


@pytest.mark.parametrize("command", ["bench", *COMMANDS])
def test_help_imports_nothing_that_takes_long(command):
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    ending = json.loads(answer.stdout.splitlines()[-1])
    assert ending["code"] == 0
    assert not set(SLOW) & set(ending["modules"])
