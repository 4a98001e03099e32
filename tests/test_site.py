"""What the site's hook makes of a page."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
VERDICTS = sorted((ROOT / "docs" / "results").rglob("verdict.md"))


@pytest.fixture(scope="module")
def hook():
    pytest.importorskip("latex2mathml")
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "_hooks" / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(hook, path: Path) -> str:
    page = SimpleNamespace(file=SimpleNamespace(abs_src_path=str(path)))
    return hook.on_page_markdown(path.read_text(), page=page)


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda path: path.parent.name)
def test_a_verdict_shows_the_pictures_beside_it_between_claim_and_numbers(hook, verdict):
    text = verdict.read_text()
    made = shown(hook, verdict)
    for picture in verdict.parent.glob("*.png"):
        assert made.count(f"]({picture.name})") == 1
    before, _, after = made.partition("![figure](figure.png)")
    assert text.startswith(before.rstrip())
    assert len(before.rstrip().splitlines()) == 3
    assert text.endswith(after[-200:])


def test_other_pages_are_left_alone(hook):
    page = ROOT / "docs" / "results" / "demo" / "README.md"
    assert shown(hook, page) == page.read_text()


def test_a_page_that_is_read_from_a_file_asks_the_network_for_no_script(hook):
    page = SimpleNamespace(url="results/demo/README.html")
    made = hook.on_post_page('<script src="https://unpkg.com/iframe-worker/shim"></script>', page=page)
    assert made == '<script src="../../assets/iframe-worker.js"></script>'
    assert (ROOT / "docs" / "assets" / "iframe-worker.js").exists()
