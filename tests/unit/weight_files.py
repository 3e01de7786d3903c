"""Stand-in models with the right files and metadata, archives of them, and a server that hands these out badly."""

import io
import random
import tarfile
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

#: Models that were trained for the tests; those that do not exist yet are skipped.
TRAINED = Path(__file__).resolve().parents[1] / "models"

LFR = {
    "lfr_window_size": "7",
    "lfr_window_shift": "6",
    "neg_mean": ",".join(["-8.1"] * 560),
    "inv_stddev": ",".join(["0.3"] * 560),
}
SENSEVOICE = {
    **LFR,
    "vocab_size": "5",
    "normalize_samples": "0",
    "with_itn": "14",
    "without_itn": "15",
    **{f"lang_{code}": str(n) for n, code in enumerate(("auto", "zh", "en", "yue", "ja", "ko"))},
}
Ports = Mapping[str, tuple[int, list[int | str]]]


def write_graph(
    path: Path, inputs: Ports, outputs: Ports, metadata: Mapping[str, str] | None = None, weight_bytes: int = 0
) -> Path:
    """Write a graph that does nothing; ``weight_bytes`` are noise, which no archive makes smaller."""
    ports = [
        [helper.make_tensor_value_info(name, element, shape) for name, (element, shape) in side.items()]
        for side in (inputs, outputs)
    ]
    nodes = [helper.make_node("Identity", [next(iter(inputs))], [name]) for name in outputs]
    noise = random.Random(len(inputs)).randbytes(weight_bytes)
    weights = [helper.make_tensor("noise", TensorProto.UINT8, [weight_bytes], noise, raw=True)] if weight_bytes else []
    model = helper.make_model(helper.make_graph(nodes, "stand-in", *ports, initializer=weights))
    helper.set_model_props(model, dict(metadata or {}))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def sensevoice(folder: Path, *, weight_bytes: int = 0, tokens: int = 5, **metadata: str | None) -> Path:
    """A folder that looks like SenseVoice; a key of ``metadata`` that is None is left out."""
    merged = {key: value for key, value in {**SENSEVOICE, **metadata}.items() if value is not None}
    write_graph(
        folder / "model.int8.onnx",
        {
            "x": (TensorProto.FLOAT, ["N", "T", 560]),
            **{name: (TensorProto.INT32, ["N"]) for name in ("x_length", "language", "text_norm")},
        },
        {"logits": (TensorProto.FLOAT, ["N", "T", 5])},
        merged,
        weight_bytes,
    )
    (folder / "tokens.txt").write_text("".join(f"{'的a'[n % 2]}{n} {n}\n" for n in range(tokens)), encoding="utf-8")
    return folder


def paraformer(folder: Path) -> Path:
    """A folder that looks like Paraformer."""
    write_graph(
        folder / "model.int8.onnx",
        {"speech": (TensorProto.FLOAT, ["N", "T", 560]), "speech_lengths": (TensorProto.INT32, ["N"])},
        {"logits": (TensorProto.FLOAT, ["N", "T", 5]), "token_num": (TensorProto.INT32, ["N"])},
        {**LFR, "vocab_size": "3"},
    )
    (folder / "tokens.txt").write_text("<blank> 0\n的 1\n</s> 2\n", encoding="utf-8")
    return folder


def silero(path: Path) -> Path:
    """A file that looks like Silero's detector."""
    state = (TensorProto.FLOAT, [2, "N", 128])
    return write_graph(
        path,
        {"input": (TensorProto.FLOAT, ["N", 512]), "state": state, "sr": (TensorProto.INT64, [])},
        {"output": (TensorProto.FLOAT, ["N", 1]), "stateN": state},
    )


def pack(folder: Path, archive: Path, *, top: str = "", mode: str = "") -> Path:
    """Put a folder into a tar archive, below one top folder as the upstream does."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    suffix = archive.name.rpartition(".tar")[2].removeprefix(".")
    with tarfile.open(archive, mode or f"w:{suffix}") as tar:
        tar.add(folder, arcname=top or folder.name)
    return archive


def tar_of(path: Path, *members: tarfile.TarInfo | tuple[str, bytes], mode: str = "w:bz2") -> Path:
    """A tar archive of just these members."""
    with tarfile.open(path, mode) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """A link in an archive."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


class Mirror:
    """A server whose paths are functions; remembers the requests it got."""

    def __init__(self) -> None:
        self.paths: dict[str, Callable[[Any], None]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                mirror.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                self.close_connection = True
                mirror.paths.get(self.path.partition("?")[0], lambda h: answer(h, 404))(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda request, client_address: None  # clients hang up on purpose here
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def ranges(self, path: str) -> list[str]:
        """What was asked of a path, request by request; empty for all of it."""
        return [headers.get("range", "") for seen, headers in self.seen if seen.partition("?")[0] == path]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def answer(handler: Any, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def serving(
    body: bytes,
    *,
    etag: str = '"v1"',
    cuts: list[int] | None = None,
    ranges: bool = True,
    stall: threading.Event | None = None,
) -> Callable[[Any], None]:
    """Sends only so many bytes on each request in turn, all on later ones; honors Range and If-Range if ``ranges``.

    With ``stall`` a cut holds the connection until the event instead of closing it.
    """
    cuts = [] if cuts is None else cuts

    def handle(handler: Any) -> None:
        begin, wanted = 0, handler.headers.get("Range")
        headers = {"ETag": etag} if etag else {}
        if ranges and wanted and handler.headers.get("If-Range") == etag:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        handler.send_response(206 if "Content-Range" in headers else 200)
        for name, value in {**headers, "Content-Length": str(len(body) - begin)}.items():
            handler.send_header(name, value)
        handler.end_headers()
        # Taken before the first byte goes out: the client may ask again as soon as it has the last.
        cut = cuts.pop(0) if cuts else None
        handler.wfile.write(body[begin:][:cut])
        if cut is not None and stall:
            stall.wait(600)

    return handle


def same_graph(path: Path, header: Any) -> bool:
    """Whether a header tells what the onnx package reads of the file."""

    def ports(values: Any) -> list[tuple[str, int, tuple[int, ...]]]:
        return [
            (
                value.name,
                value.type.tensor_type.elem_type,
                tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
            )
            for value in values
        ]

    model = onnx.load(str(path), load_external_data=False)
    return (
        header.metadata == {entry.key: entry.value for entry in model.metadata_props}
        and [(port.name, port.element, port.shape) for port in header.inputs] == ports(model.graph.input)
        and [(port.name, port.element, port.shape) for port in header.outputs] == ports(model.graph.output)
    )
