"""Opens pages in a headless Chromium, without a network, over its DevTools protocol."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0")
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


class Browser:
    """One tab. `problems` holds errors of the pages and requests that leave the machine."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.count, self.session = connection, 0, ""
        self.problems: list[str] = []
        self.loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> Any:
        """Return the answer to one command."""
        self.count += 1
        message: dict[str, object] = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.connection.send(json.dumps(message))
        while (answer := self._receive()).get("id") != self.count:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.connection.recv(timeout=60))
        method, params = answer.get("method"), answer.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Runtime.exceptionThrown":
            self.problems.append(str(params["exceptionDetails"])[:300])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1")):
                self.problems.append(f"request to {url[:100]}")
        return answer

    def open(self, url: str, width: int = 1280, theme: str = "light") -> None:
        """Load a page and wait until it is there."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": theme}],
        )
        self.loaded = False
        self.call("Page.navigate", url=url)
        while not self.loaded:
            self._receive()

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; a promise is waited for."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Start Chromium with a new profile; close it at the end."""
    from websockets.sync.client import connect  # noqa: PLC0415 (the tests' own extra)

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("no browser is installed: install chromium, as the README says", pytrace=False)
    command = [program, *OPTIONS, NO_NETWORK, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            found = next(filter(None, (re.search(r"ws://\S+", line) for line in process.stderr)))
            with connect(found[0], max_size=None) as connection:
                yield Browser(connection)
        finally:
            process.terminate()
            process.stderr.read()
