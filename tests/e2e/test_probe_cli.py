"""Does ``dashscribe probe`` tell what a source is, which models take it, and what to do?"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from cli_inputs import dashscribe, program, speechlike, write_wav

pytestmark = pytest.mark.usefixtures("lasting_children")


def test_a_file_is_described(tmp_path: Path) -> None:
    done = program("probe", speechlike(tmp_path / "talk.wav", 3, channels=2))
    assert done.returncode == 0, done.stderr
    facts = dict(line.split(maxsplit=1) for line in done.stdout.splitlines()[1:])
    assert facts == {
        "container": "wav",
        "codec": "pcm_s16le",
        "rate": "16000 Hz",
        "channels": "2",
        "duration": "0:03 (3000 ms)",
        "size": "0.2 MB (192044 bytes)",
        "limits": "above 8000 Hz, beyond paraformer-8k-v2: use fun-asr, or leave it: any rate is resampled here, "
        "only the cloud insists",
    }


def test_a_telephone_recording_keeps_every_limit(tmp_path: Path) -> None:
    done = dashscribe("probe", write_wav(tmp_path / "call.wav", np.zeros((16_000, 1), "<i2"), rate_hz=8_000))
    assert "limits    within those of every model" in done.stdout, done.stderr


def test_broken_limits_name_the_models_and_the_remedy(tmp_path: Path) -> None:
    long = write_wav(tmp_path / "long.wav", np.zeros((16_000 * 400, 1), "<i2"))
    done = dashscribe("probe", long, "--json")
    record = json.loads(done.stdout)
    assert (record["duration_ms"], record["size_bytes"]) == (400_000, 12_800_044)
    larger, longer, above = record["breaches"]
    assert (larger["limit"], longer["limit"]) == ("larger than 10.0 MB", "longer than 5:00")
    assert (above["limit"], above["models"]) == ("above 8000 Hz", ["paraformer-8k-v2"])
    for breach in (larger, longer):
        assert "qwen3-asr-flash-us" in breach["models"]
        assert "fun-asr" not in breach["models"]
        assert breach["remedy"].startswith("use fun-asr, or ")
    assert "qwen-audio-3.1-asr-flash" in longer["models"]
    assert "qwen-audio-3.1-asr-flash" not in larger["models"]
    page = dashscribe("probe", long).stdout
    assert "larger than 10.0 MB, beyond" in page
    assert "longer than 5:00, beyond" in page


def test_a_broken_input_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"no audio")
    speechlike(tmp_path / "b.wav", 1)
    done = dashscribe("probe", tmp_path, tmp_path / "gone.wav", "--json")
    assert done.returncode == 1
    broken, good, gone = map(json.loads, done.stdout.splitlines())
    assert (broken["status"], broken["code"]) == ("failed", "DECODE_ERROR")
    assert (good["status"], good["duration_ms"]) == ("ok", 1_000)
    assert gone["error"] == "no such file"
    assert len(done.stderr.splitlines()) == 2


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """A server with a recording behind a redirect."""
    sound = speechlike(tmp_path / "talk.wav", 2).read_bytes()

    class Origin(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = {"/old": 302, "/talk": 200}.get(self.path, 403)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/talk")
            self.send_header("Content-Type", "audio/x-wav")
            self.send_header("Content-Length", str(len(sound) if status == 200 else 0))
            self.end_headers()
            if status == 200 and self.command == "GET":
                self.wfile.write(sound)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Origin) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_url_is_asked_fetched_and_described(origin: str) -> None:
    done = dashscribe("probe", f"{origin}/old", f"{origin}/secret")
    assert done.returncode == 1
    assert "http      200 audio/x-wav" in done.stdout
    assert f"leads to  {origin}/talk" in done.stdout
    assert "duration  0:02 (2000 ms)" in done.stdout
    (complaint,) = done.stderr.splitlines()
    assert "403" in complaint
    record = json.loads(dashscribe("probe", f"{origin}/old", "--json").stdout)
    assert record["http"]["status"] == 200
    assert record["http"]["final_url"] == f"{origin}/talk"
