"""A model of the real format that ends its process, or fails inside, on loud sound: one window pays, the rest goes on.

The graph has SenseVoice's layout and says one word. On loud sound it gives no rows at all, which the runtime reads past
the end of (``engines.md``: a graph that emits no frames ends the process), or it raises inside the ONNX runtime, which
sherpa-onnx catches and answers with an empty text.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper
from wire_origin import Origin
from wire_servers import Server, start_server, stop_server

from dashscribe.weights.adding import add
from media_files import write_wav
from plain_http import loopback
from small_models import Speak, samples_of

TOKENS = ("<blk>", "<|en|>", "<|NEUTRAL|>", "<|Speech|>", "<|woitn|>", "\u2581fine")
#: Largest log mel energy above which sound is poison: espeak-ng's own level reaches 25, a quarter of that 22.3.
LOUD = 23.5


def poisoned(folder: Path, *, raises: bool) -> Path:
    """Write the model: rows 0 to 3 are tags, row 4 the word, the others blank; a loud sound gets what it should not."""
    folder.mkdir(parents=True)
    rows = np.full((5, len(TOKENS)), -10.0, np.float32)
    rows[range(5), range(1, 6)] = 10.0
    blank = np.full((1, len(TOKENS)), -10.0, np.float32)
    blank[0, 0] = 10.0
    constants = {
        "tags": rows,
        "blank": blank,
        "loud": np.array(LOUD, np.float32),
        "one": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "width": np.array([len(TOKENS)], np.int64),
        "minus": np.array([-1], np.int64),
        "bad": np.array([0, 0, 7], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["peak"], keepdims=0),
        helper.make_node("Greater", ["peak", "loud"], ["is_loud"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "one", "two"], ["frames"]),
        helper.make_node("Sub", ["frames", "one"], ["blanks"]),
        helper.make_node("Concat", ["blanks", "width"], ["blank_shape"], axis=0),
        helper.make_node("Expand", ["blank", "blank_shape"], ["rest"]),
        helper.make_node("Concat", ["tags", "rest"], ["all"], axis=0),
        helper.make_node("Unsqueeze", ["all", "zero"], ["good"]),
        helper.make_node("If", ["is_loud"], ["logits"], then_branch=_branch(raises), else_branch=_good()),
    ]
    constants["two"] = np.array([2], np.int64)
    graph = helper.make_graph(
        nodes,
        "poisoned",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "T", 560]),
            *(
                helper.make_tensor_value_info(name, TensorProto.INT32, ["N"])
                for name in ("x_length", "language", "text_norm")
            ),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", "T", len(TOKENS)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(
        model,
        {
            **{"vocab_size": str(len(TOKENS)), "lfr_window_size": "7", "lfr_window_shift": "6"},
            **{"neg_mean": ",".join(["0"] * 560), "inv_stddev": ",".join(["1"] * 560), "normalize_samples": "0"},
            **{"with_itn": "14", "without_itn": "15"},
            **{f"lang_{code}": str(n) for n, code in enumerate(("auto", "zh", "en", "yue", "ja", "ko"))},
        },
    )
    onnx.save(model, folder / "model.onnx")
    (folder / "tokens.txt").write_text("".join(f"{t} {n}\n" for n, t in enumerate(TOKENS)), encoding="utf-8")
    return folder


def _good() -> Any:
    return helper.make_graph(
        [helper.make_node("Identity", ["good"], ["good_out"])],
        "good",
        [],
        [helper.make_tensor_value_info("good_out", TensorProto.FLOAT, None)],
    )


def _branch(raises: bool) -> Any:
    """Rows that are none, or a shape that does not fit, which the runtime finds out when it gets there."""
    target = "bad" if raises else "empty"
    nodes = [helper.make_node("Reshape", ["good", target], ["loud_out"])]
    if not raises:
        nodes = [
            helper.make_node("Slice", ["good", "zero", "zero", "one"], ["loud_out"]),
        ]
    return helper.make_graph(nodes, "loud", [], [helper.make_tensor_value_info("loud_out", TensorProto.FLOAT, None)])


@pytest.fixture(scope="module")
def sounds(speak: Speak, origin: Origin) -> dict[str, str]:
    """URLs of recordings that are good, that are poison in the middle, and that are nothing but poison."""
    text = "some words that are said for twelve seconds, again and again, so that there are several windows of them"
    good = samples_of(speak("en-us", text, text, text, text, text, text, gain=0.25))
    bad = samples_of(speak("en-us", "much too loud for this", gain=1.0))
    quiet = np.zeros(32_000, np.int16)
    urls = {}
    for name, parts in {"good": [good], "mixed": [good, quiet, bad, quiet, good], "bad": [bad]}.items():
        write_wav(origin.folder / f"poison-{name}.wav", np.concatenate(parts)[None])
        urls[name] = f"{origin.url}/poison-{name}.wav"
    return urls


@pytest.fixture(scope="module", params=["ends", "raises"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp(f"poisoned-{request.param}") / "home"
    add(poisoned(home.parent / "poison", raises=request.param == "raises"), home / "models")
    running = start_server(home, DASHSCRIBE_ENGINE="poison", DASHSCRIBE_HOST_IDLE_S="2")
    yield running
    stop_server(running)


def result(server: Server, url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    ended = server.wait(server.submit("fun-asr", url))["output"]
    (subtask,) = ended["results"]
    found = loopback.get(subtask["transcription_url"]).json() if "transcription_url" in subtask else {}
    return subtask, found


def engines(server: Server, dead: bool = False) -> list[psutil.Process]:
    """The engine children of a server that live, with ``dead`` those that nobody waited for, too."""
    found: list[psutil.Process] = []
    for child in psutil.Process(server.process.pid).children(recursive=True):
        try:
            found += [child] if "asr" in child.cmdline() else []
        except psutil.ZombieProcess:
            found += [child] if dead else []
        except psutil.NoSuchProcess:
            pass
    return found


def test_poison_costs_its_window_and_nothing_else(server: Server, sounds: dict[str, str]):
    subtask, found = result(server, sounds["mixed"])
    assert subtask["subtask_status"] == "SUCCEEDED"
    said = [sentence["text"] for sentence in found["transcripts"][0]["sentences"]]
    assert len(said) >= 6
    assert set(said) == {"Fine."}
    ledger = found["dashscribe"]["coverage"][0]["ledger"]
    failed = [entry for entry in ledger if entry["fate"] == "failed"]
    assert failed
    assert ledger[0]["fate"] != "failed"
    assert ledger[-1]["fate"] != "failed"


def test_nothing_but_poison_fails_with_the_reason_and_the_server_goes_on(server: Server, sounds: dict[str, str]):
    subtask, _ = result(server, sounds["bad"])
    assert subtask["subtask_status"] == "FAILED"
    assert subtask["code"] == "InternalError.Algo"
    subtask, found = result(server, sounds["good"])
    assert subtask["subtask_status"] == "SUCCEEDED"
    assert all(entry["fate"] != "failed" for entry in found["dashscribe"]["coverage"][0]["ledger"])


def test_killed_children_are_replaced_and_idle_ones_end(server: Server, sounds: dict[str, str]):
    task = server.submit("fun-asr", sounds["good"], sounds["good"])
    killed, deadline = 0, time.monotonic() + 60
    while killed < 2 and time.monotonic() < deadline:
        for child in engines(server):
            with suppress(psutil.NoSuchProcess):  # it ended by itself
                child.kill()
                killed += 1
        time.sleep(0.05)
    ended = server.wait(task)["output"]
    assert [subtask["subtask_status"] for subtask in ended["results"]] == ["SUCCEEDED", "SUCCEEDED"]
    deadline = time.monotonic() + 90
    while engines(server, dead=True):
        assert time.monotonic() < deadline, "idle engine processes stay, or dead ones are not waited for"
        time.sleep(0.2)


def test_no_child_outlives_its_server(sounds: dict[str, str], tmp_path: Path):
    add(poisoned(tmp_path / "poison", raises=False), tmp_path / "home" / "models")
    running = start_server(tmp_path / "home", DASHSCRIBE_ENGINE="poison")
    running.submit("fun-asr", sounds["good"])
    deadline = time.monotonic() + 60
    while not (children := psutil.Process(running.process.pid).children(recursive=True)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.process.kill()
    running.process.wait()
    gone, alive = psutil.wait_procs(children, timeout=90)
    assert gone
    assert not alive
