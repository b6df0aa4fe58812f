"""When a new baseline is written, and when it is refused."""

import click
import pytest

from bench.regression import children, update
from bench.regression.baseline import Environment, Measured, ToleranceBaseline, read_baseline
from bench.regression.changelog import with_line
from bench.regression.compare import distances_db, relative_distances
from bench.regression.gates import Setup

HERE = Environment(processor="A", capability="AVX512", torch="2.13.0", threads=1, flags={})
TEXT = "# Changelog\n\nWhy.\n\n## Next\n\n- One.\n\n## Before\n\n- Two.\n"


def measured(*values):
    return Measured(environment=HERE, values={"a": values})


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "measured", lambda part, results, variant=None: measured(29.0))
    monkeypatch.setattr(children, "measured_elsewhere", lambda *_: {"B": measured(29.01)})
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(TEXT)
    return Setup(folder=tmp_path / "baseline"), changelog


def write(files, **options):
    setup, changelog = files
    return update.update(["tolerance"], setup, changelog=changelog, **options)


def test_a_second_baseline_wants_a_line_in_the_changelog(files):
    (written,) = write(files)
    first = written.read_bytes()
    with pytest.raises(click.ClickException, match="has not changed since the baseline was written"):
        write(files)
    assert written.read_bytes() == first
    files[1].write_text(TEXT + "\nMore.\n")
    write(files)
    write(files, text="Deblurring is better.")
    assert "- Deblurring is better.\n" in files[1].read_text()
    with pytest.raises(click.ClickException, match="has not changed"):
        write(files)


def test_a_tolerance_is_three_times_what_environments_differ_by(files):
    write(files)
    assert read_baseline(ToleranceBaseline, files[0].folder).psnr_db.tolerances == {"a": (pytest.approx(0.03),)}


def test_environments_that_differ_too_much_are_refused():
    far = {"B": measured(28.9)}
    with pytest.raises(click.ClickException, match=r"no tolerance catches a loss: a differs .* by 0\.1"):
        update.spread(measured(29.0), far, distances_db, 0.005, 0.15)


def test_every_number_has_a_tolerance_of_its_own_and_a_least_one():
    same = update.spread(measured(1.0, 2.0), {"B": measured(1.0, 2.2)}, relative_distances, 1e-6)
    assert same.tolerances == {"a": (1e-6, pytest.approx(0.3))}


def test_a_line_goes_to_the_end_of_the_first_section():
    added = with_line(TEXT, "A figure moved. " * 10)
    before, section, after = added.partition("- One.\n")
    assert before + section == TEXT.partition("\n\n## Before")[0] + "\n"
    assert after.startswith("- A figure moved. ")
    assert after.endswith("\n\n## Before\n\n- Two.\n")
    assert max(map(len, added.splitlines())) <= 120
    assert with_line("## Next\n\nProse.\n", "Item.") == "## Next\n\nProse.\n\n- Item.\n"
    with pytest.raises(click.ClickException, match="no section"):
        with_line("# Changelog\n", "Item.")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("### Added\n\n- A.\n\n### Changed\n\n- B.\n", "### Added\n\n- A.\n\n### Changed\n\n- B.\n- Item.\n"),
        ("### Changed\n\n- B.\n\n### Fixed\n\n- C.\n", "### Changed\n\n- B.\n- Item.\n\n### Fixed\n\n- C.\n"),
        ("### Fixed\n\n- C.\n", "### Fixed\n\n- C.\n\n### Changed\n\n- Item.\n"),
    ],
)
def test_a_line_goes_to_what_changed(before, after):
    rest = "\n## Before\n\n### Changed\n\n- Two.\n"
    assert with_line(f"## Next\n\n{before}{rest}", "Item.") == f"## Next\n\n{after}{rest}"
