"""For any JSON: parameters become options that hold together, or a refusal that names one of them; nothing else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscribe.catalog import LANGUAGES, MODELS
from dashscribe.errors import DashscribeError, InvalidParameterError
from dashscribe.types import Options
from dashscribe.wire.body import JSON, MAX_COMMAS, MAX_DEPTH, parse_object
from dashscribe.wire.params import ROWS, read

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
#: Words that the table knows, so that values are nearly right more often than chance would have it.
FAMILIAR = st.sampled_from(
    ["zh", "en", "yue", "auto", "0", "1", "text", "word_list", "filter_with_signed", "resource_id", "asr_phrase"]
)
VALUES: st.SearchStrategy[JSON] = st.recursive(
    SCALARS | FAMILIAR | st.integers(-2, 110),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(FAMILIAR | TEXTS, inner, max_size=5),
    max_leaves=12,
)
MODEL = st.sampled_from(list(MODELS.values()))
MEMBERS = st.dictionaries(st.sampled_from(sorted(ROWS)) | TEXTS, VALUES, max_size=6)


@given(MODEL, MEMBERS)
def test_any_members_give_sound_options_or_name_the_wrong_one(model, members):
    try:
        asked = read(model, members)
    except InvalidParameterError as error:
        assert error.parameter.split(".")[0] in model.parameters
        assert error.parameter in error.message
        assert len(error.message) < 1000
        return
    options = asked.options
    assert options.model == model.name
    assert options.channels
    assert len(set(options.channels)) == len(options.channels)
    assert all(0 <= channel <= 63 for channel in options.channels)
    assert set(options.languages) <= LANGUAGES
    assert options.speaker_count is None or 2 <= options.speaker_count <= 100
    assert options.speech_noise_threshold is None or -1 <= options.speech_noise_threshold <= 1
    assert len(options.context) <= 40_000
    assert sum(map(len, asked.notes)) < 10_000


@given(MODEL, MEMBERS)
def test_every_unknown_member_is_named_or_counted(model, members):
    unknown = set(members) - set(ROWS)
    try:
        notes = read(model, members).notes
    except InvalidParameterError:
        return
    assert any(note.startswith("unknown parameters") for note in notes) == bool(unknown)


@given(MODEL, MEMBERS)
def test_options_survive_being_stored(model, members):
    try:
        options = read(model, members).options
    except InvalidParameterError:
        return
    assert msgspec.json.decode(msgspec.json.encode(options), type=Options) == options


@given(st.dictionaries(TEXTS, VALUES, max_size=6))
def test_an_object_within_bounds_is_read_as_it_was_written(value):
    try:
        sent = msgspec.json.encode(value)
    except OverflowError:  # this writer stops at 64 bits
        return
    assert parse_object(sent) == value


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_an_object_or_a_refusal(sent):
    try:
        assert isinstance(parse_object(sent), dict)
    except DashscribeError as error:
        assert 400 <= error.status < 500


@pytest.mark.parametrize("bracket", ["[]", "{}"])
@given(depth=st.integers(1, 3 * MAX_DEPTH))
def test_depth_is_bounded_exactly(bracket, depth):
    opening, closing = (b'{"a":', b"}") if bracket == "{}" else (b"[", b"]")
    sent = b'{"a":' + opening * (depth - 1) + b"1" + closing * (depth - 1) + b"}"
    if depth <= MAX_DEPTH:
        parse_object(sent)
    else:
        with pytest.raises(DashscribeError, match="nested deeper"):
            parse_object(sent)


@pytest.mark.parametrize("member", [b"[]", b"{}", b"0", b'""'])
def test_members_are_bounded_before_they_are_made(member):
    sent = b'{"a":[' + b",".join([member] * (MAX_COMMAS + 1)) + b"]}"
    assert len(parse_object(sent)["a"]) == MAX_COMMAS + 1
    with pytest.raises(DashscribeError, match="more than 200000 members") as caught:
        parse_object(sent[:-2] + b"," + member + b"]}")
    assert caught.value.status == 400
