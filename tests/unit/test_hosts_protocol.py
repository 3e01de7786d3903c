"""The messages between processes: what one side writes the other reads, and nothing else gets through."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscribe import errors
from dashscribe.errors import DashscribeError, HostError, RateLimitError, sources
from dashscribe.errors.sources import DecodeError
from dashscribe.hosts import protocol
from dashscribe.hosts.protocol import (
    Cut,
    CutEnd,
    Describe,
    End,
    Failure,
    Isolation,
    Load,
    MediaReply,
    OutcomeReply,
    Position,
    Probe,
    Recognize,
    WindowReply,
    decode_reply,
    decode_request,
    encode,
    error_from,
    failure_of,
)
from dashscribe.types import (
    Censor,
    Fate,
    Hotword,
    Limits,
    Media,
    Options,
    Outcome,
    Sentence,
    Span,
    Window,
    Word,
)

times = st.integers(0, 2**40)
texts = st.text(max_size=20)
spans = st.builds(Span, times, times)
words = st.builds(Word, times, times, texts, texts, st.none() | st.floats(0, 1))
sentences = st.builds(
    Sentence,
    begin_ms=times,
    end_ms=times,
    text=texts,
    words=st.lists(words, max_size=3).map(tuple),
    speaker=st.none() | st.integers(0, 9),
    language=texts,
    emotion=texts,
    events=st.lists(texts, max_size=2).map(tuple),
)
outcomes = st.builds(Outcome, spans, st.sampled_from(Fate), st.lists(sentences, max_size=3).map(tuple), texts)
windows = st.builds(Window, st.integers(0, 99), times, st.lists(spans, max_size=4).map(tuple), st.binary(max_size=99))
media = st.builds(
    Media, url=texts, container=texts, codec=texts, rate_hz=times, channel_count=st.integers(0, 64), duration_ms=times
)
options = st.builds(
    Options,
    languages=st.lists(texts, max_size=3).map(tuple),
    channels=st.lists(st.integers(0, 9), max_size=3).map(tuple),
    stretch=st.none() | spans,
    censor=st.none() | st.builds(Censor, st.lists(texts, max_size=2).map(tuple)),
    speaker_count=st.none() | st.integers(2, 100),
    hotwords=st.lists(st.builds(Hotword, texts, st.integers(-6, 5), texts), max_size=2).map(tuple),
    context=texts,
    speech_noise_threshold=st.none() | st.floats(-1, 1),
    denoise=st.booleans(),
)
limits = st.builds(Limits, max_piece_ms=times, min_piece_ms=times)
paths = st.binary(max_size=30)
requests = st.one_of(
    st.just(Describe()),
    st.builds(Load, st.binary(max_size=30)),
    st.builds(Probe, paths, texts),
    st.builds(Cut, paths, texts, options, limits, times),
    st.builds(Recognize, windows, options),
)
replies = st.one_of(
    st.just(End()),
    st.builds(Isolation, st.dictionaries(texts, texts, max_size=3)),
    st.builds(MediaReply, media),
    st.builds(Position, times),
    st.builds(WindowReply, windows),
    st.builds(
        CutEnd,
        media,
        st.lists(st.integers(0, 9), max_size=2).map(tuple),
        times,
        times,
        st.lists(spans, max_size=2).map(tuple),
        st.lists(texts, max_size=2).map(tuple),
    ),
    st.builds(OutcomeReply, outcomes),
    st.builds(Failure, texts, texts),
)


@given(requests)
def test_every_request_arrives_as_it_was_sent(request: protocol.Request) -> None:
    assert decode_request(encode(request)) == request


@given(replies)
def test_every_reply_arrives_as_it_was_sent(reply: protocol.Reply) -> None:
    assert decode_reply(encode(reply)) == reply


@given(st.binary(max_size=200))
def test_any_bytes_give_a_reply_or_a_decode_error(data: bytes) -> None:
    with contextlib.suppress(msgspec.DecodeError):
        decode_reply(data)


def test_requests_are_not_taken_for_replies() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_reply(encode(Describe()))


def own_errors() -> list[type[DashscribeError]]:
    kinds = {**vars(errors), **vars(sources)}.values()
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, DashscribeError)]


@pytest.mark.parametrize("kind", own_errors())
def test_every_error_of_ours_keeps_its_class_and_detail(kind: type[DashscribeError]) -> None:
    arrived = error_from(failure_of(kind("what was wrong")))
    assert type(arrived) is kind
    assert arrived.detail == "what was wrong"


def test_an_error_class_of_a_plugin_arrives_as_its_nearest_relative() -> None:
    class TornTapeError(DecodeError):
        pass

    assert type(error_from(failure_of(TornTapeError("torn")))) is DecodeError


def test_any_other_exception_arrives_as_a_host_error_with_its_name() -> None:
    arrived = error_from(failure_of(ZeroDivisionError("division by zero")))
    assert type(arrived) is HostError
    assert arrived.detail == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    "name",
    ["SystemExit", "ClassVar", "annotations", "__builtins__", "__name__", "os.system", "object", "", "Exception"],
)
def test_a_failure_with_a_name_that_is_no_error_of_ours_becomes_a_host_error(name: str) -> None:
    arrived = error_from(Failure(name, "boo"))
    assert type(arrived) is HostError
    assert name in arrived.detail
    assert "boo" in arrived.detail


@given(st.text(max_size=50))
def test_a_failure_of_any_name_becomes_an_error_of_ours(name: str) -> None:
    assert isinstance(error_from(Failure(name, "")), DashscribeError)


def test_a_failure_carries_no_more_detail_than_a_person_reads() -> None:
    assert len(failure_of(HostError("x" * 10**6)).detail) == protocol.MAX_DETAIL
    assert len(error_from(Failure("HostError", "x" * 10**6)).detail) == protocol.MAX_DETAIL


def test_half_characters_in_an_error_do_not_stop_it_from_being_sent() -> None:
    encode(failure_of(DecodeError("odd name: \udcff")))


def test_errors_with_more_than_a_detail_can_be_made_from_a_failure() -> None:
    assert error_from(Failure("RateLimitError", "slow down")).args == RateLimitError("slow down").args


def test_importing_the_parent_side_imports_no_native_library_and_no_settings() -> None:
    code = (
        "import sys, dashscribe.hosts; "
        "print([m for m in ('av', 'webrtcvad', 'pocketsphinx', 'sherpa_onnx', 'pydantic') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
