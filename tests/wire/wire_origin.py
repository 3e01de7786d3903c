"""A file server for sources: sounds made of bursts of noise, and paths that misbehave in every documented way."""

from __future__ import annotations

import math
import random
import struct
import threading
import wave
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

RATE_HZ = 16_000


def burst(seconds: float, seed: int) -> list[int]:
    """Something that a speech detector takes for a voice: a buzz of many harmonics under noise, in syllables."""
    noise = random.Random(seed)
    samples: list[int] = []
    for n in range(int(seconds * RATE_HZ)):
        at = n / RATE_HZ
        pitch = 120 + 20 * math.sin(2 * math.pi * 2.3 * at)
        buzz = sum(math.sin(2 * math.pi * pitch * k * at) / k for k in range(1, 12))
        syllable = 0.55 + 0.45 * math.sin(2 * math.pi * 4 * at)
        samples.append(int(4500 * syllable * (buzz + noise.uniform(-0.6, 0.6))))
    return samples


def silence(seconds: float) -> list[int]:
    return [0] * int(seconds * RATE_HZ)


def write_wav(path: Path, *channels: list[int]) -> None:
    frames = [sample for frame in zip(*channels, strict=True) for sample in frame]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(struct.pack(f"<{len(frames)}h", *frames))


class Origin:
    """Serves a folder on a loopback port; a path /NNN/… answers with that status."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_wav(folder / "a.wav", silence(0.5) + burst(2.7, 1) + silence(0.6))  # 3.8 s
        write_wav(folder / "b.wav", silence(0.5) + burst(3.4, 2) + silence(0.8))  # 4.7 s
        write_wav(folder / "stereo.wav", burst(2.2, 3) + silence(1), silence(1) + burst(2.2, 4))  # 3.2 s
        write_wav(folder / "quiet.wav", silence(2))
        (folder / "page.html").write_text("<html>not a sound</html>")
        (folder / "empty.wav").write_bytes(b"")

        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(folder))

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                top = self.path.split("/")[1]
                if top.isdigit():
                    self.send_error(int(top))
                elif top == "short":
                    # Announces more than it sends, then hangs up.
                    self.send_response(200)
                    self.send_header("Content-Length", "100000")
                    self.end_headers()
                    self.wfile.write((folder / "a.wav").read_bytes()[:40_000])
                    self.close_connection = True
                else:
                    super().do_GET()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __call__(self, name: str) -> str:
        """The URL of a file or a misbehaving path."""
        return f"{self.url}/{name}"
