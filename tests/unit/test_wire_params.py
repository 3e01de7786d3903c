"""The parameter table: each row's values, defaults, refusals, and a note for whatever has no effect."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest

from dashscribe.catalog import MODELS, find_model
from dashscribe.choice import lacks
from dashscribe.engines import ENGINES
from dashscribe.errors import InvalidParameterError, NotFoundError
from dashscribe.types import Censor, Hotword, Options, is_unspaced
from dashscribe.wire import values
from dashscribe.wire.params import ROWS, TABLE, Asked, pin_hotwords, read
from dashscribe.wire.values import CHARS_PER_TOKEN, MAX_CONTEXT_TOKENS

FILETRANS = "qwen3-asr-flash-filetrans"


def asked(members: dict[str, Any], model: str = "fun-asr") -> Asked:
    return read(find_model(model), members)


def test_no_parameters_give_the_defaults_and_no_notes():
    assert asked({}) == Asked(Options(model="fun-asr", itn=True, censor=Censor()), [])


def test_null_counts_as_not_given():
    for model in MODELS.values():
        assert read(model, dict.fromkeys(ROWS)) == read(model, {})


@pytest.mark.parametrize(
    ("value", "channels"),
    [([0], (0,)), ([1, 0], (1, 0)), (["0", "1"], (0, 1)), ([63], (63,)), (["0063"], (63,)), ([0, "1"], (0, 1))],
)
def test_channels_are_integers_or_numeric_strings(value: list[Any], channels: tuple[int, ...]):
    assert asked({"channel_id": value}).options.channels == channels


def test_channels_listed_twice_are_transcribed_once_and_said_so():
    result = asked({"channel_id": [1, "1", 0]})
    assert result.options.channels == (1, 0)
    assert any("channel_id" in note and "once" in note for note in result.notes)


@pytest.mark.parametrize(
    "value", [0, "0", [], [-1], [64], ["-1"], ["x"], [True], [0.0], [[0]], {}, ["٣"], [10**30], [" 0"]]
)
def test_channels_out_of_range_are_refused(value: Any):
    with pytest.raises(InvalidParameterError) as caught:
        asked({"channel_id": value})
    assert caught.value.message.startswith("Required parameter(channel_id) missing or invalid")
    assert "from 0 to 63" in caught.value.message


@pytest.mark.parametrize("row", [row for row in TABLE if row.schema == {"type": "boolean"}], ids=lambda row: row.name)
@pytest.mark.parametrize("value", ["true", "false", 0, 1, [], {}])
def test_switches_are_json_booleans(row: Any, value: Any):
    model = next(model for model in MODELS.values() if row.name in model.parameters)
    with pytest.raises(InvalidParameterError) as caught:
        read(model, {row.name: value})
    assert caught.value.parameter == row.name
    assert "true or false" in caught.value.message


def test_fun_asr_heeds_the_first_hint_and_all_of_them_count_for_the_engine():
    result = asked({"language_hints": ["zh", "en"]})
    assert result.options.languages == ("zh", "en")
    assert result.notes == ["language_hints: en only took part in choosing the engine; fun-asr heeds the first code"]


def test_one_hint_needs_no_note():
    assert asked({"language_hints": ["en"]}).notes == []


def test_paraformer_heeds_all_hints():
    assert asked({"language_hints": ["zh", "en", "ja"]}, "paraformer-v2").notes == []


def test_qwen_audio_heeds_four_hints():
    result = asked({"language_hints": ["zh", "en", "ja", "ko", "de"]}, "qwen-audio-3.1-asr-flash-filetrans")
    assert result.notes == [
        "language_hints: de only took part in choosing the engine; qwen-audio-3.1-asr-flash-filetrans heeds the first 4"
    ]


def test_a_code_of_another_family_counts_for_the_engine_only():
    result = asked({"language_hints": ["yue", "zh"]})
    assert result.options.languages == ("zh", "yue")
    assert "yue only took part in choosing the engine" in result.notes[0]


@pytest.mark.parametrize(
    ("model", "given", "read"),
    [
        ("fun-asr", ["zh-CN"], ("zh",)),
        ("fun-asr", ["en_US", "en"], ("en",)),
        ("fun-asr", ["fil"], ("tl",)),  # one language: Fun-ASR says tl
        ("fun-asr", ["sr"], ("sr",)),  # of no model, but of an engine
        ("sensevoice-v1", ["yue-Hant-HK"], ("yue",)),
    ],
)
def test_a_code_is_read_as_the_model_spells_it(model: str, given: list[str], read: tuple[str, ...]):
    assert asked({"language_hints": given}, model).options.languages == read
    assert all("had no effect" not in note for note in asked({"language_hints": given}, model).notes)


def test_one_language_is_read_the_same_way():
    assert asked({"language": "zh-CN"}, FILETRANS).options.languages == ("zh",)
    assert asked({"language": "tl"}, FILETRANS).options.languages == ("fil",)  # Qwen3 says fil


def test_of_two_values_for_one_option_the_one_that_is_lost_is_named():
    result = asked({"corpus": {"text": "Alpha"}, "text": "Beta", "context": "Gamma"}, FILETRANS)
    assert result.options.context == "Gamma"
    assert "corpus had no effect: text says otherwise" in result.notes
    assert "text had no effect: context says otherwise" in result.notes
    assert asked({"text": "Beta", "context": "Beta"}, FILETRANS).notes == asked({"context": "Beta"}, FILETRANS).notes


def test_a_code_that_no_model_knows_is_ignored_and_named():
    result = asked({"language_hints": ["klingon"]})
    assert result.options.languages == ()
    assert "klingon had no effect" in result.notes[0]


def test_a_flood_of_unknown_codes_makes_a_short_note():
    result = asked({"language_hints": [f"q{number}" for number in range(10_000)]})
    assert len(result.notes) == 1
    assert len(result.notes[0]) < 400


@pytest.mark.parametrize("value", [["auto"], [""], [], ["AUTO"]])
def test_automatic_detection_is_no_hint(value: list[str]):
    assert asked({"language_hints": value}, "sensevoice-v1") == asked({}, "sensevoice-v1")


@pytest.mark.parametrize("value", ["zh", 1, {"zh": 1}, [1], [None], [["zh"]]])
def test_hints_of_a_wrong_type_are_refused(value: Any):
    with pytest.raises(InvalidParameterError, match="language codes"):
        asked({"language_hints": value})


def test_filetrans_takes_one_language():
    assert asked({"language": "en"}, FILETRANS).options.languages == ("en",)
    assert asked({"language": ""}, FILETRANS).options.languages == ()
    assert asked({"language": "EN "}, FILETRANS).options.languages == ("en",)
    with pytest.raises(InvalidParameterError, match="one language code"):
        asked({"language": ["en"]}, FILETRANS)


def test_words_are_left_out_for_filetrans_only_unless_asked_for():
    assert not asked({}, FILETRANS).options.words
    assert asked({"enable_words": True}, FILETRANS).options.words
    assert asked({}, "fun-asr").options.words
    assert asked({"enable_words": False}, "fun-asr").options.words


@pytest.mark.parametrize("value", [2, 100])
def test_speaker_count_within_its_range(value: int):
    result = asked({"diarization_enabled": True, "speaker_count": value})
    assert (result.options.diarize, result.options.speaker_count) == (True, value)


@pytest.mark.parametrize("value", [1, 101, 0, -2, 2.0, "2", True, [2]])
def test_speaker_count_out_of_range_is_refused(value: Any):
    with pytest.raises(InvalidParameterError, match="from 2 to 100"):
        asked({"speaker_count": value})


@pytest.mark.parametrize("value", [-1, 1, 0, 0.25])
def test_noise_threshold_has_an_effect(value: float):
    result = asked({"speech_noise_threshold": value})
    assert result.options.speech_noise_threshold == value
    assert result.notes == []


@pytest.mark.parametrize("value", [-1.01, 1.5, "0", True, [0], 10**40])
def test_noise_threshold_out_of_range_is_refused(value: Any):
    with pytest.raises(InvalidParameterError, match="from -1 to 1"):
        asked({"speech_noise_threshold": value})


FILTER = '{"filter_with_signed": {"word_list": ["alpha"]}, "filter_with_empty": {"word_list": ["beta", "海"]}}'


@pytest.mark.parametrize(
    "value",
    [
        FILTER,
        {"filter_with_signed": {"word_list": ["alpha"]}, "filter_with_empty": {"word_list": ["beta", "海"]}},
        {
            "filter_with_signed": {"word_list": ["alpha"]},
            "filter_with_empty": {"word_list": ["beta", "海"]},
            "system_reserved_filter": None,
        },
    ],
)
def test_word_filter_comes_as_object_or_as_string(value: Any):
    result = asked({"special_word_filter": value})
    assert result.options.censor == Censor(masked=("alpha",), removed=("beta", "海"), system=True)
    assert result.notes == []


def test_entries_without_a_letter_or_digit_are_named():
    result = asked({"special_word_filter": {"filter_with_signed": {"word_list": ["alpha", "…", "?!"]}}})
    assert result.options.censor == Censor(masked=("alpha", "…", "?!"))
    assert result.notes == ["special_word_filter.filter_with_signed: … ?! had no effect, for lack of a letter or digit"]


@pytest.mark.parametrize("model", ["fun-asr", "paraformer-v2", "paraformer-8k-v1"])
def test_models_with_a_filter_use_the_built_in_list_unasked(model: str):
    assert asked({}, model).options.censor == Censor(system=True)
    off = asked({"special_word_filter": {"system_reserved_filter": False}}, model)
    assert off.options.censor == Censor(system=False)


@pytest.mark.parametrize("model", ["sensevoice-v1", FILETRANS, "qwen3-asr-flash", "fun-asr-flash"])
def test_models_without_a_filter_use_no_list(model: str):
    assert asked({"special_word_filter": FILTER}, model).options.censor is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "alpha",
        "[]",
        '{"filter_with_signed"',
        "[" * 10_000,
        '"\\ud800"',
        [],
        1,
        {"filter_with_signed": ["alpha"]},
        {"filter_with_signed": {"word_list": "alpha"}},
        {"filter_with_signed": {}},
        {"filter_with_empty": {"word_list": [1]}},
        {"filter_with_empty": {"word_list": [""]}},
        {"system_reserved_filter": "true"},
    ],
)
def test_malformed_word_filter_is_refused(value: Any):
    with pytest.raises(InvalidParameterError, match="special_word_filter"):
        asked({"special_word_filter": value})


@pytest.mark.parametrize(
    ("model", "members"),
    [
        ("fun-asr", {"speaker_count": 2}),
        ("fun-asr", {"audio_event_detection_enabled": True}),
    ],
)
def test_what_is_beyond_this_server_is_accepted_and_named(model: str, members: dict[str, Any]):
    (name,) = members
    assert [note.split(":")[0] for note in asked(members, model).notes] == [f"{name} had no effect"]


@pytest.mark.parametrize(
    ("members", "note"),
    [
        ({"corpus": {"text": "harbor"}}, "context counts for its names and terms only: pocketsphinx does not read any"),
        ({"text": "harbor"}, "context counts for its names and terms only: pocketsphinx does not read any"),
        ({"context": "harbor"}, "context counts for its names and terms only: pocketsphinx does not read any"),
    ],
)
def test_what_the_engine_does_not_heed_is_named_once_the_engine_is_known(members: dict[str, Any], note: str):
    result = asked(members, FILETRANS)
    assert result.notes == []
    assert list(lacks(ENGINES["pocketsphinx"], result.options)) == [note]
    heeding = replace(ENGINES["pocketsphinx"], itn=True, context=True, hotwords=True)
    assert list(lacks(heeding, result.options)) == []


@pytest.mark.parametrize(
    ("terms", "read", "told"),
    [
        (("harbor",), ("en",), []),
        (("harbor", "张三"), ("en",), ["张三 had no effect: pocketsphinx writes en only"]),
        (("张三", "李四", "カナ"), ("en",), ["张三 and 2 more hotwords had no effect: pocketsphinx writes en only"]),
        (("张三",), ("en", "zh"), []),
        (("张三",), (), []),
    ],
)
def test_terms_that_an_engine_cannot_write_are_named(terms: tuple[str, ...], read: tuple[str, ...], told: list[str]):
    engine = replace(ENGINES["pocketsphinx"], languages=read)
    assert list(lacks(engine, Options(hotwords=tuple(map(Hotword, terms))))) == told


@pytest.mark.parametrize(
    ("hints", "read", "is_noted"),
    [
        ((), ("en",), False),
        ((), (), False),
        ((), ("de", "fr"), True),
        (("de",), (), True),
        (("de", "zh"), (), False),
    ],
)
def test_digits_are_missed_only_in_languages_whose_numbers_nobody_knows(
    hints: tuple[str, ...], read: tuple[str, ...], is_noted: bool
):
    engine = replace(ENGINES["pocketsphinx"], languages=read)
    options = Options(itn=True, languages=hints)
    note = "enable_itn had no effect: numbers are written as digits in zh and en only"
    assert list(lacks(engine, options)) == ([note] if is_noted else [])
    assert list(lacks(replace(engine, itn=True), options)) == []
    assert list(lacks(engine, options, asked_itn=False)) == []


@pytest.mark.parametrize(
    "members",
    [
        {"diarization_enabled": False},
        {"audio_event_detection_enabled": False},
        {"vocabulary_id": ""},
        {"enable_itn": False},
    ],
)
def test_what_asks_for_nothing_needs_no_note(members: dict[str, Any]):
    assert asked(members).notes == []


def test_a_parameter_of_another_family_is_ignored_whatever_its_value_and_named():
    result = asked({"enable_itn": "certainly", "vocabulary_id": 7}, "sensevoice-v1")
    assert result.options == asked({}, "sensevoice-v1").options
    assert result.notes == [
        "enable_itn had no effect: sensevoice-v1 does not take it",
        "vocabulary_id had no effect: sensevoice-v1 does not take it",
    ]


def test_unknown_members_are_named_together():
    result = asked({"zeta": 1, "alpha": None, "x" * 500: []})
    assert len(result.notes) == 1
    assert result.notes[0].startswith("unknown parameters had no effect: alpha, xxx")
    assert result.notes[0].endswith("zeta")


def test_a_flood_of_unknown_members_makes_a_short_note():
    (note,) = asked({f"name{number}": 1 for number in range(5000)}).notes
    assert note.endswith("and 4980 more")


def test_the_first_context_that_says_something_counts():
    result = asked({"corpus": {"text": ""}, "text": "harbor"}, FILETRANS)
    assert result.options.context == "harbor"


@pytest.mark.parametrize(
    ("text", "counted"),
    [("x" * 40_000, 40_000), ("x" * 40_001, 40_000), ("字" * 10_001, 10_000), ("字x" * 9_000, 16_000)],
)
@pytest.mark.parametrize("door", ["text", "corpus", "context"])
def test_context_counts_up_to_ten_thousand_tokens(text: str, counted: int, door: str):
    result = asked({door: {"text": text} if door == "corpus" else text}, FILETRANS)
    assert result.options.context == text[:counted]
    note = f"context: {counted} of its {len(text)} characters count"
    assert result.notes == ([note] if counted < len(text) else [])


@pytest.mark.parametrize("text", ["x" * 2**21, "字" * 700_000, "x" * 39_999 + "字x" * 10**6, "字x" * 10**6])
def test_no_more_of_a_context_is_looked_at_than_can_count(text: str, monkeypatch: pytest.MonkeyPatch):
    looked_at = 0

    def look(character: str) -> bool:
        nonlocal looked_at
        looked_at += 1
        return is_unspaced(character)

    costs = accumulate(CHARS_PER_TOKEN if is_unspaced(character) else 1 for character in text)
    counted = sum(total <= MAX_CONTEXT_TOKENS * CHARS_PER_TOKEN for total in costs)  # the whole rule, without a bound
    monkeypatch.setattr(values, "is_unspaced", look)
    assert values.counted_context(text) == (text[:counted], f"context: {counted} of its {len(text)} characters count")
    assert looked_at <= MAX_CONTEXT_TOKENS * CHARS_PER_TOKEN


@pytest.mark.parametrize("value", ["x", ["x"], {"text": 1}])
def test_corpus_of_a_wrong_type_is_refused(value: Any):
    with pytest.raises(InvalidParameterError, match="corpus"):
        asked({"corpus": value}, FILETRANS)


@pytest.mark.parametrize("value", ["x", {}, [1], [{}], [{"resource_id": 1}]])
def test_resources_of_a_wrong_type_are_refused(value: Any):
    with pytest.raises(InvalidParameterError, match="resource_id"):
        asked({"resources": value}, "paraformer-v1")


def test_every_row_names_its_source_and_is_taken_by_some_model():
    taken = frozenset[str]().union(*(model.parameters for model in MODELS.values()))
    assert len(ROWS) == len(TABLE)
    for row in TABLE:
        assert row.source
        assert row.name in taken
        assert not row.option or hasattr(Options(), row.option)
        assert row.option or row.asks or row.lack, "a row without an option must say why it has no effect"


@pytest.mark.parametrize(
    ("value", "rate"),
    [("16000", True), (16000, True), ("8000", True), ("16k", False), (0, False), (1.5, False), (True, False)],
)
def test_sample_rate_is_a_number_or_a_numeric_string(value: Any, rate: bool):
    members = {"format": "wav", "sample_rate": value}
    if rate:
        assert "sample_rate had no effect: the recording itself tells its rate" in asked(members, "fun-asr-flash").notes
        return
    with pytest.raises(InvalidParameterError, match="sample rate in Hz"):
        asked(members, "fun-asr-flash")


def test_result_format_is_named_only_where_another_form_was_asked_for():
    assert asked({"result_format": "message"}, "qwen3-asr-flash").notes == []
    assert asked({"result_format": "text"}, "qwen3-asr-flash").notes == [
        "result_format had no effect: answers are messages"
    ]


def test_instant_hotwords_become_hotwords():
    result = asked({"vocabulary": {"etcd": 4, "控制面": 50}}, "qwen-audio-3.1-asr-flash")
    assert result.options.hotwords == (Hotword("etcd", 4), Hotword("控制面", 50))


def test_form_of_a_stream_is_no_option():
    assert asked({"incremental_output": True}, "qwen3-asr-flash") == Asked(
        Options(model="qwen3-asr-flash", emotion=True), incremental=True
    )


# --- hotword lists --------------------------------------------------------------------------------------------------


class Lists:
    """Stands in for the book of hotword lists."""

    def resolve(self, owner: str, list_id: str, model: Any, languages: Any) -> tuple[tuple[Hotword, ...], str]:
        assert (owner, model.name, languages) == ("ann", "qwen-audio-3.1-asr-flash", ("en",))
        if list_id != "good":
            raise NotFoundError
        words = (Hotword("etcd", 2), Hotword("CoreDNS", 3), Hotword("CoreDNS", 5))
        return words, "one word is of another language"


def pinned(list_id: str) -> Asked:
    members = {"vocabulary_id": list_id, "vocabulary": {"etcd": 5}, "language_hints": ["en"]}
    book: Any = Lists()
    return pin_hotwords(asked(members, "qwen-audio-3.1-asr-flash"), "ann", book)


def test_words_of_a_list_come_after_those_of_the_request_which_win():
    result = pinned("good")
    assert result.options.hotwords == (Hotword("etcd", 5), Hotword("CoreDNS", 3))
    assert result.notes[-1] == "one word is of another language"
    assert result.lists == ()


def test_no_more_words_count_than_a_list_may_have():
    given = asked(
        {"vocabulary_id": "good", "vocabulary": {f"word {n}": 4 for n in range(1999)}, "language_hints": ["en"]},
        "qwen-audio-3.1-asr-flash",
    )
    book: Any = Lists()
    result = pin_hotwords(given, "ann", book)
    assert len(result.options.hotwords) == 2000
    assert result.options.hotwords[-1] == Hotword("etcd", 2)
    assert result.notes[-1] == "the last 1 hotwords had no effect: 2000 count"


def test_list_that_does_not_exist_is_an_error_and_an_empty_id_is_none():
    with pytest.raises(NotFoundError):
        pinned("gone")
    assert asked({"vocabulary_id": ""}).lists == ()
    assert pinned("").options.hotwords == (Hotword("etcd", 5),)


def test_ids_of_both_generations_are_kept_for_later():
    assert asked({"vocabulary_id": "vocab-x-1"}).lists == ("vocab-x-1",)
    resources = [{"resource_id": "a", "resource_type": "asr_phrase"}, {"resource_id": "b"}]
    assert asked({"resources": resources}, "paraformer-v1").lists == ("a", "b")
