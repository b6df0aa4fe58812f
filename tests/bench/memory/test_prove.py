"""The simulator beside what others measured: one constant is fitted, nothing else; what differs is an error."""

import gzip
import json

import pytest
from click.testing import CliRunner

from bench.memory.__main__ import main
from bench.memory.prove import FITTED_RUNS, errors_bytes, peaks_of
from bench.sizes import MIB
from bench.store import ResultStore
from bench.values import ProofValues
from tests.bench.memory.test_published import made_up

CONTEXT_MIB = 700
NAME = "input:{0}_output:8_depth:2_arch:uniform_batch:{1}_act:relu_dropout:0.1_dropout:False_batchnorm:True.out"


@pytest.fixture
def folder(tmp_path):
    """Two histories and three runs, the last of which took 8 MiB more than it would by our rules."""
    (tmp_path / "gpu" / "histories").mkdir(parents=True)
    (tmp_path / "gpu" / "measured").mkdir()
    for seed in range(2):
        content = made_up(seed).model_dump_json().encode()
        (tmp_path / "gpu" / "histories" / f"h{seed}.json.gz").write_bytes(gzip.compress(content))
    names = [NAME.format(inputs, batch) for inputs, batch in ((256, 32), (512, 64), (1024, 512))]
    lines = ["Filename,Total Parameters,Batch Size,Max GPU Memory (MiB)"]
    for name, more in zip(names, (0, 0, 8), strict=True):
        ((reserved, _),) = peaks_of([name])
        lines.append(f"{name},0,0,{reserved / MIB + CONTEXT_MIB + more}")
    (tmp_path / "gpu" / "measured" / "runs.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "gpu" / "measured" / "other.csv").write_text("a,b\n1,2\n")
    return tmp_path / "gpu"


def prove(folder, *options):
    arguments = ["prove", str(folder), "--results", str(folder.parent / "results"), *options]
    return CliRunner().invoke(main, arguments, standalone_mode=False)


def test_what_was_published_is_compared_and_stored(folder):
    answer = prove(folder, "--format", "json")
    assert answer.return_value == 0
    assert "other.csv: skipped" in answer.stderr
    told = json.loads(answer.stdout)
    assert told["histories"] == [{"file": f"h{seed}.json.gz", "replayed": True} for seed in range(2)]
    assert [run["file"] for run in told["runs"]] == ["runs.csv"] * 3
    errors = [run["measured_bytes"] - run["predicted_bytes"] for run in told["runs"]]
    assert errors == [0, 0, 8 * MIB]
    assert len(list(ResultStore(folder.parent / "results").records())) == 2
    assert "stored already" in prove(folder).stderr


def test_the_table_names_every_file(folder):
    table = prove(folder).stdout
    assert "runs.csv" in table
    assert "700.0" in table


def test_a_history_that_differs_is_an_error(folder):
    history = made_up().model_copy(update={"reserved_bytes": 1})
    (folder / "histories" / "h0.json.gz").write_bytes(gzip.compress(history.model_dump_json().encode()))
    answer = prove(folder, "--format", "json")
    assert answer.return_value == 1
    assert json.loads(answer.stdout)["histories"][0] == {"file": "h0.json.gz", "replayed": False}


def test_runs_that_were_fitted_are_not_counted_as_predicted():
    measured = [0] * FITTED_RUNS + [10, 30, 50]
    values = ProofValues(
        constant_bytes=0,
        fitted_runs=FITTED_RUNS,
        measured_bytes=tuple(measured),
        reserved_bytes=(7,) * FITTED_RUNS + (10, 20, 30),
        requested_bytes=(0,) * len(measured),
    )
    assert errors_bytes(values)[0] == 10


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no histories"), ("Filename,Max GPU Memory (MiB)\nx,much\n", "runs.csv")]
)
def test_a_folder_that_cannot_be_compared_is_one_clear_line(tmp_path, content, message):
    if content:
        (tmp_path / "measured").mkdir()
        (tmp_path / "measured" / "runs.csv").write_text(content)
    answer = prove(tmp_path)
    assert message in answer.exception.format_message()
