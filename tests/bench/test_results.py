"""``bench.results``: lists, shows, checks and exports; broken files are told, and cost nothing else."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from bench.records import Status
from bench.records.store import ResultStore
from bench.results import main
from tests.records import make_provenance, make_record, make_spec

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path):
    store = ResultStore(tmp_path / "results")
    for task in ("ct", "deblur"):
        for model in ("deq4ip", "lab.nets:Mine"):
            store.add(make_record(spec=make_spec(task=task, model=model)))
    store.add(make_record(spec=make_spec(task="mri4x"), status=Status.FAILED, values=None, message="no luck"))
    return store


def results(store, *arguments, code=0):
    done = CliRunner().invoke(main, [arguments[0], "--results", str(store.root), *arguments[1:]], standalone_mode=False)
    if code == 2:
        return done.exception.format_message()
    assert done.exception is None, done.exception
    assert (done.return_value or 0) == code
    return done.stdout


def listed(store, *arguments):
    return json.loads(results(store, "list", "--format", "json", *arguments))


def test_list_has_a_line_for_every_record_and_their_number(store):
    header, *lines, number = results(store, "list").splitlines()
    assert header.split() == ["id", "kind", "subject", "question", "status", "answer", "created", "device"]
    assert number == "5 records"
    assert len(lines) == 5
    assert "memory  ct deq4ip             8 GiB, simulate, paper, protocol 3  ok      largest batch 2" in lines[0]
    assert "failed" in lines[-1]


@pytest.mark.parametrize(
    ("options", "number"),
    [
        ((), 5),
        (("--task", "ct"), 2),
        (("--task", "ct", "--task", "mri4x"), 3),
        (("--model", "lab.nets:Mine"), 2),
        (("--status", "failed"), 1),
        (("--kind", "memory", "--status", "ok", "--task", "ct"), 2),
        (("--kind", "timing"), 0),
    ],
)
def test_list_filters(options, number, store):
    assert len(listed(store, *options)) == number


@pytest.mark.parametrize(
    ("options", "nearest"),
    [(("--kind", "memry"), "memory"), (("--task", "debur"), "deblur"), (("--status", "faild"), "failed")],
)
def test_unknown_names_end_in_the_nearest(options, nearest, store):
    assert f"did you mean '{nearest}'?" in results(store, "list", *options, code=2)


def test_broken_files_are_told_and_the_rest_is_listed(store, capsys):
    broken = store.root / "memory" / "x.json"
    broken.write_text("{")
    done = CliRunner().invoke(main, ["list", "--results", str(store.root)])
    assert done.stdout.endswith("5 records\n")
    assert done.stderr.startswith(f"skipped: {broken}: not a valid record: ")


def test_show_finds_a_record_by_name_and_by_identity(store):
    path = store.path_of(make_spec(model="deq4ip"), make_provenance())
    record = ResultStore.read(path)
    for name in (path.name, path.stem, str(path), record.cell_id[:8], f"{record.cell_id[:8]}-"):
        shown = results(store, "show", name)
        assert "8,589,934,592 (8.00 GiB)" in shown
        assert record.cell_id in shown
        assert "values.probes: 2" in shown
    assert json.loads(results(store, "show", path.name, "--format", "json")) == json.loads(path.read_text())


def test_show_names_the_nearest_records(store):
    path = store.path_of(make_spec(model="deq4ip"), make_provenance())
    assert f"nearest: {path.stem}" in results(store, "show", path.stem.replace("deq", "dqe"), code=2)
    assert results(store, "show", "", code=2).startswith("5 records are called ''")


def test_verify_is_content_with_what_was_stored(store):
    assert results(store, "verify") == "5 records: no problems\n"


def test_verify_names_every_problem(store):
    path = store.path_of(make_spec(model="deq4ip"), make_provenance())
    path.rename(path.with_name("renamed.json"))
    (store.root / "memory" / "cut.json").write_text("{")
    (store.root / "credits.toml").write_text("x")
    *lines, number = results(store, "verify", code=1).splitlines()
    assert number == "6 records: 3 problems"
    for name, problem in (
        ("memory/renamed.json", f"its content belongs to memory/{path.name}"),
        ("memory/cut.json", "not a valid record"),
        ("credits.toml", "not valid TOML"),
    ):
        assert sum(f"{name}: {problem}" in line for line in lines) == 1


def test_export_is_flat_with_units_in_names(store, tmp_path):
    results(store, "export", str(tmp_path / "x.csv"), "--status", "ok")
    with (tmp_path / "x.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert rows[0]["spec.cap_bytes"] == "8589934592"
    assert rows[0]["values.probes.peak_bytes.mean"] == "150.0"
    assert rows[0]["values.probes.count"] == "2"
    assert rows[0]["spec.image_shape"] == "[8, 8]"
    assert rows[0]["status"] == "ok"


def test_export_to_parquet_or_why_not(store, tmp_path):
    path = tmp_path / "x.parquet"
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        assert results(store, "export", str(path), code=2).startswith("Parquet needs pyarrow: pip install")
        assert not path.exists()
    else:
        results(store, "export", str(path))
        assert len(pd.read_parquet(path)) == 5


def test_export_names_what_it_cannot_do(store, tmp_path):
    assert "did you mean '.csv'?" in results(store, "export", "x.cvs", code=2)
    (tmp_path / "taken").write_text("")
    assert results(store, "export", str(tmp_path / "taken" / "x.csv"), code=2).startswith(f"{tmp_path}/taken/x.csv: ")


def test_help_needs_neither_torch_nor_pandas_nor_matplotlib():
    code = (
        "import sys; from bench.results import main; main(['list', '--help'], standalone_mode=False);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'matplotlib')))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
