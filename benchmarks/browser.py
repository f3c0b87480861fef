"""Try the two pages of the book that run Python, in a headless Chromium with Pyodide.

    python -m benchmarks.browser                     # downloads 106 MB
    python -m benchmarks.browser --pyodide FOLDER

FOLDER holds Pyodide, with its build of NumPy. Without it, the files are taken from the wheel of
open-webui, which contains them. The script builds the book, serves FOLDER on this machine, and
uses the pages as a reader would. Nothing is loaded from elsewhere. It ends with an error at the
first thing that is wrong. ``--pictures DIR`` keeps screenshots.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

from numpy_rnn.apps.learn import load
from numpy_rnn.apps.recall import SENTENCE
from tests.browser import Browser, open_browser

ROOT = Path(__file__).parents[1]
SOURCE = "open-webui==0.12.4"
STEPS = "[...document.querySelectorAll('#steps tr')].slice(1).map(r => r.innerText)"
PIXELS = "document.getElementById('matrix').toDataURL()"


class _Handler(SimpleHTTPRequestHandler):
    """Serves a folder to pages that were opened from a disk."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine and return its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def download(folder: Path) -> Path:
    """Download Pyodide to a folder and return where it is."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", SOURCE]
    subprocess.run([*command, "--dest", str(folder)], check=True)
    (wheel,) = folder.glob("*.whl")
    prefix = "open_webui/frontend/pyodide/"
    with ZipFile(wheel) as opened:
        wanted = [prefix + name for name in ("pyodide", "python_stdlib", "numpy-")]
        opened.extractall(folder, [n for n in opened.namelist() if n.startswith(tuple(wanted))])
    return folder / prefix


class Page:
    """A page in the browser, and where its pictures go."""

    def __init__(self, browser: Browser, address: str, pictures: Path | None) -> None:
        self.browser, self.address, self.pictures = browser, address, pictures

    def open(self, file: Path, width: int = 1280, theme: str = "light") -> None:
        """Open a file of the book, which then loads Pyodide from the address."""
        source = f"window.pyodideURL = {self.address!r}"
        self.browser.call("Page.addScriptToEvaluateOnNewDocument", source=source)
        self.browser.open(file.as_uri(), width, theme)

    def do(self, script: str) -> None:
        """Run a statement."""
        self.browser.value(f"{{ {script}; 0 }}")

    def wait(self, expression: str, seconds: float = 90) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + seconds
        while not self.browser.value(expression):
            if time.monotonic() > deadline:
                text = self.browser.value("document.querySelector('.live').innerText")
                raise AssertionError(f"not within {seconds} s: {expression}\n{text}")
            time.sleep(0.05)

    def check(self, code: str) -> str:
        """Write code into the editor, press the button, and return what is shown."""
        self.do(f"$code = document.getElementById('code'); $code.value = {json.dumps(code)}")
        self.do("$code.oninput(); document.getElementById('check').click()")
        self.wait("!document.getElementById('check').disabled")
        return str(self.browser.value("document.getElementById('verdict').innerText"))

    def picture(self, name: str) -> None:
        """Keep pictures of the page as it is: on a screen and on a phone, light and dark."""
        for width in (1280, 390) if self.pictures is not None else ():
            size = {"width": width, "height": 1700, "deviceScaleFactor": 1, "mobile": False}
            self.browser.call("Emulation.setDeviceMetricsOverride", **size)
            for theme in ("light", "dark"):
                feature = {"name": "prefers-color-scheme", "value": theme}
                self.browser.call("Emulation.setEmulatedMedia", features=[feature])
                time.sleep(0.3)
                shot = self.browser.call("Page.captureScreenshot")
                file = Path(self.pictures or "", f"{name}-{width}-{theme}.png")
                file.write_bytes(base64.b64decode(shot["data"]))


def expect(what: str, *, right: bool) -> None:
    """Print what was tried, or end with an error."""
    print(f"{'ok   ' if right else 'WRONG'} {what}", flush=True)
    if not right:
        raise SystemExit(1)


def try_backward(page: Page, file: Path) -> None:
    """Write right and wrong answers into the first page."""
    exercises = {exercise.number: exercise for exercise in load()}
    tanh, lstm = exercises[4], exercises[11]
    page.open(file)
    expect("a gap is named", right="still has a gap" in page.check(tanh.start))
    expect("the solution passes", right="passed" in page.check(tanh.solution))
    cells = page.browser.value("[...document.querySelectorAll('.live td')].map(c => c.className)")
    expect("all cells are green", right=len(cells) == 13 and set(cells) == {"right"})
    wrong = {mistake.name: mistake.code for mistake in tanh.mistakes}
    shown = page.check(wrong["carry dropped"])
    expect("a wrong answer gets a question", right="Question: The last step is right" in shown)
    rows = page.browser.value(STEPS)
    expect("t = 0 to 2 are red, t = 3 is green", right=rows[0].split().count("✗") == 3)
    page.picture("try_backward")
    page.check(wrong["= instead of +="])
    rows = page.browser.value(STEPS)
    expect("a wrong sum leaves the steps green", right="✗" not in "".join(rows))
    page.do("$which = document.getElementById('which'); $which.value = 11; $which.onchange()")
    code = lstm.solution.replace("dz_f = dc_t * c[t] *", "dz_f = dc_t * c[t + 1] *")
    page.check(code)
    rows = [row.split("\t") for row in page.browser.value(STEPS)]
    reds = [row[0] for row in rows if "✗" in row[-1]]
    expect(f"at the last step, only the gate f is red: {reds}", right=reds == ["dz, gate f", "dx"])
    page.picture("try_backward_lstm")
    code = "while True:\n    pass"
    expect("a loop without end is stopped", right="stopped after 20 s" in page.check(code))
    expect("and the next check works", right="passed" in page.check(lstm.solution))


def watch_training(page: Page, file: Path) -> None:
    """Train on the second page until the sentence is learned."""
    page.open(file)
    page.do("document.getElementById('train').click()")
    page.wait("document.getElementById('written').innerText.length > 0")
    before = page.browser.value(PIXELS)
    page.wait("Number(document.getElementById('epoch').max) >= 20")
    expect("the matrix changes while it trains", right=before != page.browser.value(PIXELS))
    page.wait("!document.getElementById('train').disabled", 300)
    written = page.browser.value("document.getElementById('written').innerText")
    learned = SENTENCE.replace(" ", "␣") + "1"
    expect(f"the sentence is learned: {written}", right=written == learned)
    page.picture("watch_training")
    page.do("$epoch = document.getElementById('epoch'); $epoch.value = 0; $epoch.oninput()")
    expect("the slider goes back to epoch 0", right=before == page.browser.value(PIXELS))
    page.do("document.getElementById('sentence').value = 'UPPER'")
    page.do("document.getElementById('train').click()")
    page.wait("!document.getElementById('train').disabled")
    facts = page.browser.value("document.getElementById('facts').innerText")
    expect(f"other characters are refused: {facts}", right="'U'" in facts)


def main() -> None:
    """Build the book and try its pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pyodide", type=Path, metavar="FOLDER")
    parser.add_argument("--pictures", type=Path, metavar="DIR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        pyodide = options.pyodide or download(folder)
        html = folder / "html"
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "-d", str(folder / "d")]
        subprocess.run([*command, str(ROOT / "docs"), str(html)], check=True, cwd=ROOT)
        with served(pyodide) as address, open_browser(folder / "profile") as browser:
            page = Page(browser, address, options.pictures)
            try_backward(page, html / "chapters" / "try_backward.html")
            watch_training(page, html / "chapters" / "watch_training.html")
            expect(f"no other problem: {browser.problems}", right=not browser.problems)


if __name__ == "__main__":
    main()
