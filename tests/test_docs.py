"""The documentation: complete in its sources, and as a site without a broken link, an error or the network."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

import models
import operators
from bench.__main__ import COMMANDS
from bench.baselines.methods import REFERENCES
from tests.site import Site

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
WIDTHS = (1280, 390)
MOST_CLICKS = 2
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
NAMES = [f"{package.__name__}.{name}" for package in (operators, models) for name in package.__all__]


def test_the_reference_has_every_exported_name_once():
    pages = [path.read_text() for path in (DOCS / "reference").glob("*.md")]
    listed = re.findall(r"^::: ([\w.]+\.\w+)$", "\n".join(pages), re.MULTILINE)
    assert sorted(listed) == sorted(NAMES)


def test_the_list_of_commands_has_every_command():
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.md\)", (DOCS / "commands" / "index.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


def test_the_table_of_methods_has_every_method_and_weights_that_exist():
    text = (DOCS / "methods.md").read_text()
    keys = set(re.findall(r"^\| [\w ]+ \| `([\w-]+)` \|", text, re.MULTILINE))
    known = (models.MODELS, models.SOLVERS, models.GRADIENTS, operators.OPERATORS, REFERENCES)
    assert keys == {key for registry in known for key in registry}
    patterns = set(re.findall(r"`(results/weights/[^`/]+)`", text))
    assert len(patterns) >= len(models.MODELS)
    assert [pattern for pattern in patterns if not list(ROOT.glob(pattern))] == []
    shown = {path for pattern in patterns for path in ROOT.glob(pattern)}
    assert shown == set((ROOT / "results" / "weights").glob("*.safetensors"))


def test_neither_documentation_nor_examples_are_installed():
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert settings["packages"]["find"]["include"] == ["bench*", "models*", "operators*"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a warning fails the build."""
    if not all(map(find_spec, ("mkdocs", "mkdocstrings", "material"))):
        pytest.skip("what builds the documentation is not installed: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    return Site(folder)


@pytest.mark.slow
def test_no_link_of_the_site_is_broken(site):
    assert len(site.pages) > len(COMMANDS) + 10
    assert site.broken() == []


@pytest.mark.slow
def test_every_name_and_command_is_two_clicks_away(site):
    clicks = site.clicks()
    pages = {"operators": "reference/operators.html", "models": "reference/models.html"}
    places = [(site.folder / pages[name.partition(".")[0]], name) for name in NAMES]
    places += [(site.folder / "commands" / f"{name}.html", "") for name in COMMANDS]
    assert {place: clicks.get(place) for place in places if clicks.get(place, 99) > MOST_CLICKS} == {}


@pytest.mark.slow
def test_the_site_loads_nothing_from_the_network(site):
    for page in site.pages.values():
        assert [link for link in page.loaded if re.match(r"(\w+:)?//", link)] == []
    for path in site.folder.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//", path.read_text()) == []


@pytest.mark.slow
def test_commands_pages_hold_their_own_help(site):
    for name in COMMANDS:
        text = (site.folder / "commands" / f"{name}.html").read_text()
        assert f"Usage: python -m bench.{name}" in text
        assert "--help" in text


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def address(site):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site.folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: .ci/system-packages")
@pytest.mark.parametrize("width", WIDTHS)
def test_a_browser_shows_every_page_without_an_error(site, address, width):
    api = pytest.importorskip("playwright.sync_api")
    problems = []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "response",
            lambda answer: None if answer.status < 400 else problems.append(f"{answer.status}: {answer.url}"),
        )
        page.on("request", lambda asked: None if asked.url.startswith(address) else problems.append(asked.url))
        for path in site.pages:
            page.goto(f"{address}/{path.relative_to(site.folder).as_posix()}", wait_until="load")
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                problems.append(f"{path.name} is wider than the window")
            missing = "[...document.images].filter(image => image.complete && !image.naturalWidth).map(i => i.src)"
            problems += page.evaluate(missing)
        browser.close()
    assert problems == []
