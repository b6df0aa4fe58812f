"""``python -m bench.data check`` on small data sets in the genuine layouts, sound and broken."""

import zipfile

import pytest
from click.testing import CliRunner
from PIL import Image

from bench.data.__main__ import main
from bench.data.audits import find_layout
from bench.data.base import DataError
from bench.runner.progress import Reporter


@pytest.fixture
def photos(tmp_path, write_photo):
    for folder in ("train", "val", "test"):
        write_photo(tmp_path / folder / "a.png")
        write_photo(tmp_path / folder / "b.jpg")
    return tmp_path


@pytest.fixture
def celeba(tmp_path, write_photo):
    for number in range(3):
        write_photo(tmp_path / "img_align_celeba" / f"{number}.jpg", height=218, width=178)
    (tmp_path / "list_eval_partition.txt").write_text("0.jpg 0\n1.jpg 1\n2.jpg 2\n")
    return tmp_path


@pytest.mark.parametrize("layout", ["photos", "celeba", "lodopab", "fastmri"])
def test_sound_sets_have_no_problem_and_are_told_apart(layout, request):
    source = request.getfixturevalue(layout)
    answer = CliRunner().invoke(main, ["check", "--data", str(source)], standalone_mode=False)
    assert answer.return_value == 0
    title = {"celeba": "CelebA", "lodopab": "LoDoPaB-CT", "fastmri": "fastMRI single-coil", "photos": "photographs"}
    assert f"{title[layout]}: no problems" in " ".join(answer.output.split())


def test_problems_are_printed_a_line_each_and_counted(photos):
    (photos / "train" / "a.png").write_text("<html>")
    (photos / "val" / "b.jpg").write_bytes((photos / "val" / "b.jpg").read_bytes()[:300])
    answer = CliRunner().invoke(main, ["check", "--data", str(photos)], standalone_mode=False)
    assert answer.return_value == 1
    lines = answer.stdout.splitlines()
    assert lines[0].startswith(f"{photos / 'train' / 'a.png'}: is an HTML page")
    assert lines[1].startswith(f"{photos / 'val' / 'b.jpg'}: cannot be read as an image")
    assert "2 problems" in answer.stdout


def test_what_was_found_before_an_interrupt_is_printed(photos, monkeypatch):
    (photos / "train" / "a.png").write_text("<html>")

    def interrupt(self, text):
        raise KeyboardInterrupt

    monkeypatch.setattr(Reporter, "finish", interrupt)
    answer = CliRunner().invoke(main, ["check", "--data", str(photos)])
    assert answer.exit_code == 1  # click's own; bench.cli.run makes it 130
    assert "a.png: is an HTML page" in answer.stdout


def test_a_split_without_images_is_one_problem_and_the_others_are_read(photos, problems):
    for name in ("a.png", "b.jpg"):
        (photos / "test" / name).unlink()
    (photos / "train" / "a.png").write_bytes(b"")
    found = problems(photos)
    assert len(found) == 2
    assert "a.png: cannot be read" in found[0]
    assert f"{photos / 'test'}: no .jpg" in found[1]


def test_celeba_must_have_its_size_and_all_that_is_listed(celeba, write_photo, problems):
    write_photo(celeba / "img_align_celeba" / "0.jpg", height=178, width=218)
    (celeba / "img_align_celeba" / "1.jpg").unlink()
    found = problems(celeba)
    assert "0.jpg: is 178 pixels high and 218 wide, not 218x178" in found[0]
    assert "1.jpg: listed in list_eval_partition.txt, but missing" in found[1]
    assert len(found) == 2


def test_a_photograph_of_one_colour_is_named(photos, problems):
    Image.new("RGB", (30, 40), (9, 120, 200)).save(photos / "val" / "a.png")
    assert problems(photos) == [f"{photos / 'val' / 'a.png'}: is blank: it has one colour everywhere"]


def test_a_quota_page_in_place_of_the_archive_or_the_list_is_the_problem(celeba, problems):
    for path in (celeba / "img_align_celeba").iterdir():
        path.unlink()
    (celeba / "img_align_celeba").rmdir()
    (celeba / "img_align_celeba.zip").write_text("<html>Quota exceeded</html>")
    (problem,) = problems(celeba)
    assert "img_align_celeba.zip: is an HTML page, not a zip archive" in problem
    with zipfile.ZipFile(celeba / "img_align_celeba.zip", "w") as archive:
        archive.writestr("../evil.jpg", b"x")
    (problem,) = problems(celeba)
    assert "leads out of the archive; refused" in problem
    (celeba / "list_eval_partition.txt").write_text("<html>Quota exceeded</html>")
    (problem,) = problems(celeba)
    assert "list_eval_partition.txt: is an HTML page" in problem


def test_counts_of_the_published_set_are_asked_for(celeba, fastmri, problems):
    assert "the train split has 1 images, the published one 162770" in problems(celeba, "deblur", complete=True)[0]
    assert "the test split has 1 files, the published one 108" in problems(fastmri, "mri4x", complete=True)[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--data", "."], "is in no layout that any task reads; known: CelebA: list_eval_partition.txt"),
        (["--data", ".", "--task", "debulr"], "did you mean 'deblur'?"),
    ],
)
def test_bad_input_is_told(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(main, ["check", *options])
    assert message in answer.output


def test_a_set_for_another_task_is_recognised(fastmri):
    answer = CliRunner().invoke(main, ["check", "--data", str(fastmri), "--task", "ct"])
    assert "no layout that ct reads (it looks like fastMRI single-coil, for task mri4x, mri8x)" in answer.output


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["ct", "mri/fastmri_layout", "photos/produce", "photos/faces"])
def test_real_sets_have_no_problem(real_data, name, problems):
    assert problems(real_data / name) == []


def test_a_task_without_a_layout_is_told_so(tmp_path):
    with pytest.raises(DataError, match=r"is in no layout that new-task reads; known: none$"):
        find_layout(tmp_path, "new-task")
