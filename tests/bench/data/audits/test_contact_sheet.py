import pytest
from click.testing import CliRunner
from PIL import Image

from bench.data.__main__ import main


def draw(*options):
    return CliRunner().invoke(main, ["describe", *map(str, options)])


@pytest.mark.parametrize("number", [1, 9])
def test_a_sheet_shows_every_split_of_a_folder(tmp_path, write_photo, number):
    for folder in ("train", "val", "test"):
        for place in range(number):
            write_photo(tmp_path / folder / f"{place}.png")
    output = tmp_path / "sheet.png"
    answer = draw("--data", tmp_path, "--task", "deblur", "--output", output)
    assert answer.exit_code == 0, answer.output
    with Image.open(output) as sheet:
        assert sheet.width > sheet.height > 1000


def test_generated_images_need_no_folder(tmp_path):
    assert draw("--task", "ct", "--output", tmp_path / "sheet.png").exit_code == 0
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "sheet.jpg"], "sheet.jpg: the contact sheet is a PNG file; name it sheet.png"),
        (["--output", "sheet.png", "--data", "nowhere"], "nowhere: no such folder"),
        (["--output", "no/such/folder/sheet.png"], "no/such/folder/sheet.png"),
    ],
)
def test_bad_input_is_told_in_one_line(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    answer = draw("--task", "ct", *options)
    assert answer.exit_code == 1  # click's own; bench.cli.run makes it 2
    assert message in answer.output
    assert not list(tmp_path.iterdir())
