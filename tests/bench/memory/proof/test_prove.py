"""The simulator beside what others measured: one constant is fitted, nothing else; what differs is an error."""

import gzip
import json

import pytest
from click.testing import CliRunner

from bench.memory.__main__ import main
from bench.memory.proof import peer_estimators
from bench.memory.proof import prove as prove_command
from bench.memory.proof.classifier import CONTEXT_BYTES, Classifier
from bench.memory.proof.peer_estimators import ESTIMATORS, predicted_bytes
from bench.memory.proof.perceptron import Perceptron
from bench.memory.proof.prove import FITTED_RUNS, fitted_bytes, peaks_of
from bench.memory.proof.published_runs import Runs
from bench.records import MIB
from bench.records.environment import installed
from bench.records.store import ResultStore
from tests.bench.memory.proof.test_published import made_up

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
        ((reserved, _),) = peaks_of([Perceptron.named(name)])
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


def test_constants_are_fitted_to_the_first_runs_alone():
    measured, predicted = (10,) * FITTED_RUNS + (90,), [3] * FITTED_RUNS + [0]
    assert fitted_bytes(Runs("perceptrons", (), measured, ()), predicted) == 7
    assert fitted_bytes(Runs("classifiers", (), measured, (), 5), predicted) == 5


def test_classifiers_are_predicted_with_a_constant_of_other_runs(folder):
    if not installed(["timm"]):
        pytest.skip("timm is not installed: pip install .[classifiers]")
    rows = ["model,library,image,classes,batch,measured_mib"]
    for name, library in (("resnet18 (a note)", "torchvision"), ("mobilenetv3_small_050", "timm")):
        ((reserved, _),) = peaks_of([Classifier(name, library, 64, 10, 4)])
        rows.append(f"{name},{library},64,10,4,{(reserved + CONTEXT_BYTES) / MIB + 1}")
    (folder / "measured" / "runs.csv").write_text("\n".join(rows) + "\n")
    runs = json.loads(prove(folder, "--format", "json").stdout)["runs"]
    assert [run["name"] for run in runs] == ["resnet18 (a note)", "mobilenetv3_small_050"]
    assert [run["measured_bytes"] - run["predicted_bytes"] for run in runs] == [MIB, MIB]


def test_a_network_that_a_library_does_not_have_is_told_by_name():
    if not installed(["timm"]):
        pytest.skip("timm is not installed: pip install .[classifiers]")
    for library in ("torchvision", "timm"):
        with pytest.raises(ValueError, match=f"{library} has no network 'resnet17'"):
            Classifier("resnet17", library, 64, 10, 4).network()


def test_other_estimators_are_asked_where_they_are_installed(folder, monkeypatch):
    prove(folder)
    monkeypatch.setattr(prove_command, "installed", lambda names: ("made-up 1.0",))
    monkeypatch.setitem(peer_estimators.ESTIMATORS, "made-up", lambda network, shape, batch: shape[0] * MIB)
    assert "stored already, without made-up 1.0: run again with --force" in prove(folder).stderr
    table = prove(folder, "--force").stdout
    assert "made-up" in table
    (values,) = (record.values for record in ResultStore(folder.parent / "results").records() if record.values.peers)
    (peer,) = values.peers
    assert (peer.name, peer.version) == ("made-up", "1.0")
    assert peer.predicted_bytes == (256 * MIB, 512 * MIB, 1024 * MIB)
    runs = Runs("perceptrons", (), values.measured_bytes, ())
    assert peer.constant_bytes == fitted_bytes(runs, peer.predicted_bytes)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_other_estimators_know_weights_gradients_and_both_moments(name):
    if not installed([name]):
        pytest.skip(f"{name} is not installed: pip install .[memory-peers]")
    run = NAME.format(256, 32)
    ((told,),) = predicted_bytes([Perceptron.named(run)], [name])
    weights = sum(parameter.nbytes for parameter in Perceptron.named(run).network().parameters())
    assert told > 4 * weights


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no histories"), ("Filename,Max GPU Memory (MiB)\nx,much\n", "runs.csv")]
)
def test_a_folder_that_cannot_be_compared_is_one_clear_line(tmp_path, content, message):
    if content:
        (tmp_path / "measured").mkdir()
        (tmp_path / "measured" / "runs.csv").write_text(content)
    answer = prove(tmp_path)
    assert message in answer.exception.format_message()
