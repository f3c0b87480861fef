"""The book is built without a warning, and each of its pages opens in a browser."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from inspect import isclass, isfunction
from pathlib import Path
from pkgutil import walk_packages

import numpy_rnn
from tests.browser import Browser, open_browser

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COMMAND = "python -m sphinx -W docs docs/_build/html"
PAGES = sorted(page.relative_to(DOCS).with_suffix("") for page in DOCS.rglob("*.md"))
EQUATIONS = "[...document.querySelectorAll('math')]"
PHONE = 390


def test_the_book_is_built_and_its_pages_open_in_a_browser(tmp_path: Path) -> None:
    assert COMMAND in (ROOT / "README.md").read_text(encoding="utf-8")
    html = tmp_path / "html"
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-d",
        str(tmp_path / "d"),
    ]
    done = subprocess.run(
        [*command, str(DOCS), str(html)], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
    with open_browser(tmp_path / "profile") as browser:
        wrong = {page.as_posix(): look_at(browser, html / f"{page}.html") for page in PAGES}
        assert {page: what for page, what in wrong.items() if what} == {}
        check_search(browser, html)
        check_themes(browser, html)
    check_api(html)


def look_at(browser: Browser, page: Path) -> list[str]:
    """Return what is wrong with a page on a phone."""
    browser.problems.clear()
    browser.open(page.as_uri(), width=PHONE)
    found = list(browser.problems)
    width = browser.value("document.documentElement.scrollWidth")
    if width > PHONE:
        found.append(f"{width} pixels wide")
    if not browser.value(f"{EQUATIONS}.every(e => e.getBoundingClientRect().height > 5)"):
        found.append("an equation is not drawn")
    if browser.value(f"{EQUATIONS}.some(e => e.textContent.includes('&'))"):
        found.append("an equation is not aligned")
    if not browser.value("[...document.images].every(i => i.complete && i.naturalWidth > 0)"):
        found.append("a picture is missing")
    text = browser.value("document.querySelector('article').innerText")
    if re.search(r"\$[a-zA-Z\\]|\\frac", text):
        found.append("an equation is shown as its source")
    return found


def check_search(browser: Browser, html: Path) -> None:
    browser.open(f"{(html / 'search.html').as_uri()}?q=ledger")
    script = (
        "new Promise(done => { let n = 0; const look = () => {"
        " const found = document.querySelector('ul.search a[href*=\"chapters/ledger\"]');"
        " if (found || ++n > 100) done(!!found); else setTimeout(look, 100) }; look() })"
    )
    assert browser.value(script)


def check_themes(browser: Browser, html: Path) -> None:
    """Check that text and background change places in the dark theme."""
    page = (html / "chapters" / "bptt.html").as_uri()
    shades = []
    for theme in ("light", "dark"):
        browser.open(page, theme=theme)
        for what in ("color", "backgroundColor"):
            colour = browser.value(f"getComputedStyle(document.body).{what}")
            shades.append(sum(int(part) for part in colour.strip("rgba()").split(",")[:3]))
    assert shades[0] < shades[1]
    assert shades[2] > shades[3]


def check_api(html: Path) -> None:
    """Check that the reference has every public name of every package, and a text for it."""
    pages = "".join(page.read_text("utf-8") for page in (html / "api").glob("*.html"))
    found = set(re.findall(r' id="(numpy_rnn[\w.]*)"', pages))
    packages = ["numpy_rnn", *(m.name for m in walk_packages(numpy_rnn.__path__, "numpy_rnn."))]
    for name in (n for n in packages if not n.endswith("__main__")):
        module = import_module(name)
        for public in getattr(module, "__all__", ()):
            value = getattr(module, public)
            if name == "numpy_rnn.textbook":
                assert f">{public}</span>" in pages, public
            elif isclass(value) or isfunction(value):
                parts = name.split(".")  # of the package, or of one that it is in
                homes = {".".join([*parts[:n], public]) for n in range(1, len(parts) + 1)}
                assert homes & found, f"{name}.{public}"


def test_every_page_is_in_the_book() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8").splitlines()
    listed = [line for line in index if (DOCS / f"{line}.md").is_file()]
    assert sorted(listed) == sorted(page.as_posix() for page in PAGES if page.name != "index")
