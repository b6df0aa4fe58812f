"""Options for jobs on a cluster: profiles, what overrides them, and what is refused in one line."""

import shutil
import sys
from importlib.machinery import ModuleSpec

import click
import pytest

from bench.cli import run, study_options, study_options_here


@click.command()
@study_options
def command(study):
    click.echo(study.cluster and study.cluster.profile.model_dump(exclude_defaults=True))


@click.command()
@study_options
def sends(study):
    study.records([])


@click.command()
@study_options_here
def here(study):
    click.echo(str(study.cluster))


@pytest.fixture
def said(monkeypatch, capsys):
    """Run a command as from a shell, and return its exit code and what it said."""

    def said(*arguments, of=command):
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            run(of)
        captured = capsys.readouterr()
        return end.value.code, captured.out + captured.err

    return said


def test_options_override_a_profile(said, tmp_path):
    profile = tmp_path / "a100.toml"
    profile.write_text('partition = "gpu"\nminutes = 600\ngpus_per_job = 1\nsetup = ["module load cuda"]\n')
    arguments = ["--executor", "slurm", "--cluster-profile", profile, "--partition", "short", "--cluster-jobs", 8]
    found = dict(partition="short", minutes=600, gpus_per_job=1, setup=("module load cuda",), jobs=8)
    code, text = said(*arguments)
    assert (code, eval(text)) == (0, found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('partitoin = "gpu"', "unknown setting 'partitoin'; did you mean 'partition'?"),
        ("minutes = 0", "minutes: Input should be greater than or equal to 1"),
        ("minutes =", "not valid TOML"),
    ],
)
def test_a_wrong_profile_is_told_in_a_line(said, tmp_path, content, message):
    profile = tmp_path / "profile.toml"
    profile.write_text(content)
    code, text = said("--executor", "slurm", "--cluster-profile", profile)
    assert code == 2
    assert text.startswith(f"error: {profile}: {message}")
    assert len(text.splitlines()) == 1


def test_without_an_executor_its_options_are_refused(said):
    assert said("--partition", "gpu") == (2, "error: --partition needs --executor slurm or local\n")


def test_a_study_whose_cells_follow_from_one_another_has_no_executor(said):
    assert said(of=here) == (0, "None\n")
    code, text = said("--executor", "slurm", of=here)
    assert code == 2
    assert "No such option" in text


def test_without_submitit_or_slurm_one_line(said, monkeypatch, tmp_path):
    started = ModuleSpec("command", None)  # by python -m; parallel tests are not
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", started)
    monkeypatch.setattr(sys.modules["__main__"], "sends", sends, raising=False)
    arguments = ["--results", tmp_path / "results", "--executor", "slurm"]
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert said(*arguments, of=sends) == (2, "error: --executor slurm: not installed; pip install '.[cluster]'\n")
    monkeypatch.delitem(sys.modules, "submitit")
    pytest.importorskip("submitit")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    told = "error: --executor slurm: there is no sbatch here; --executor local needs none\n"
    assert said(*arguments, of=sends) == (2, told)
    assert not (tmp_path / "results").exists()


def test_under_torchrun_there_are_no_jobs(said, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, text = said("--executor", "local")
    assert code == 2
    assert "not under torchrun" in text
