"""The catalog: every public name has one row, and the choice of an engine follows coverage and hints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashscribe import choice
from dashscribe.catalog import MODELS, Model, find_model
from dashscribe.choice import choose_engine, standing
from dashscribe.config import Settings
from dashscribe.engines import ENGINES
from dashscribe.errors import EngineUnavailableError, ModelNotFoundError
from dashscribe.weights.families import FAMILIES
from dashscribe.wire.params import ROWS

ASYNC = """
    fun-asr fun-asr-2025-11-07 fun-asr-2025-08-25 fun-asr-mtl fun-asr-mtl-2025-08-25 qwen3-asr-flash-filetrans
    qwen3-asr-flash-filetrans-2025-11-17 paraformer-v2 paraformer-8k-v2 paraformer-v1 paraformer-8k-v1 paraformer-mtl-v1
    sensevoice-v1 qwen-audio-3.0-asr-flash-filetrans qwen-audio-3.1-asr-flash-filetrans
"""
SYNC = """
    fun-asr-flash fun-asr-flash-2026-06-15 qwen3-asr-flash qwen3-asr-flash-2026-02-10 qwen3-asr-flash-2025-09-08
    qwen3-asr-flash-us qwen3-asr-flash-2025-09-08-us qwen-audio-asr qwen-audio-asr-latest qwen-audio-asr-2024-12-04
    qwen-audio-3.0-asr-flash qwen-audio-3.1-asr-flash
"""


@pytest.fixture
def settings() -> Settings:
    return Settings()


def test_every_public_name_has_a_row_of_its_interface():
    assert {name for name, model in MODELS.items() if model.interface == "async"} == set(ASYNC.split())
    assert {name for name, model in MODELS.items() if model.interface == "sync"} == set(SYNC.split())


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_rows_hold_together(model: Model):
    assert MODELS[model.name] is model
    assert model.parameters <= set(ROWS)
    assert model.candidates[0] == model.own_kind in FAMILIES
    assert set(model.candidates) <= {*ENGINES, *FAMILIES, "openai"}
    assert bool(model.languages) == bool(model.language_parameter)
    assert (model.language_parameter in model.parameters) or not model.language_parameter
    assert not model.alias_of or model.alias_of in MODELS
    assert not model.successor or model.successor in MODELS
    assert bool(model.retired) == bool(model.successor)
    assert (model.input_key == "file_url") == (model.shape == "file_url")
    talks = {bool(model.dialect), bool(model.answer), bool(model.usage), model.input_key == "messages"}
    assert talks == {model.interface == "sync"}
    assert (model.dialect == "input_audio") == (model.answer == "sentence") == (model.usage == "duration")
    assert ("format" in model.parameters) == (model.dialect == "input_audio")
    assert ("incremental_output" in model.parameters) == (model.answer == "choices")
    assert all(len(set(codes)) == len(codes) for codes in (model.languages, model.coverage))


def test_an_alias_answers_in_the_shape_of_what_it_stands_for():
    for model in MODELS.values():
        if model.alias_of:
            target = MODELS[model.alias_of]
            assert (model.shape, model.input_key, model.interface) == (target.shape, target.input_key, target.interface)
            assert (model.dialect, model.answer, model.usage) == (target.dialect, target.answer, target.usage)


def test_only_the_filetrans_models_of_qwen3_take_a_single_url():
    assert {name for name in ASYNC.split() if MODELS[name].input_key == "file_url"} == {
        "qwen3-asr-flash-filetrans",
        "qwen3-asr-flash-filetrans-2025-11-17",
    }


def test_unknown_name_is_refused_with_near_names():
    with pytest.raises(ModelNotFoundError) as caught:
        find_model("fun-asr-flsh")
    assert caught.value.message.startswith("Model can not be found.")
    assert "fun-asr-flash" in caught.value.message


@pytest.mark.parametrize("name", ["", " fun-asr", "x" * 10_000, "FUN-ASR"])
def test_names_are_taken_exactly(name: str):
    with pytest.raises(ModelNotFoundError) as caught:
        find_model(name)
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("languages", [(), ("en",), ("zh", "en"), ("en", "zh")])
def test_embedded_engine_stands_in_when_english_is_possible(languages: tuple[str, ...], settings: Settings):
    assert choose_engine(find_model("fun-asr"), languages, settings).name == "pocketsphinx"


@pytest.mark.parametrize("languages", [("zh",), ("yue", "ja")])
def test_embedded_engine_never_hears_other_languages(languages: tuple[str, ...], settings: Settings):
    with pytest.raises(ModelNotFoundError) as caught:
        choose_engine(find_model("fun-asr"), languages, settings)
    assert "pocketsphinx (en)" in caught.value.message
    assert ", ".join(languages) in caught.value.message
    assert "`dashscribe models pull " in caught.value.message


@pytest.mark.parametrize("name", ["paraformer-8k-v2", "paraformer-8k-v1"])
@pytest.mark.parametrize("languages", [(), ("en",), ("zh",)])
def test_telephone_mandarin_has_no_stand_in(name: str, languages: tuple[str, ...], settings: Settings):
    with pytest.raises(ModelNotFoundError, match="covers zh"):
        choose_engine(find_model(name), languages, settings)


def test_a_stand_in_must_share_a_language_with_the_model(settings: Settings):
    german = replace(find_model("fun-asr"), coverage=("de",))
    with pytest.raises(ModelNotFoundError):
        choose_engine(german, (), settings)


@pytest.mark.parametrize(("reads", "hint"), [("fil", "tl"), ("tl", "fil"), ("zh", "zh-CN"), ("jw", "jv"), ("no", "nb")])
def test_a_language_has_more_than_one_code(reads: str, hint: str):
    settings = Settings(openai_url="http://127.0.0.1:9/v1", openai_languages=reads)
    model = replace(find_model("fun-asr"), coverage=(hint,))
    assert choose_engine(model, (hint,), settings).name == "openai"


@pytest.mark.parametrize("name", ["fun-asr", "paraformer-8k-v2", "qwen3-asr-flash"])
def test_forced_engine_serves_every_model(name: str):
    assert choose_engine(find_model(name), ("zh",), Settings(engine="standin")).name == "standin"


def test_forced_engine_must_exist():
    with pytest.raises(EngineUnavailableError, match="nonesuch"):
        choose_engine(find_model("fun-asr"), (), Settings(engine="nonesuch"))


def test_engine_that_is_not_installed_is_passed_over(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "is_installed", lambda info: False)
    with pytest.raises(ModelNotFoundError, match="read: none"):
        choose_engine(find_model("fun-asr"), (), settings)


def test_what_runs_is_told_with_what_is_down():
    settings = Settings(openai_url="http://127.0.0.1:9/v1", openai_model="far")
    model = find_model("fun-asr")
    up = standing(model, (), settings)
    assert up.engine is not None
    assert (up.engine.name, up.why.partition(";")[0]) == ("openai", "stands in")
    down = standing(model, (), settings, {"openai": "nobody is there"})
    assert down.engine is not None
    assert down.engine.name == "pocketsphinx"
    assert down.why.endswith("pocketsphinx took the place of openai, which is down: nobody is there")
