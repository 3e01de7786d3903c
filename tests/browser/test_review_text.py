"""The transcript as it is edited, without a page around it: edits, undo, what is sent, what comes back, finding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fake_recordings import ORIGIN, Fake, sentence, transcript_of

LOAD = f"""async (answer) => {{
  const [model, words, find, items] = await Promise.all(["transcript", "words", "find", "items"].map(
    (name) => import(`{ORIGIN}/pages/js/review/${{name}}.js`)));
  Object.assign(window, model, words, find, items);
  window.text = new Transcript(answer);
  window.texts = () => text.sentences.map((one) => one.text);
  window.sent = () => text.changes().groups.map((group) => [group.ids, group.with.map((one) => one.text)]);
  window.save = () => {{
    const sent = text.changes();
    let count = 0;
    const replaced = sent.groups.map(({{ ids, with: said, keys }}) => ({{
      ids,
      with: said.filter((one) => one.text).map((one, at) => {{
        const {{ channel, begin_ms, end_ms }} = text.get(keys[at]);
        const id = ids.length === 1 && said.length === 1 ? ids[0] : `n${{text.revision}}-${{count++}}`;
        return {{ id, channel, begin_ms, end_ms, words: [], ...one }};
      }}),
    }}));
    text.settle(sent, {{ revision: text.revision + 1, replaced, speakers: {{}} }});
  }};
}}"""


@pytest.fixture
def text(browser: Any) -> Iterator[Any]:
    """A page in which ``text`` is a transcript of four sentences, two channels."""
    page = browser.new_page()
    Fake().install(page)
    page.goto(f"{ORIGIN}/pages/icon.svg")
    four = [
        sentence(0, "one two three", 0, 3000, speaker=0),
        sentence(1, "four five", 4000, 6000, speaker=1),
        sentence(2, "six seven eight", 7000, 10000, speaker=0),
        sentence(0, "on the other side", 5000, 8000, channel=1),
    ]
    page.evaluate(LOAD, transcript_of(four, 12_000))
    yield page
    page.close()


def key(text: Any, words: str) -> int:
    return text.evaluate("(words) => text.sentences.find((one) => one.text === words).key", words)


def test_channels_are_shown_in_order_of_time(text: Any) -> None:
    assert text.evaluate("texts()") == ["one two three", "four five", "on the other side", "six seven eight"]


def test_nothing_is_sent_of_an_untouched_transcript(text: Any) -> None:
    assert text.evaluate("sent()") == []
    assert text.evaluate("text.isDirty") is False


def test_a_split_sends_one_sentence_for_two(text: Any) -> None:
    text.evaluate("(key) => text.split(key, 4)", key(text, "one two three"))
    assert text.evaluate("texts()")[:2] == ["one", "two three"]
    assert text.evaluate("sent()") == [[["0-0"], ["one", "two three"]]]


def test_a_split_cuts_time_between_the_words(text: Any) -> None:
    text.evaluate("(key) => text.split(key, 4)", key(text, "one two three"))
    assert text.evaluate("text.sentences.slice(0, 2).map((one) => [one.begin_ms, one.end_ms])") == [
        [0, 1000],
        [1000, 3000],
    ]


def test_a_split_at_an_edge_changes_nothing(text: Any) -> None:
    assert text.evaluate("(key) => text.split(key, 0) ?? null", key(text, "one two three")) is None
    assert text.evaluate("(key) => text.split(key, 13) ?? null", key(text, "one two three")) is None
    assert text.evaluate("text.done.length") == 0


def test_a_merge_passes_over_the_other_channel(text: Any) -> None:
    seam = text.evaluate("(key) => text.merge(key)", key(text, "six seven eight"))
    assert text.evaluate("texts()") == ["one two three", "four five six seven eight", "on the other side"]
    assert seam["offset"] == len("four five ")
    assert text.evaluate("sent()") == [[["0-1", "0-2"], ["four five six seven eight"]]]


def test_chinese_is_joined_without_a_space(text: Any) -> None:
    assert text.evaluate("joint('你好。', '世界')") == ""
    assert text.evaluate("joint('Hello.', 'World')") == " "


def test_undo_and_redo_go_through_everything(text: Any) -> None:
    before = text.evaluate("texts()")
    text.evaluate("(key) => text.setText(key, 'four six')", key(text, "four five"))
    text.evaluate("(key) => text.split(key, 4)", key(text, "one two three"))
    text.evaluate("(key) => text.merge(key)", key(text, "six seven eight"))
    text.evaluate("text.rename(1, 'Anna')")
    after = text.evaluate("texts()")
    for _ in range(4):
        text.evaluate("text.undo()")
    assert text.evaluate("texts()") == before
    assert text.evaluate("text.names") == {}
    assert text.evaluate("text.isDirty") is False
    for _ in range(4):
        text.evaluate("text.redo()")
    assert text.evaluate("texts()") == after
    assert text.evaluate("text.names") == {"1": "Anna"}


def test_typing_is_one_step_of_undo(text: Any) -> None:
    one = key(text, "four five")
    for typed in ("four f", "four fi", "four fif", "four fifty"):
        text.evaluate("([key, typed]) => text.setText(key, typed, { typing: true })", [one, typed])
    text.evaluate("text.undo()")
    assert "four five" in text.evaluate("texts()")


@pytest.mark.parametrize(
    "act",
    [
        "text.setText(key, 'one two tree')",
        "text.split(key, 4)",
        "text.merge(text.neighbor(key, 1).key)",
        "text.setSpeaker(key, 1)",
        "(text.split(key, 8), text.split(key, 4))",
        "text.merge((text.split(key, 4), text.neighbor(text.neighbor(key, 1).key, 1).key))",
    ],
)
def test_undoing_what_is_saved_saves_what_was_before(text: Any, act: str) -> None:
    before = text.evaluate("texts()")
    text.evaluate(f"(key) => {{ {act}; }}", key(text, "one two three"))
    text.evaluate("save()")
    assert text.evaluate("text.isDirty") is False
    steps = text.evaluate("text.done.length")
    for _ in range(steps):
        text.evaluate("text.undo()")
    assert text.evaluate("texts()") == before
    assert text.evaluate("text.isDirty") is True
    text.evaluate("save()")
    assert text.evaluate("text.isDirty") is False
    assert text.evaluate("texts()") == before


def test_what_is_typed_while_saving_stays(text: Any) -> None:
    one = key(text, "four five")
    text.evaluate("(key) => text.setText(key, 'four fifty')", one)
    text.evaluate("() => { window.pending = text.changes(); }")
    text.evaluate("(key) => text.setText(key, 'four fifty-five')", one)
    fresh = {"id": "0-1", "channel": 0, "begin_ms": 4000, "end_ms": 6000, "text": "four fifty", "speaker": 1}
    replaced = [{"ids": ["0-1"], "with": [fresh | {"words": []}]}]
    text.evaluate("(answer) => text.settle(pending, answer)", {"revision": 1, "replaced": replaced})
    assert "four fifty-five" in text.evaluate("texts()")
    assert text.evaluate("sent()") == [[["0-1"], ["four fifty-five"]]]


def test_a_sentence_that_was_removed_and_saved_comes_back_by_undo(text: Any) -> None:
    text.evaluate("(key) => text.remove(key)", key(text, "four five"))
    assert text.evaluate("sent()") == [[["0-1"], [""]]]
    text.evaluate("save()")
    text.evaluate("text.undo()")
    assert text.evaluate("sent()") == [[["0-0"], ["one two three", "four five"]]]


INSERTED = """() => {
  const sent = text.changes();
  const replaced = sent.groups.map(({ place, with: [said] }, at) => (
    { ids: [], with: [{ id: `back-${text.revision}-${at}`, words: [], ...place, ...said }] }));
  text.settle(sent, { revision: text.revision + 1, replaced, speakers: {} });
}"""


def test_the_only_sentence_of_a_channel_comes_back_by_undo_at_its_time(text: Any) -> None:
    text.evaluate("(key) => text.remove(key)", key(text, "on the other side"))
    text.evaluate("save()")
    text.evaluate("text.undo()")
    place = {"channel": 1, "begin_ms": 5000, "end_ms": 8000}
    assert text.evaluate("text.changes().groups.map(({ ids, place, with: said }) => [ids, place, said])") == [
        [[], place, [{"text": "on the other side"}]]
    ]
    assert text.evaluate("text.draft().groups") == [
        {"ids": [], "was": [], "place": place, "with": [{"text": "on the other side"}]}
    ]
    for _ in range(2):
        text.evaluate(INSERTED)
        assert text.evaluate("text.isDirty") is False
        text.evaluate("text.redo()")
        text.evaluate("save()")
        assert text.evaluate("text.isDirty") is False
        text.evaluate("text.undo()")
        assert text.evaluate("sent()") == [[[], ["on the other side"]]]


def test_what_is_done_to_a_sentence_that_is_back_is_done_to_that_one(text: Any) -> None:
    one = key(text, "on the other side")
    text.evaluate("(key) => text.setText(key, 'on this side')", one)
    text.evaluate("save()")
    text.evaluate("(key) => text.remove(key)", one)
    text.evaluate("save()")
    text.evaluate("text.undo()")
    text.evaluate(INSERTED)
    text.evaluate("text.undo()")
    assert text.evaluate("sent()") == [[["back-2-0"], ["on the other side"]]]


def test_a_sentence_that_is_back_goes_on_top_of_somebody_elses_edit(text: Any) -> None:
    text.evaluate("(key) => text.remove(key)", key(text, "on the other side"))
    text.evaluate("save()")
    text.evaluate("text.undo()")
    theirs = text.evaluate("JSON.parse(JSON.stringify(text.answer))")
    theirs["sentences"] = [one for one in theirs["sentences"] if one["channel"] == 0]
    assert text.evaluate("(answer) => text.rebase(answer)", theirs) == []
    assert text.evaluate("sent()") == [[[], ["on the other side"]]]
    theirs["sentences"].append(sentence(7, "on the other side", 5000, 8000, channel=1))
    assert text.evaluate("(answer) => text.rebase(answer)", theirs) == [], "it is there: our own request did arrive"
    assert text.evaluate("texts()").count("on the other side") == 1
    text.evaluate("(key) => text.remove(key)", key(text, "on the other side"))
    text.evaluate("save()")
    text.evaluate("text.undo()")
    theirs["sentences"][-1]["text"] = "theirs"
    assert text.evaluate("(answer) => text.rebase(answer)", theirs) == []
    assert text.evaluate("sent()") == [[["1-7"], ["theirs", "on the other side"]]]


def test_a_sentence_that_is_emptied_while_it_is_typed_in_is_not_sent(text: Any) -> None:
    one = key(text, "four five")
    text.evaluate("(key) => text.setText(key, '', { typing: true })", one)
    assert text.evaluate("(key) => text.changes(key).groups", one) == []
    assert len(text.evaluate("text.changes().groups")) == 1


def test_edits_go_on_top_of_somebody_elses(text: Any) -> None:
    text.evaluate("(key) => text.setText(key, 'one two tree')", key(text, "one two three"))
    text.evaluate("(key) => text.setText(key, 'mine')", key(text, "four five"))
    theirs = text.evaluate("JSON.parse(JSON.stringify(text.answer))")
    theirs["revision"] = 5
    next(one for one in theirs["sentences"] if one["id"] == "0-1")["text"] = "theirs"
    lost = text.evaluate("(answer) => text.rebase(answer)", theirs)
    assert lost == ["mine"]
    assert text.evaluate("texts()")[:2] == ["one two tree", "theirs"]
    assert text.evaluate("sent()") == [[["0-0"], ["one two tree"]]]


def test_what_was_not_changed_keeps_its_time_until_the_server_answers(text: Any) -> None:
    one = key(text, "six seven eight")
    text.evaluate("(key) => text.setText(key, 'six eleven eight')", one)
    words = text.evaluate("(key) => text.get(key).words.map((word) => [word.text, word.begin_ms])", one)
    assert words == [["six", 7000], ["eleven", 8000], ["eight", 9000]]


def test_the_word_at_an_instant(text: Any) -> None:
    at = "(ms) => new Clock(text.sentences).at(ms).map(({ sentence, word, over }) => [sentence.text, word, over])"
    assert text.evaluate(at, 1500) == [["one two three", 1, False]]
    assert text.evaluate(at, 5500) == [["four five", 1, False], ["on the other side", 0, False]]
    assert text.evaluate(at, 3500) == [["one two three", -1, True]]
    assert text.evaluate(at, 0) == [["one two three", 0, False]]


def test_finding_takes_every_character_as_itself(text: Any) -> None:
    look = "([words, wanted, how]) => find([{ key: 1, text: words }], wanted, how).map(({ from, to }) => [from, to])"
    assert text.evaluate(look, ["a.b aXb (a.b)", "a.b", {}]) == [[0, 3], [9, 12]]
    assert text.evaluate(look, ["Four FOUR four", "four", {"matchCase": True}]) == [[10, 14]]
    assert text.evaluate(look, ["cat concat 猫cat猫", "cat", {"wholeWords": True}]) == [[0, 3], [12, 15]]
    assert text.evaluate(look, ["会议会议", "会议", {"wholeWords": True}]) == [[0, 2], [2, 4]]


def test_replacing_takes_dollars_as_dollars(text: Any) -> None:
    act = "() => [...replaceAll([{ key: 1, text: 'four' }], 'four', '$& $1', {})]"
    assert text.evaluate(act) == [[1, "$& $1"]]


def test_pauses_are_where_no_channel_speaks(text: Any) -> None:
    ledger = [
        {"channel": 0, "begin_ms": 0, "end_ms": 10_000, "fate": "non_speech"},
        {"channel": 1, "begin_ms": 4000, "end_ms": 20_000, "fate": "non_speech"},
        {"channel": 1, "begin_ms": 20_000, "end_ms": 21_000, "fate": "failed", "reason": "why"},
    ]
    found = text.evaluate("(ledger) => stretches(ledger, [0, 1])", ledger)
    assert found["pauses"] == [{"begin_ms": 4000, "end_ms": 10_000}]
    assert [one["reason"] for one in found["failures"]] == ["why"]
