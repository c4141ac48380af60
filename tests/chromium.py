"""A headless Chromium that tests can steer, over its debugging pipe: no driver and no network."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

NAMES = "chromium", "chromium-browser", "google-chrome", "chrome"
PATIENCE = 60.0  # seconds for one answer


def find() -> str | None:
    """The program that ROBEVAL_CHROMIUM names, or one on the path."""
    given = os.environ.get("ROBEVAL_CHROMIUM")
    return given or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page in one browser; what it complains about is in `complaints`.

    Commands are those of the DevTools protocol: JSON objects with a NUL after each, on file descriptors 3 and 4.
    """

    def __init__(self, program: str, profile: Path) -> None:
        ours, self._in = os.pipe()
        self._out, theirs = os.pipe()
        flags = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-extensions"
        command = [program, *flags.split(), f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]

        # The shell puts the pipes where the browser looks for them.
        line = f'exec "$@" 3<&{ours} 4>&{theirs}'
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        shell = shutil.which("bash") or "sh"
        self._process = subprocess.Popen([shell, "-c", line, "-", *command], pass_fds=(ours, theirs), **quiet)
        os.close(ours)
        os.close(theirs)
        self._number, self._rest, self._session = itertools.count(1), b"", None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        (target, *_) = [each for each in self("Target.getTargets")["targetInfos"] if each["type"] == "page"]
        attached = self("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **params):
        """Send one command and wait for its answer."""
        number = next(self._number)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self._note(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path: Path, hash: str = "", width: int = 1200, height: int = 900, is_phone: bool = False) -> None:
        """Show a file, and wait until it is there."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}
        self("Emulation.setDeviceMetricsOverride", **metrics)
        self("Page.navigate", url="about:blank")  # else only the hash would change
        self("Page.navigate", url=path.as_uri() + hash)
        end = time.monotonic() + PATIENCE
        while self.ask("document.readyState + location.protocol") != "completefile:":
            assert time.monotonic() < end, "the page does not load"

    def ask(self, expression: str):
        """The value of an expression on the page."""
        found = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, text: str = "") -> None:
        """Press a key where the focus is."""
        for kind in ("keyDown", "keyUp"):
            self("Input.dispatchKeyEvent", type=kind, key=key, code=key, **({"text": text} if text else {}))

    def picture(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def _note(self, event) -> None:
        about = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(about["exceptionDetails"]["text"])
        elif event.get("method") == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(about["args"]))
        elif event.get("method") == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.complaints.append(about["entry"]["text"])
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])

    def _next(self):
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._out], [], [], PATIENCE)
            part = os.read(self._out, 1 << 16) if ready else b""
            assert part, "the browser does not answer"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)
