"""Hotword lists: what may be in one, whose it is, and what of it counts for a call."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, update

from dashscribe.catalog import MODELS, find_model
from dashscribe.db import open_database, tables, writing
from dashscribe.errors import InvalidParameterError, ListQuotaError, NotFoundError, ResourceNotExistError
from dashscribe.hotwords import MAX_LISTS, HotwordBook, Kind, check_words
from dashscribe.types import Hotword
from laid_database import lay

FUN_ASR = find_model("fun-asr")
QWEN_AUDIO = find_model("qwen-audio-3.1-asr-flash")
PARAFORMER_1 = find_model("paraformer-v1")
WORDS = (Hotword("Kestrel Bridge", 4, "en"), Hotword("海拉尔", 5))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(lay(f"sqlite:///{tmp_path}/lists.db"))


@pytest.fixture
def book(engine: Engine) -> HotwordBook:
    return HotwordBook(engine)


def vocabulary(book: HotwordBook, owner: str = "ann", model: str = "fun-asr", prefix: str = "harbor") -> str:
    return book.create(owner, Kind.VOCABULARY, find_model(model), WORDS, prefix=prefix).id


def phrases(book: HotwordBook, owner: str = "ann") -> str:
    return book.create(owner, Kind.PHRASES, PARAFORMER_1, [Hotword("海拉尔", -6)]).id


def refused(words: list[Hotword], model: str = "fun-asr", kind: Kind = Kind.VOCABULARY) -> str:
    with pytest.raises(InvalidParameterError) as caught:
        check_words(kind, find_model(model), words)
    return caught.value.detail


# --- keeping lists --------------------------------------------------------------------------------------------------


def test_list_is_found_again_by_another_process(book: HotwordBook, tmp_path: Path) -> None:
    list_id = vocabulary(book)
    assert re.fullmatch(r"vocab-harbor-[0-9a-f]{32}", list_id)
    found = HotwordBook(open_database(lay(f"sqlite:///{tmp_path}/lists.db"))).find("ann", Kind.VOCABULARY, list_id)
    assert (found.target_model, found.words) == ("fun-asr", WORDS)
    assert abs((datetime.now(UTC) - found.created_at).total_seconds()) < 60


def test_update_replaces_all_words_and_keeps_the_rest(book: HotwordBook) -> None:
    before = book.find("ann", Kind.VOCABULARY, vocabulary(book))
    after = book.update("ann", Kind.VOCABULARY, before.id, [Hotword("new")])
    assert after.words == (Hotword("new"),)
    assert (after.id, after.created_at, after.target_model) == (before.id, before.created_at, before.target_model)
    assert after.modified_at >= before.modified_at
    assert book.find("ann", Kind.VOCABULARY, before.id) == after


def test_refused_update_changes_nothing(book: HotwordBook) -> None:
    list_id = vocabulary(book)
    with pytest.raises(InvalidParameterError):
        book.update("ann", Kind.VOCABULARY, list_id, [Hotword("x", 9)])
    assert book.find("ann", Kind.VOCABULARY, list_id).words == WORDS


def test_another_owner_has_no_such_list(book: HotwordBook) -> None:
    list_id = vocabulary(book)
    for attempt in (
        lambda: book.find("bob", Kind.VOCABULARY, list_id),
        lambda: book.update("bob", Kind.VOCABULARY, list_id, WORDS),
        lambda: book.delete("bob", Kind.VOCABULARY, list_id),
        lambda: book.find("ann", Kind.PHRASES, list_id),
    ):
        with pytest.raises(ResourceNotExistError):
            attempt()
    with pytest.raises(NotFoundError):
        book.resolve("bob", list_id, FUN_ASR, ())
    assert book.list("bob", Kind.VOCABULARY) == (0, ())


def test_deleted_list_is_gone(book: HotwordBook) -> None:
    list_id = vocabulary(book)
    book.delete("ann", Kind.VOCABULARY, list_id)
    with pytest.raises(ResourceNotExistError):
        book.delete("ann", Kind.VOCABULARY, list_id)
    with pytest.raises(NotFoundError):
        book.resolve("ann", list_id, FUN_ASR, ())


def test_lists_come_newest_first_in_pages_and_by_prefix(book: HotwordBook, engine: Engine) -> None:
    ids = [vocabulary(book, prefix=prefix) for prefix in ("a", "b", "a", "b")]
    table = tables.hotword_lists
    with writing(engine) as connection:
        for age, list_id in enumerate(ids):
            connection.execute(update(table).where(table.c.id == list_id).values(created_ms=1000 + age))
    total, page = book.list("ann", Kind.VOCABULARY, skip=1, count=2)
    assert (total, [found.id for found in page]) == (4, [ids[2], ids[1]])
    total, page = book.list("ann", Kind.VOCABULARY, prefix="a")
    assert (total, [found.id for found in page]) == (2, [ids[2], ids[0]])
    assert book.list("ann", Kind.PHRASES)[0] == 0


def test_each_kind_of_list_has_its_own_allowance(book: HotwordBook) -> None:
    ids = [vocabulary(book) for _ in range(MAX_LISTS)]
    with pytest.raises(ListQuotaError) as caught:
        vocabulary(book)
    assert (caught.value.status, caught.value.code) == (400, "Throttling.AllocationQuota")
    phrases(book)
    vocabulary(book, owner="bob")
    book.delete("ann", Kind.VOCABULARY, ids[0])
    vocabulary(book)


def test_phrase_list_is_named_by_model_minute_and_digits(book: HotwordBook) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    made = book.create("ann", Kind.PHRASES, PARAFORMER_1, [Hotword("海拉尔", -6)], zone=zone)
    stamp = re.fullmatch(r"paraformer-v1-ft-([0-9]{12})-[0-9a-f]{4}", made.id)
    assert stamp
    local = datetime.strptime(stamp[1], "%Y%m%d%H%M").replace(tzinfo=zone)
    assert abs((datetime.now(UTC) - local).total_seconds()) < 120
    assert made.id == f"paraformer-v1-{made.job_id}"


def test_update_of_a_phrase_list_is_a_new_job(book: HotwordBook, monkeypatch: pytest.MonkeyPatch) -> None:
    list_id = phrases(book)
    monkeypatch.setattr("dashscribe.hotwords._job_id", lambda at: "ft-202606011200-ab12")
    assert book.update("ann", Kind.PHRASES, list_id, [Hotword("新")]).job_id == "ft-202606011200-ab12"
    assert book.find("ann", Kind.PHRASES, list_id).id == list_id


def test_equal_digits_in_one_minute_are_given_once(book: HotwordBook, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr("dashscribe.hotwords._job_id", lambda at: f"ft-202606011200-{next(drawn)}")
    assert phrases(book, "ann") == "paraformer-v1-ft-202606011200-aaaa"
    assert phrases(book, "bob") == "paraformer-v1-ft-202606011200-bbbb"


# --- rules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "A", "a-b", "a_b", "eleven11111", "é", "a\n", "１"])
def test_prefix_breaks_the_rule(book: HotwordBook, prefix: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        vocabulary(book, prefix=prefix)
    assert caught.value.parameter == "prefix"


@pytest.mark.parametrize("prefix", ["a", "0", "abcdefghi9"])
def test_prefix_is_taken(book: HotwordBook, prefix: str) -> None:
    assert vocabulary(book, prefix=prefix).startswith(f"vocab-{prefix}-")


@pytest.mark.parametrize("model", ["qwen3-asr-flash-filetrans", "sensevoice-v1", "paraformer-v1"])
def test_model_without_vocabularies_is_refused_and_others_are_named(book: HotwordBook, model: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        vocabulary(book, model=model)
    assert caught.value.parameter == "target_model"
    assert "paraformer-v2" in caught.value.detail


@pytest.mark.parametrize("text", ["海" * 15, "é" * 15, "a b c d e f g", "x" * 200, "海 拉 尔", "k"])
def test_text_is_taken(text: str) -> None:
    check_words(Kind.VOCABULARY, FUN_ASR, [Hotword(text)])


@pytest.mark.parametrize(
    ("text", "limit"),
    [("海" * 16, "15"), ("海" + " a" * 8, "15"), ("a b c d e f g h", "7"), ("", "one"), (" \t", "one")],
)
def test_text_is_refused_with_the_limit(text: str, limit: str) -> None:
    assert limit in refused([Hotword(text)])


@pytest.mark.parametrize("weight", [0, 6, -1, 50, 49, 51, 2**63])
def test_weight_is_refused_with_the_range(weight: int) -> None:
    detail = refused([Hotword("fine"), Hotword("x", weight)])
    assert "vocabulary[1]" in detail
    assert str(weight) in detail
    assert "1 to 5" in detail


def test_super_weight_is_for_fifty_words_of_the_newest_models() -> None:
    words = [Hotword(f"w{n}", 50) for n in range(51)]
    check_words(Kind.VOCABULARY, QWEN_AUDIO, [*words[:50], Hotword("more", 5)])
    assert "at most 50" in refused(words, QWEN_AUDIO.name)
    assert "1 to 5 or 50" in refused([Hotword("x", 6)], QWEN_AUDIO.name)


def test_languages_of_words_are_the_familys() -> None:
    check_words(Kind.VOCABULARY, find_model("paraformer-v2"), [Hotword("x", 4, "ru")])
    assert "zh, en, ja" in refused([Hotword("x", 4, "ru")])
    assert "lang" in refused([Hotword("x", 4, "EN")])


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("fun-asr", 2000),
        ("fun-asr-2025-11-07", 2000),
        ("fun-asr-2025-08-25", 500),
        ("fun-asr-mtl", 500),
        ("fun-asr-flash-2026-06-15", 2000),
        ("qwen-audio-3.0-asr-flash-filetrans", 2000),
        ("paraformer-v2", 500),
        ("paraformer-8k-v2", 500),
    ],
)
def test_number_of_words_is_the_models(model: str, most: int) -> None:
    words = [Hotword("x")] * most
    check_words(Kind.VOCABULARY, find_model(model), words)
    assert str(most) in refused([*words, Hotword("x")], model)
    assert "held 0" in refused([], model)


def test_models_have_a_limit_exactly_if_they_take_lists() -> None:
    for model in MODELS.values():
        assert bool(model.max_hotwords) == bool(model.parameters & {"vocabulary_id", "resources"}), model.name


@pytest.mark.parametrize("text", ["海" * 10, "one two three four five", "海拉尔 abc", "x" * 40])
def test_phrase_is_taken(text: str) -> None:
    check_words(Kind.PHRASES, PARAFORMER_1, [Hotword(text)])


@pytest.mark.parametrize(("text", "limit"), [("海" * 11, "10"), ("one two three four five six", "5"), (" ", "one")])
def test_phrase_is_refused_with_the_limit(text: str, limit: str) -> None:
    assert limit in refused([Hotword(text)], "paraformer-v1", Kind.PHRASES)


def test_weights_of_phrases_may_be_negative() -> None:
    for weight in (1, 5, -1, -6):
        check_words(Kind.PHRASES, PARAFORMER_1, [Hotword("x", weight)])
    for weight in (0, 6, -7, 50):
        assert "-6 to -1" in refused([Hotword("x", weight)], "paraformer-v1", Kind.PHRASES)
    assert "500" in refused([Hotword("x")] * 501, "paraformer-v1", Kind.PHRASES)


# --- for a call -----------------------------------------------------------------------------------------------------


def test_words_of_a_list_count_for_its_model(book: HotwordBook) -> None:
    assert book.resolve("ann", vocabulary(book), FUN_ASR, ()) == (WORDS, "")
    assert book.resolve("ann", phrases(book), PARAFORMER_1, ()) == ((Hotword("海拉尔", -6),), "")


def test_list_for_another_model_has_no_effect_and_says_so(book: HotwordBook) -> None:
    words, note = book.resolve("ann", vocabulary(book), find_model("fun-asr-2025-11-07"), ())
    assert words == ()
    assert "made for fun-asr, not fun-asr-2025-11-07" in note


def test_words_of_other_languages_than_the_hints_are_left_out_with_a_note(book: HotwordBook) -> None:
    list_id = vocabulary(book)
    assert book.resolve("ann", list_id, FUN_ASR, ("en", "zh")) == (WORDS, "")
    words, note = book.resolve("ann", list_id, FUN_ASR, ("ja",))
    assert words == (WORDS[1],)  # it is for any language
    assert "1 words of other languages than ja" in note


@pytest.mark.parametrize("list_id", ["", "vocab-x", "x" * 5000, "' OR 1=1 --"])
def test_unknown_list_is_not_found(book: HotwordBook, list_id: str) -> None:
    vocabulary(book)
    with pytest.raises(NotFoundError) as caught:
        book.resolve("ann", list_id, FUN_ASR, ())
    assert (caught.value.status, caught.value.code) == (404, "NotFound")
    assert caught.value.message.startswith("Not found!")
