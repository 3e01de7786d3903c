"""The engine that asks an endpoint, against a server that answers by script: good answers, odd ones, none."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import socket
import struct
import threading
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from dashscribe import config
from dashscribe.config import Settings
from dashscribe.engines import engines, find_engine
from dashscribe.engines.openai import endpoint as http
from dashscribe.engines.openai.endpoint import Endpoint
from dashscribe.engines.openai.engine import OpenAIEngine
from dashscribe.engines.openai.prompt import prompt_of
from dashscribe.errors import ConfigError, EngineDownError, EngineUnavailableError, HostError
from dashscribe.hosts.breaker import Breaker
from dashscribe.types import Fate, Hotword, Options, Outcome, Waveform

KEY = "sk-a-secret-of-the-endpoint"
#: Three seconds that begin ten seconds into the file.
PIECE = Waveform(np.arange(48_000, dtype=np.int16), 10_000)
TEXT = "Hello, brave new world."
WORDS = [("Hello", 0.1, 0.5), ("brave", 0.9, 1.2), ("new", 1.25, 1.5), ("world", 1.5, 2.0)]
VERBOSE = {
    "task": "transcribe",
    "language": "english",
    "duration": 3.0,
    "text": TEXT,
    "words": [{"word": word, "start": begin, "end": end} for word, begin, end in WORDS],
}


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def fields(self) -> dict[str, bytes]:
        """The parts of a form by name."""
        boundary = re.search("boundary=(.+)", self.headers["content-type"])
        assert boundary
        found: dict[str, bytes] = {}
        for part in self.body.split(f"--{boundary[1]}".encode())[1:-1]:
            head, _, content = part.strip(b"\r\n").partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]+)"', head)
            assert name
            found[name[1].decode()] = content
        return found


@dataclass
class Answer:
    """Status, body and headers; ``act`` does what no proper server does instead."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    act: Callable[[BaseHTTPRequestHandler], None] | None = None


class Stub:
    """Answers in turn, the last answer for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stub.asked.append(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                answer = stub.answers.pop(0) if len(stub.answers) > 1 else stub.answers[0]
                if answer.act:
                    self.close_connection = True
                    answer.act(self)
                    return
                data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # an engine that has heard enough hangs up

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"


@pytest.fixture
def stub() -> Iterator[Stub]:
    stub = Stub()
    yield stub
    stub.server.shutdown()
    stub.server.server_close()


@pytest.fixture
def pauses() -> list[float]:
    """How long the engine slept between tries."""
    return []


@pytest.fixture
def engine(stub: Stub, pauses: list[float]) -> Callable[..., OpenAIEngine]:
    """An engine that asks the stub and sleeps on paper."""

    def make(**changes: Any) -> OpenAIEngine:
        settings = {"openai_url": stub.url, "openai_api_key": SecretStr(KEY), "openai_model": "a/model", **changes}
        chosen = Settings(**settings)
        return OpenAIEngine(chosen, Endpoint(chosen, sleep=pauses.append))

    return make


def heard(engine: OpenAIEngine, **options: Any) -> Outcome:
    (outcome,) = engine.recognize([PIECE], Options(**options))
    assert outcome.span == PIECE.span
    return outcome


def down(engine: OpenAIEngine) -> str:
    with pytest.raises(EngineDownError) as caught:
        engine.recognize([PIECE], Options())
    assert KEY not in str(caught.value)
    return str(caught.value)


# --- good answers -----------------------------------------------------------------------------------------------------


def test_a_piece_is_sent_as_wav_with_model_language_and_key(stub: Stub, engine: Callable[..., OpenAIEngine]) -> None:
    stub.answers = [Answer(body=VERBOSE)]
    heard(engine(), languages=("EN",))
    (asked,) = stub.asked
    assert asked.path == "/v1/audio/transcriptions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    fields = asked.fields
    with wave.open(io.BytesIO(fields.pop("file"))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.readframes(50_000) == PIECE.samples.tobytes()
    assert fields == {
        "model": b"a/model",
        "language": b"en",
        "temperature": b"0",
        "response_format": b"verbose_json",
        "timestamp_granularities[]": b"word",
    }


def test_times_of_words_are_true_and_lie_on_the_clock_of_the_file(
    stub: Stub, engine: Callable[..., OpenAIEngine]
) -> None:
    stub.answers = [Answer(body=VERBOSE)]
    outcome = heard(engine())
    (sentence,) = outcome.sentences
    assert (outcome.fate, outcome.reason) == (Fate.TRANSCRIBED, "")
    assert (sentence.text, sentence.language) == (TEXT, "en")
    assert [(w.text.strip(), w.begin_ms, w.end_ms, w.approximate) for w in sentence.words] == [
        ("Hello", 10_100, 10_500, False),
        ("brave", 10_900, 11_200, False),
        ("new", 11_250, 11_500, False),
        ("world", 11_500, 12_000, False),
    ]
    assert "".join(word.text + word.punctuation for word in sentence.words) == TEXT


@pytest.mark.parametrize("refusal", [400, 422])
def test_without_verbose_json_words_have_approximate_times_and_it_is_asked_for_once(
    stub: Stub, engine: Callable[..., OpenAIEngine], refusal: int
) -> None:
    refused = {"error": {"message": "Currently do not support verbose_json for a/model", "code": refusal}}
    stub.answers = [Answer(refusal, refused), Answer(body={"text": TEXT, "usage": {"seconds": 3}})]
    asking = engine()
    first, second = heard(asking, languages=("en",)), heard(asking, languages=("en",))
    assert first == second
    (sentence,) = first.sentences
    assert (sentence.begin_ms, sentence.end_ms, sentence.language) == (10_000, 13_000, "en")
    assert all(word.approximate for word in sentence.words)
    assert [asked.fields["response_format"] for asked in stub.asked] == [b"verbose_json", b"json", b"json"]
    assert "timestamp_granularities[]" not in stub.asked[1].fields


def test_a_piece_that_is_refused_in_every_form_changes_nothing_for_the_next(
    stub: Stub, engine: Callable[..., OpenAIEngine]
) -> None:
    refused = Answer(400, {"error": {"message": "Invalid file format."}})
    stub.answers = [refused, refused, Answer(body=VERBOSE)]
    asking = engine()
    outcome = heard(asking)
    assert (outcome.fate, outcome.reason) == (Fate.FAILED, f"{stub.url} answered 400: Invalid file format.")
    assert heard(asking).fate is Fate.TRANSCRIBED
    assert [asked.fields["response_format"] for asked in stub.asked] == [b"verbose_json", b"json", b"verbose_json"]


@pytest.mark.parametrize(
    "words",
    [
        [("Hello", 0.1, 0.5), ("brave", 0.9, float(10**6))],
        [("Hello", -0.1, 0.5)],
        [("Hello", 0.5, 0.1)],
        [("Hello", 0.5, 0.5), ("brave", 0.5, 0.5), ("new", 0.5, 0.5), ("world", 0.5, 0.5)],
    ],
)
def test_times_that_cannot_be_are_not_taken_for_true(
    stub: Stub, engine: Callable[..., OpenAIEngine], words: list[tuple[str, float, float]]
) -> None:
    told = [{"word": word, "start": begin, "end": end} for word, begin, end in words]
    stub.answers = [Answer(body=VERBOSE | {"words": told})]
    (sentence,) = heard(engine()).sentences
    assert all(word.approximate for word in sentence.words)
    assert (sentence.begin_ms, sentence.end_ms) == (10_000, 13_000)


def test_words_that_the_list_lacks_or_calls_approximate_are_spread_between_the_others(
    stub: Stub, engine: Callable[..., OpenAIEngine]
) -> None:
    told = [dict(word) for word in VERBOSE["words"]]  # type: ignore[arg-type]
    told[1]["approximate"] = True
    stub.answers = [Answer(body=VERBOSE | {"words": [*told[:2], {"word": "nonsense", "start": 1, "end": 1}, told[3]]})]
    (sentence,) = heard(engine()).sentences
    assert [word.approximate for word in sentence.words] == [False, True, True, False]
    assert sentence.words[1].begin_ms == 10_500
    assert sentence.words[2].end_ms == sentence.words[3].begin_ms == 11_500


def test_a_chat_message_carries_the_sound_and_the_answer_of_qwen_is_parted(
    stub: Stub, engine: Callable[..., OpenAIEngine]
) -> None:
    content = "language Chinese<asr_text>甚至出现交易停滞。"
    stub.answers = [Answer(body={"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})]
    options: dict[str, Any] = {"languages": ("zh",), "context": "About trade.", "hotwords": (Hotword("停滞"),)}
    outcome = heard(engine(openai_interface="chat"), **options)
    (asked,) = stub.asked
    assert asked.path == "/v1/chat/completions"
    system, user = asked.json["messages"]
    assert system == {"role": "system", "content": "停滞\nAbout trade."}
    (part,) = user["content"]
    assert (part["type"], part["input_audio"]["format"]) == ("input_audio", "wav")
    assert base64.b64decode(part["input_audio"]["data"], validate=True).endswith(PIECE.samples.tobytes())
    assert asked.json["model"] == "a/model"
    assert asked.json["asr_options"] == {"language": "zh"}
    (sentence,) = outcome.sentences
    assert (sentence.text, sentence.language) == ("甚至出现交易停滞。", "zh")
    assert all(word.approximate for word in sentence.words)


def test_a_chat_endpoint_that_wants_a_data_uri_gets_one(stub: Stub, engine: Callable[..., OpenAIEngine]) -> None:
    stub.answers = [Answer(400, {"code": "InvalidParameter", "message": "url error"}), Answer(body=completion(TEXT))]
    asking = engine(openai_interface="chat")
    assert heard(asking).sentences[0].text == TEXT
    heard(asking)
    sent = [asked.json["messages"][0]["content"][0]["input_audio"] for asked in stub.asked]
    assert [sound["data"].startswith("data:audio/wav;base64,") for sound in sent] == [False, True, True]
    assert "asr_options" not in stub.asked[0].json


def completion(text: str, finish_reason: str = "stop") -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}]
    }


def test_an_answer_that_was_cut_off_by_a_limit_fails_the_piece(stub: Stub, engine: Callable[..., OpenAIEngine]) -> None:
    stub.answers = [Answer(body=completion("Four score and", "length"))]
    outcome = heard(engine(openai_interface="chat"))
    assert outcome.fate is Fate.FAILED
    assert "limit of tokens" in outcome.reason


@pytest.mark.parametrize("text", ["", " \n", "...", "language None<asr_text>"])
def test_an_empty_text_is_no_speech(stub: Stub, engine: Callable[..., OpenAIEngine], text: str) -> None:
    chat = "asr_text" in text
    stub.answers = [Answer(body=completion(text) if chat else {"text": text})]
    outcome = heard(engine(openai_interface="chat" if chat else "transcriptions"))
    assert (outcome.fate, outcome.sentences) == (Fate.NON_SPEECH, ())


@pytest.mark.parametrize("text", ["thank you for watching " * 8, "word " * 400])
def test_a_text_that_runs_away_fails_the_piece(stub: Stub, engine: Callable[..., OpenAIEngine], text: str) -> None:
    stub.answers = [Answer(body={"text": text})]
    outcome = heard(engine())
    assert outcome.fate is Fate.FAILED
    assert "repeats itself" in outcome.reason
    assert len(stub.asked) == 1


def test_what_qwen_writes_before_its_text_is_no_text(stub: Stub, engine: Callable[..., OpenAIEngine]) -> None:
    stub.answers = [Answer(body={"text": "language Cantonese<asr_text>下一站。"})]
    (sentence,) = heard(engine()).sentences
    assert (sentence.text, sentence.language) == ("下一站。", "yue")


def test_several_language_hints_are_not_sent(stub: Stub, engine: Callable[..., OpenAIEngine]) -> None:
    stub.answers = [Answer(body={"text": TEXT})]
    (sentence,) = heard(engine(), languages=("en", "zh")).sentences
    assert "language" not in stub.asked[0].fields
    assert sentence.language == ""


# --- the prompt -------------------------------------------------------------------------------------------------------


def test_hotwords_come_first_the_heaviest_of_them_before_the_others(
    stub: Stub, engine: Callable[..., OpenAIEngine]
) -> None:
    stub.answers = [Answer(body={"text": TEXT})]
    words = (Hotword("Alder Quay", 2), Hotword("Kestrel", 5))
    outcome = heard(engine(), hotwords=words, context="The harbor board met.")
    assert stub.asked[0].fields["prompt"] == b"Kestrel, Alder Quay\nThe harbor board met."
    assert outcome.reason == ""


def test_what_does_not_fit_into_the_prompt_is_cut_between_words_and_noted(
    stub: Stub, engine: Callable[..., OpenAIEngine]
) -> None:
    stub.answers = [Answer(body={"text": TEXT})]
    outcome = heard(engine(), context="harbor " * 200)
    sent = stub.asked[0].fields["prompt"].decode()
    assert set(sent.split()) == {"harbor"}
    assert len(sent) == 797  # 114 words, of at most 800 characters less the one behind hotwords
    assert outcome.fate is Fate.TRANSCRIBED
    assert outcome.reason == "797 of 1400 characters of hotwords and context were sent: the prompt holds 800"


def test_disfavored_hotwords_are_left_out_and_noted() -> None:
    prompt = prompt_of(Options(hotwords=(Hotword("no", -3), Hotword("yes", 1))), 100)
    assert prompt.text == "yes"
    assert prompt.note == "1 hotwords with negative weights had no effect: a prompt can only favor"


# --- answers that pass ------------------------------------------------------------------------------------------------


def test_a_failure_that_passes_costs_one_pause(
    stub: Stub, engine: Callable[..., OpenAIEngine], pauses: list[float]
) -> None:
    stub.answers = [Answer(500, {"detail": "CUDA out of memory"}), Answer(body=VERBOSE)]
    assert heard(engine()).fate is Fate.TRANSCRIBED
    assert len(pauses) == 1
    assert 0.5 <= pauses[0] <= 0.75


def test_the_pause_that_is_asked_for_is_kept(
    stub: Stub, engine: Callable[..., OpenAIEngine], pauses: list[float]
) -> None:
    stub.answers = [Answer(429, {}, {"Retry-After": "7"}), Answer(503, {}, {"Retry-After": "0"}), Answer(body=VERBOSE)]
    assert heard(engine()).fate is Fate.TRANSCRIBED
    assert pauses == [7.0, 0.0]


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00", "Thu, 01 Jan 1970 00:00:00 -0000"])
def test_a_date_without_a_zone_is_one_of_utc(
    date: str, stub: Stub, engine: Callable[..., OpenAIEngine], pauses: list[float]
) -> None:
    stub.answers = [Answer(503, {}, {"Retry-After": date}), Answer(body=VERBOSE)]
    assert heard(engine()).fate is Fate.TRANSCRIBED
    assert pauses == [0.0]


def test_a_pause_beyond_the_limit_of_time_is_not_made(
    stub: Stub, engine: Callable[..., OpenAIEngine], pauses: list[float]
) -> None:
    stub.answers = [Answer(429, {"error": {"message": "quota"}}, {"Retry-After": "3600"})]
    assert down(engine()) == f"{stub.url} answered 429: quota (1 try)"
    assert pauses == []


# --- endpoints that are of no use -------------------------------------------------------------------------------------


def break_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "500")
    handler.end_headers()
    handler.wfile.write(b'{"text": "Four score')


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    # A reset instead of a farewell.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, which no time-out between two of them notices."""
    handler.send_response(200)
    handler.send_header("Content-Length", "500")
    handler.end_headers()
    try:
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.05)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(502, b"<html>Bad Gateway</html>"), "answered 502: <html>Bad Gateway</html>"),
        (Answer(act=break_off), "broke off before its answer was complete: peer closed connection"),
        (Answer(act=hang_up), "broke off before its answer was complete"),
        (Answer(200, b"<!doctype html><title>Admin</title>", {"Content-Type": "text/html; charset=utf-8"}),
         "answered 200 with text/html that is no JSON: <!doctype html><title>Admin</title>"),
        (Answer(200, {"result": "ok"}), "JSON that is no transcript (Object missing required field `text`): "),
        (Answer(200, {"text": None}), "JSON that is no transcript (Expected `str`, got `null` - at `$.text`)"),
        (Answer(200, [1, 2]), "JSON that is no transcript (Expected `object`, got `array`): [1, 2]"),
        (Answer(200, b'{"text": NaN}'), "answered 200 with application/json that is no JSON"),
        (Answer(200, b"\xff\xfe\x00"), "answered 200 with application/json that is no JSON"),
        (Answer(200, b""), "answered 200 with nothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_after_three_tries(
    stub: Stub, engine: Callable[..., OpenAIEngine], pauses: list[float], answer: Answer, said: str
) -> None:
    stub.answers = [answer]
    message = down(engine())
    assert message.startswith(f"{stub.url} ")
    assert said in message
    assert message.endswith("(3 tries)")
    assert (len(stub.asked), len(pauses)) == (3, 2)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}),
         "answered 401: Incorrect API key provided: [key].; see DASHSCRIBE_OPENAI_API_KEY"),
        (Answer(403, {"code": "AccessDenied", "message": "Access denied."}),
         "answered 403: Access denied.; see DASHSCRIBE_OPENAI_API_KEY"),
        (Answer(404, {"error": "The model `a/model` does not exist."}),
         "answered 404: The model `a/model` does not exist.; see DASHSCRIBE_OPENAI_URL, DASHSCRIBE_OPENAI_MODEL and "),
        (Answer(405, b""), "answered 405; see DASHSCRIBE_OPENAI_URL"),
    ],
)  # fmt: skip
def test_a_refusal_that_stays_is_not_asked_for_twice(
    stub: Stub, engine: Callable[..., OpenAIEngine], pauses: list[float], answer: Answer, said: str
) -> None:
    stub.answers = [answer]
    assert said in down(engine())
    assert (len(stub.asked), pauses) == (1, [])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_sound_follows_no_redirect(stub: Stub, engine: Callable[..., OpenAIEngine], status: int) -> None:
    elsewhere = Stub()
    elsewhere.answers = [Answer(body=VERBOSE)]
    stub.answers = [Answer(status, b"", {"Location": f"{elsewhere.url}/audio/transcriptions"})]
    message = down(engine())
    assert f"answered {status}, a redirect to {elsewhere.url}/audio/transcriptions" in message
    assert elsewhere.asked == []
    elsewhere.server.shutdown()
    elsewhere.server.server_close()


def test_nobody_listens(stub: Stub, engine: Callable[..., OpenAIEngine], pauses: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        assert down(engine(openai_url=url)) == f"{url} cannot be reached: [Errno 111] Connection refused (3 tries)"
    assert len(pauses) == 2


@pytest.mark.parametrize("act", [drip, lambda handler: time.sleep(60)])
def test_a_slow_answer_is_waited_for_no_longer_than_the_limit(
    stub: Stub, engine: Callable[..., OpenAIEngine], act: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    stub.answers = [Answer(act=act)]
    began_s = time.monotonic()
    message = down(engine(openai_timeout_s=0.4))
    assert time.monotonic() - began_s < 30
    assert message == f"{stub.url} gave no answer within 0.4 s (DASHSCRIBE_OPENAI_TIMEOUT_S) (1 try)"


def test_an_enormous_answer_is_read_no_further_than_its_limit(
    stub: Stub, engine: Callable[..., OpenAIEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 100_000)
    stub.answers = [Answer(body={"text": "x" * 3_000_000})]
    outcome = heard(engine())
    assert outcome.fate is Fate.FAILED
    assert outcome.reason == f"{stub.url} answered with more than 100000 bytes: no piece has that much to say"
    assert len(stub.asked) == 1


def test_a_key_that_no_header_can_carry_is_refused_before_it_is_sent(engine: Callable[..., OpenAIEngine]) -> None:
    with pytest.raises(EngineUnavailableError, match="DASHSCRIBE_OPENAI_API_KEY holds characters"):
        engine(openai_api_key=SecretStr("sk-\nbad"))


# --- what can be known without asking ---------------------------------------------------------------------------------


def test_the_engine_is_there_once_a_url_is_set() -> None:
    assert "openai" not in engines(Settings())
    info = find_engine("openai", Settings(openai_url="http://gpu:8000/v1/", openai_languages=" en, ZH ,"))
    assert (info.languages, info.package, info.word_times, info.itn) == (("en", "zh"), "httpx", False, False)
    assert (info.hotwords, info.context, info.punctuation, info.remote) == (True, True, True, True)
    assert (info.limits.max_piece_ms, info.limits.min_piece_ms) == (30_000, 1_000)
    assert info.summary == "whisper-1 at http://gpu:8000/v1"


def test_results_of_another_endpoint_model_or_interface_have_another_version() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"openai_url": "http://gpu:8001/v1"},
        {"openai_url": "https://gpu:8000/v1"},
        {"openai_model": "b"},
        {"openai_interface": "chat"},
    ]
    base = {"openai_url": "http://gpu:8000/v1", "openai_model": "a"}
    versions = [find_engine("openai", Settings(**(base | change))).version for change in changes]
    assert len(set(versions)) == len(changes)
    assert versions[0].startswith("1-gpu:8000/v1-a-")


@pytest.mark.parametrize(
    "url", ["gpu:8000", "ftp://gpu/v1", "http://", "http://u:p@gpu/v1", "http://gpu/v1?key=1", "http://gpu:99999/v1"]
)
def test_a_url_that_is_no_base_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="openai_url"):
        config.load(openai_url=url)


# --- the breaker ------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def fail(breaker: Breaker, reason: str = "gone") -> None:
    with pytest.raises(EngineDownError, match=reason), breaker.asking():
        raise EngineDownError(reason)


def refused(breaker: Breaker) -> bool:
    try:
        breaker.check()
    except EngineDownError:
        return True
    return False


def test_an_engine_that_is_down_is_left_alone_longer_each_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    breaker = Breaker("openai", 10.0, clock)
    assert breaker.reason == ""
    for pause_s in (10.0, 20.0, 40.0, 80.0, 160.0, 200.0, 200.0):
        fail(breaker)
        clock.now_s += pause_s - 0.1
        assert breaker.reason == "gone"
        assert refused(breaker)
        clock.now_s += 0.2
        assert breaker.reason == ""
        assert not refused(breaker)
    with breaker.asking() as answered:
        assert breaker.reason == "gone", "nothing is known before an answer"
        answered()
        assert breaker.reason == ""
    fail(breaker)
    clock.now_s += 10.1
    assert not refused(breaker), "it begins with the first pause again"
    assert [record.getMessage() for record in caplog.records[-2:]] == [
        "the engine openai answers again",
        "the engine openai is left alone for 10 s: gone",
    ]


def test_other_errors_say_nothing_about_the_engine() -> None:
    breaker = Breaker("openai", 10.0)
    with pytest.raises(HostError), breaker.asking():
        raise HostError("the child died")
    assert breaker.reason == ""


def test_what_was_asked_before_it_was_down_does_not_prolong_the_pause() -> None:
    clock = Clock()
    breaker = Breaker("openai", 10.0, clock)
    with pytest.raises(EngineDownError, match="late"), breaker.asking():
        fail(breaker)
        clock.now_s += 5
        raise EngineDownError("late")
    clock.now_s += 5.1
    assert breaker.reason == ""


def test_one_call_tries_and_the_others_wait_for_it() -> None:
    clock = Clock()
    breaker = Breaker("openai", 10.0, clock)
    fail(breaker)
    clock.now_s += 11
    went: list[str] = []

    def ask(name: str) -> None:
        with breaker.asking():
            went.append(name)

    with breaker.asking() as answered:
        waiting = threading.Thread(target=ask, args=("second",))
        waiting.start()
        waiting.join(0.2)
        assert went == []
        answered()
        waiting.join(10)
        assert went == ["second"], "while the first is still at work"


def test_those_who_wait_for_a_trial_that_fails_are_refused_and_may_be_stopped() -> None:
    clock = Clock()
    breaker = Breaker("openai", 10.0, clock)
    fail(breaker)
    clock.now_s += 11
    outcomes: list[str] = []
    stop = threading.Event()

    def ask(event: threading.Event | None) -> None:
        try:
            breaker.check(event)
        except (EngineDownError, HostError) as error:
            outcomes.append(type(error).__name__)

    with pytest.raises(EngineDownError), breaker.asking():
        stopped = threading.Thread(target=ask, args=(stop,))
        stopped.start()
        stop.set()
        stopped.join(10)
        assert outcomes == ["HostError"]
        waiting = threading.Thread(target=ask, args=(None,))
        waiting.start()
        raise EngineDownError("still gone")
    waiting.join(10)
    assert outcomes == ["HostError", "EngineDownError"]


def test_a_trial_that_was_broken_off_is_for_the_next_one_to_make() -> None:
    clock = Clock()
    breaker = Breaker("openai", 10.0, clock)
    fail(breaker)
    clock.now_s += 11
    with pytest.raises(HostError), breaker.asking():
        raise HostError("nobody waits for it any more")
    assert breaker.reason == ""
    with breaker.asking():
        assert breaker.reason == "gone", "a trial again"
