# SPDX-License-Identifier: Apache-2.0
"""Drives a browser over the DevTools protocol, using only Python's standard library.

Chromium reads commands from descriptor 3 and writes responses to descriptor 4 (`--remote-debugging-pipe`), each a JSON
text terminated by a zero byte. This needs no WebSocket, no port, and no driver that matches the browser's version.
"""

import base64
import fcntl
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]


class BrowserMissing(Exception):
    """No browser is installed. The tests cannot run, which counts as a failure."""


class Browser:
    """A headless browser with a temporary profile."""

    def __init__(self):
        path = os.environ.get("BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
        if path is None or shutil.which(path) is None:
            raise BrowserMissing(f"no browser found (looked for {', '.join(BROWSERS)}): apt-get install chromium")
        self._profile = tempfile.TemporaryDirectory(prefix="plinth-browser-", ignore_cleanup_errors=True)
        child_reads, self._commands = os.pipe()
        self._answers, child_writes = os.pipe()
        # Moved above 3 and 4, to which the child duplicates them.
        child_reads, child_writes = (fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for fd in (child_reads, child_writes))

        def before_exec():
            os.dup2(child_reads, 3)
            os.dup2(child_writes, 4)

        arguments = [
            path,
            "--headless=new",
            "--remote-debugging-pipe",
            f"--user-data-dir={self._profile.name}",
            "--no-first-run",
            "--no-default-browser-check",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--disable-gpu",
            "--hide-scrollbars",
            "--lang=en-US",
            "about:blank",
        ]
        if os.geteuid() == 0:
            # The sandbox refuses to run as root, as is usual in CI containers.
            arguments.insert(1, "--no-sandbox")
        self._log = open(os.path.join(self._profile.name, "browser.log"), "wb")
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            preexec_fn=before_exec,
            pass_fds=(3, 4),
            start_new_session=True,
        )
        os.close(child_reads)
        os.close(child_writes)
        self._next_id = 0
        self._lock = threading.Lock()
        self._waiting = {}
        self._pages = {}
        threading.Thread(target=self._read, daemon=True).start()
        self.version = self.call("Browser.getVersion", timeout=60)["product"]

    def call(self, method, parameters=None, session=None, timeout=20):
        """Sends a command and waits for its response."""
        answer = queue.Queue()
        with self._lock:
            self._next_id += 1
            message = {"id": self._next_id, "method": method, "params": parameters or {}}
            if session:
                message["sessionId"] = session
            self._waiting[self._next_id] = answer
            data = json.dumps(message).encode() + b"\0"
            while data:
                data = data[os.write(self._commands, data):]
        try:
            result = answer.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"the browser did not answer {method} within {timeout} s") from None
        if "error" in result:
            raise RuntimeError(f"{method}: {result['error'].get('message')}")
        return result.get("result", {})

    def open(self, url, **options):
        """Opens a page in a new tab."""
        return Page(self, url, **options)

    def new_context(self):
        """Creates a browser context with separate cookies, as for another user."""
        return self.call("Target.createBrowserContext")["browserContextId"]

    def close(self):
        """Ends the browser and removes its profile."""
        try:
            self.call("Browser.close", timeout=5)
        except Exception:
            pass
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()
        self._profile.cleanup()

    def _read(self):
        rest = b""
        while True:
            try:
                piece = os.read(self._answers, 1 << 16)
            except OSError:
                piece = b""
            if not piece:
                for answer in list(self._waiting.values()):
                    answer.put({"error": {"message": "the browser has exited"}})
                return
            *messages, rest = (rest + piece).split(b"\0")
            for text in messages:
                message = json.loads(text)
                if "id" in message:
                    waiting = self._waiting.pop(message["id"], None)
                    if waiting:
                        waiting.put(message)
                elif page := self._pages.get(message.get("sessionId")):
                    page.notice(message["method"], message["params"])


class Page:
    """A tab, with its errors and its EventSource events."""

    # Runs before the page's own scripts and records EventSource events and CSP violations.
    RECORDER = """
        window.recorded = [];
        window.violations = [];
        document.addEventListener("securitypolicyviolation", (event) => {
            window.violations.push(`${event.effectiveDirective} ${event.blockedURI}`);
        });
        window.EventSource = class extends EventSource {
            constructor(...given) {
                super(...given);
                const note = (event) => window.recorded.push({ type: event.type, data: event.data ?? null });
                for (const type of ["open", "error", "message", "counter", "note"]) this.addEventListener(type, note);
            }
        };
    """

    def __init__(self, browser, url, size=(1280, 800), dark=False, phone=False, scale=None, context=None, script=""):
        self.browser = browser
        self.errors = []
        self.events = []
        target = {"url": "about:blank"}
        if context:
            target["browserContextId"] = context
        self.target = browser.call("Target.createTarget", target)["targetId"]
        self.session = browser.call("Target.attachToTarget", {"targetId": self.target, "flatten": True})["sessionId"]
        browser._pages[self.session] = self
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"]:
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": scale or (2 if phone else 1), "mobile": phone},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.call("Page.addScriptToEvaluateOnNewDocument", {"source": self.RECORDER + script})
        answer = self.call("Page.navigate", {"url": url})
        if "errorText" in answer:
            raise RuntimeError(f"{url}: {answer['errorText']}")
        self.wait("document.readyState == 'complete' && location.href != 'about:blank'", "the page has loaded")

    def call(self, method, parameters=None, **options):
        return self.browser.call(method, parameters, session=self.session, **options)

    def notice(self, method, parameters):
        """Handles a browser message, on the reading thread."""
        if method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.errors.append("console: " + " ".join(str(item.get("value")) for item in parameters["args"]))
        elif method == "Runtime.exceptionThrown":
            self.errors.append("exception: " + json.dumps(parameters["exceptionDetails"])[:400])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            entry = parameters["entry"]
            self.errors.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")
        elif method == "Network.eventSourceMessageReceived":
            self.events.append((parameters["eventName"], parameters["data"]))

    def evaluate(self, script):
        """Evaluates a JavaScript expression, awaiting a promise."""
        answer = self.call(
            "Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True}
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def text(self, selector):
        """The trimmed text of an element."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent.trim()")

    def wait(self, condition, what, timeout=10):
        """Waits until a JavaScript expression is true; fails with `what` on timeout."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.evaluate(condition):
                return
            time.sleep(0.02)
        raise AssertionError(f"timed out after {timeout} s: {what} ({condition})")

    def click(self, selector):
        """Clicks on the middle of an element once it has stopped moving."""
        box = self.evaluate(
            f"""(async () => {{
                const e = document.querySelector({json.dumps(selector)});
                const place = () => {{
                    e.scrollIntoView({{block: "nearest"}});
                    const r = e.getBoundingClientRect();
                    return [r.x + r.width / 2, r.y + r.height / 2];
                }};
                let last = place();
                for (let tries = 0; tries < 100; tries += 1) {{
                    await new Promise((resolve) => setTimeout(resolve, 20));
                    const now = place();
                    if (now[0] === last[0] && now[1] === last[1]) break;
                    last = now;
                }}
                return last;
            }})()"""
        )
        for kind in ["mousePressed", "mouseReleased"]:
            self.call(
                "Input.dispatchMouseEvent",
                {"type": kind, "x": box[0], "y": box[1], "button": "left", "clickCount": 1},
            )

    def type(self, selector, text):
        """Types text into a field."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", {"text": text})

    def press(self, key, code):
        """Presses a key."""
        for kind in ["rawKeyDown", "char", "keyUp"]:
            parameters = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
            if kind == "char":
                parameters["text"] = "\r"
            self.call("Input.dispatchKeyEvent", parameters)

    def accessible(self):
        """Roles and names of the accessibility tree, in order."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored") and "role" in node
        ]

    def screenshot(self, path):
        """Writes a screenshot of the tab to a file."""
        # A background tab is not painted.
        self.call("Page.bringToFront")
        image = self.call("Page.captureScreenshot", {"format": "png"}, timeout=60)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(image))

    def close(self):
        """Closes the tab."""
        self.browser._pages.pop(self.session, None)
        self.browser.call("Target.closeTarget", {"targetId": self.target})
