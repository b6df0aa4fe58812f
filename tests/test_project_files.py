"""What the project says of itself to GitHub, to pre-commit and to those who cite it: valid, and the same everywhere."""

import configparser
import re
import sys
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
ELEMENTS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}
SECTION = re.compile(r"## \[(Unreleased|\d+\.\d+\.\d+)\](?: - (\d{4}-\d{2}-\d{2}))?")
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


def test_the_citation_is_valid_and_says_what_the_package_says():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    # All that the schema 1.2.0 requires; authors may be entities, which have a name.
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["keywords"] == PROJECT["keywords"]
    assert f"## [{citation['version']}] - {citation['date-released']}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_citation_names_the_paper():
    (paper,) = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert [author["family-names"] for author in paper["authors"]] == ["Guan", "Jin", "Romberg", "Davenport"]
    assert paper["url"] == PROJECT["urls"]["Paper"]
    record = tomllib.loads((ROOT / "bench" / "records" / "paper.toml").read_text())
    assert paper["title"] == record["title"]
    assert paper["identifiers"][0]["value"] in record["reference"]


def test_hooks_run_the_lint_of_tox():
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    environments = ("lint", "types", "imports")
    commands = [line for name in environments for line in tox[f"testenv:{name}"]["commands"].strip().splitlines()]
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == commands
    for hook in local["hooks"]:
        assert {"id", "name", "entry", "language"} <= hook.keys()
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_valid(path):
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys()
    fields = [element for element in form["body"] if element["type"] != "markdown"]
    names = [field["id"] for field in fields]
    assert names
    assert len(set(names)) == len(names)
    for element in form["body"]:
        assert element["type"] in ELEMENTS
        assert element["attributes"]["value" if element["type"] == "markdown" else "label"]
    for field in fields:
        assert re.fullmatch(r"[\w-]+", field["id"])
        assert field["type"] != "dropdown" or len(field["attributes"]["options"]) > 1
        assert not field.keys() - {"type", "id", "attributes", "validations"}


def test_there_are_forms_for_a_fault_a_row_and_a_question():
    assert [path.stem for path in FORMS] == ["bug", "question", "row"]
    names = [yaml.safe_load(path.read_text())["name"] for path in FORMS]
    assert len(set(names)) == 3


def test_files_that_forms_and_templates_name_exist():
    texts = [path.read_text() for path in (*FORMS, ROOT / ".github" / "pull_request_template.md")]
    named = set(re.findall(r"[\w/]*\w+\.(?:md|py)\b", "\n".join(texts)))
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_changelog_keeps_its_form():
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    sections = [SECTION.fullmatch(line) for line in lines if line.startswith("## ")]
    assert all(sections)
    versions = [section[1] for section in sections]
    assert versions[0] == "Unreleased"
    assert versions[1] == PROJECT["version"]
    dates = [section[2] for section in sections[1:]]
    assert all(dates)
    assert dates == sorted(dates, reverse=True)
    assert {line.removeprefix("### ") for line in lines if line.startswith("### ")} <= set(KINDS)
    assert max(map(len, lines)) <= 120
