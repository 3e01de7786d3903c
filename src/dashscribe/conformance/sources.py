"""What placeholders in a case stand for: sounds as URLs, data URIs and uploads, as far as the server can reach them.

``{audio}`` is an http URL where the server fetches from here, else an ``oss://`` URL of an upload; ``{<sound>_url}`` is
http only. A case that needs what this server cannot reach is skipped with the reason, never silently.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from dashscribe.conformance.origin import Origin
from dashscribe.conformance.sounds import clip, data_uri, sounds
from dashscribe.errors import DashscribeError

SUBMIT = "/api/v1/services/audio/asr/transcription"
#: How long the server may take until it fetches, in the one trial that tells whether it does, in seconds.
FETCH_TRIAL_S = 20.0
TRIAL_POLL_S = 0.1

#: URLs of the file server by placeholder, besides those of the sounds.
_PATHS = {"gone_url": "gone.wav", "forbidden_url": "403/speech.wav", "page_url": "page.html"}


class UnavailableError(DashscribeError):
    """A source that cannot be had here; the detail is the reason why a case is skipped."""


class Sources:
    """The sources for one server; ``http`` sends the key. Close it to take the files away."""

    def __init__(self, http: httpx.Client, headers: dict[str, str], origin: Origin | None) -> None:
        self._http, self._headers, self._origin = http, headers, origin
        self._unreachable: str | None = None if origin else "no --serve-on, so http URLs of sounds are not tested"
        self._tried = origin is None
        self._folder = tempfile.TemporaryDirectory(prefix="dashscribe-conformance-")
        self._file = Path(self._folder.name) / "speech.wav"

    def close(self) -> None:
        """Remove the clip's copy."""
        self._folder.cleanup()

    def value(self, name: str, model: str) -> str:
        """What a placeholder stands for, for calls of a model. Raises UnavailableError, KeyError for an unknown one."""
        if name == "run":
            return secrets.token_hex(4)
        if name == "audio_path":
            self._file.write_bytes(clip())
            return str(self._file)
        if name == "audio":
            return self._url("speech.wav") if self._reachable() else self._upload(model)
        if name.endswith("_data_uri"):
            return data_uri(sounds()[name.removesuffix("_data_uri")])
        path = _PATHS.get(name) or f"{name.removesuffix('_url')}.wav"
        if path.removesuffix(".wav") not in sounds() and name not in _PATHS:
            raise KeyError(name)
        if not self._reachable():
            raise UnavailableError(self._unreachable or "")
        return self._url(path)

    def _url(self, path: str) -> str:
        assert self._origin, "only asked for where the server fetches from it"
        return f"{self._origin.url}/{path}"

    def _reachable(self) -> bool:
        """Whether the server fetches from the file server; found out once, with a task."""
        if not self._tried:
            self._tried = True
            self._unreachable = self._try_fetch()
        return self._unreachable is None

    def _try_fetch(self) -> str | None:
        """Why the server does not fetch from here, or None if it does, or if it takes no task that would tell."""
        assert self._origin, "the caller looked"
        body = {"model": "fun-asr", "input": {"file_urls": [self._url("speech.wav")]}, "parameters": {}}
        try:
            answer = self._http.post(SUBMIT, json=body, headers={**self._headers, "X-DashScope-Async": "enable"})
            task_id: Any = answer.json()["output"]["task_id"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None  # the cases themselves tell what is wrong
        deadline = time.monotonic() + FETCH_TRIAL_S
        while not self._origin.fetched.wait(TRIAL_POLL_S) and time.monotonic() < deadline:
            if self._ended(task_id):
                break
        if self._origin.fetched.is_set():
            return None
        return (
            f"the server does not fetch from {self._origin.url}; "
            "one of ours is allowed to by DASHSCRIBE_FETCH_ALLOW=127.0.0.1/32"
        )

    def _ended(self, task_id: str) -> bool:
        try:
            answer = self._http.get(f"/api/v1/tasks/{task_id}", headers=self._headers)
            return answer.json()["output"]["task_status"] not in ("PENDING", "RUNNING")
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    def _upload(self, model: str) -> str:
        """Upload the clip for a model over the documented pair of calls; the URL that then stands for it."""
        try:
            asked = {"action": "getPolicy", "model": model}
            policy = self._http.get("/api/v1/uploads", params=asked, headers=self._headers).json()["data"]
            form = {
                "OSSAccessKeyId": policy["oss_access_key_id"],
                "Signature": policy["signature"],
                "policy": policy["policy"],
                "key": f"{policy['upload_dir']}/speech.wav",
                "x-oss-object-acl": policy["x_oss_object_acl"],
                "x-oss-forbid-overwrite": policy["x_oss_forbid_overwrite"],
                "success_action_status": "200",
            }
            sent = self._http.post(
                policy["upload_host"], data=form, files={"file": ("speech.wav", clip(), "audio/wav")}
            )
            sent.raise_for_status()
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            why = f"{type(error).__name__}: {error}"
            raise UnavailableError(f"{self._unreachable}; and the clip cannot be uploaded ({why})") from error
        return f"oss://{form['key']}"
