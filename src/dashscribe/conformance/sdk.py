"""Calls of the official clients, in a process of their own that can be ended when one of them hangs."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from typing import Any


class SdkProcess:
    """Makes calls one after another; the process starts with the first one, and again after one that hung."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._process: subprocess.Popen[str] | None = None

    def call(self, sdk: str, arguments: dict[str, Any], *, key: str, limit_s: float) -> dict[str, Any]:
        """What came back: ``result``, or ``raised``, or ``missing`` with the reason why there is no such call.

        Raises TimeoutError after ``limit_s``.
        """
        package = sdk.partition(":")[0].partition(".")[0]
        if importlib.util.find_spec(package) is None:
            return {"missing": f"the client {package} is not installed (pip install {package})"}
        if self._process and self._process.poll() is not None:
            self.close()
        process = self._process = self._process or _start()
        assert process.stdin and process.stdout, "started with pipes"
        urls = {"native_url": f"{self._root}/api/v1", "openai_url": f"{self._root}/compatible-mode/v1"}
        patience = threading.Timer(limit_s, process.kill)
        patience.start()
        try:
            process.stdin.write(json.dumps({"sdk": sdk, "arguments": arguments, "key": key, **urls}) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        finally:
            patience.cancel()
        if not answer:
            self.close()
            raise TimeoutError(f"the client did not come back within {limit_s:g} s")
        return json.loads(answer)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process:
            process, self._process = self._process, None
            process.kill()
            process.communicate()


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dashscribe.conformance.sdk_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
