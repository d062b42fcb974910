"""A headless browser that is told what to do, by the DevTools protocol."""

import itertools
import json
import re
import shutil
import subprocess
import time

import requests
from websockets.sync.client import connect

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Browser:
    """One page.

    Args:
        profile: A folder for the browser's own files.
        url: What to open.
    """

    def __init__(self, profile, url):
        command = [PROGRAM, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self._numbers = itertools.count()
        self.complaints = []
        for line in self._process.stderr:
            if found := re.search(r"DevTools listening on ws://([^/]+)/", line):
                break
        pages = requests.get(f"http://{found[1]}/json", timeout=30).json()
        page = next(page for page in pages if page["type"] == "page")
        self._socket = connect(page["webSocketDebuggerUrl"], max_size=None, origin=None)
        for domain in ("Page", "DOM", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=url)
        self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._process.stderr.close()

    def call(self, method, **params):
        """Calls a method of the protocol; returns its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            told = message.get("params", {})
            is_bad = told.get("entry", {}).get("level") in ("warning", "error")
            if message.get("method") == "Runtime.exceptionThrown" or is_bad:
                self.complaints.append(json.dumps(told))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def value(self, script):
        """Returns the value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script, seconds=30.0):
        """Waits until an expression is true; returns its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.value(script):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}")

    def choose(self, selector, *files):
        """Chooses files in an input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])
