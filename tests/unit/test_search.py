"""Finding recordings by what was said in them, on both databases."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from durable import Home, indexed_words
from sqlalchemy import event, insert, select, text

from dashscribe.db import is_shared, now_ms, reading, tables, writing
from dashscribe.db.tables import FileState, Status
from dashscribe.errors import InvalidParameterError
from dashscribe.library import Library, Recording, Wanted
from dashscribe.search import Line, prepare, remove, terms_of, write
from dashscribe.search.folding import pieces


class Shelf:
    """Recordings that were never recognized: only rows and what the index holds of them."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.library = Library(home.engine, home.settings)
        self._count = 0

    def put(self, *said: str, title: str = "", owner: str = "default", channel: int = 0) -> str:
        self._count += 1
        number, now = self._count, now_ms() + self._count
        task = {"id": f"t{number}", "owner": owner, "key_id": "0", "request_id": "r", "model": "fun-asr"}
        task |= {"shape": "file_urls", "options": "{}", "notes": "[]", "status": Status.SUCCEEDED, "tag_ms": 1}
        instants = dict.fromkeys(("submitted_ms", "started_ms", "ended_ms"), now)
        file = {"task_id": f"t{number}", "number": 0, "owner": owner, "url": f"https://a.example/{number}.wav"}
        file |= {"state": FileState.SUCCEEDED, "tag_ms": 1, "transcript_key": "t", "title": title, "indexed": "t#0"}
        with writing(self.home.engine) as connection:
            connection.execute(insert(tables.tasks).values(**task, **instants, file_count=1, open_files=0))
            file_id = connection.execute(insert(tables.files).values(**file).returning(tables.files.c.id)).scalar_one()
            lines = [Line(channel, at * 1000, at * 1000 + 900, text) for at, text in enumerate(said)]
            write(connection, prepare(file_id, owner, title or f"{number}.wav", lines))
        return f"t{number}.0"

    def find(self, query: str, owner: str = "default", **wanted: object) -> list[Recording]:
        total, found = self.library.list(owner, Wanted(terms=terms_of(query), **wanted))
        assert total >= len(found)
        return list(found)

    def ids(self, query: str, **how: object) -> list[str]:
        return [recording.id for recording in self.find(query, **how)]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(Home(tmp_path))


def marked(recording: Recording) -> list[list[str]]:
    """What the marks of each hit show, read as a browser does."""
    assert recording.found is not None
    shown = []
    for hit in recording.found.hits:
        units = hit.line.text.encode("utf-16-le")
        shown.append([units[2 * begin : 2 * end].decode("utf-16-le") for begin, end in hit.marks])
    return shown


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("人工智能", "人工智能"),
        ("智能", "智能"),
        ("能", "能"),
        ("GPT模型", "GPT-4模型"),  # no: the 4 stands between
        ("gpt-4模型", "GPT-4模型"),
        ("４模型", "4模型"),
        ("模型，很好", "模型很好"),
        ("好", "好"),
    ],
)
def test_chinese_without_spaces_is_found_by_any_of_its_parts(shelf: Shelf, query: str, shown: str) -> None:
    said = "我们讨论人工智能，GPT-4模型很好。"
    there = shelf.put("开场白。", said)
    shelf.put("今天天气不错。", "人们在工作，智力和能力。")  # every character of it, nowhere side by side
    found = [one for one in shelf.find(query) if one.id == there]
    if query == "GPT模型":
        assert found == []
        return
    assert marked(found[0]) == [[shown]]
    assert found[0].found is not None
    assert (found[0].found.count, found[0].found.hits[0].line.begin_ms) == (1, 1000)
    if len(query) > 1:
        assert shelf.ids(query) == [there]


@pytest.mark.parametrize(
    "query", ["Kestrel", "kestrel", "ＫＥＳＴＲＥＬ", "kestrel bridge", '"Kestrel-Bridge"', "cafe", "CAFÉ"]
)
def test_latin_words_are_found_whole_whatever_their_case_and_width(shelf: Shelf, query: str) -> None:
    there = shelf.put("We met on Kestrel Bridge, near the Café.")
    shelf.put("Kestrels have no bridges and cafeterias.")
    assert shelf.ids(query) == [there]


def test_every_term_has_to_be_there_but_not_in_one_sentence(shelf: Shelf) -> None:
    both = shelf.put("The budget is fine.", "Nothing here.", "我们明天开会。")
    shelf.put("The budget is fine.")
    assert shelf.ids("budget 开会") == [both]
    (found,) = shelf.find("budget 开会")
    assert marked(found) == [["budget"], ["开会"]]
    assert shelf.ids('"budget is fine"') == [f"t{n}.0" for n in (2, 1)]
    assert shelf.ids('"fine budget"') == []


def test_words_in_different_sentences_are_no_phrase(shelf: Shelf) -> None:
    shelf.put("这是人工", "智能时代")
    assert shelf.ids("人工智能") == []
    assert shelf.ids("人工 智能") == ["t1.0"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('"the the"', [2]),
        ('"the the the"', []),
        ("the the", [2, 1]),  # no phrase: said once is enough
        ("The THE the", [2, 1]),
        ("哈哈", [4, 3]),
        ("哈哈哈", [4]),
        ("哈哈哈哈", []),
        ("谢谢", []),
        ('"谢 谢"', []),
    ],
)
def test_what_is_said_twice_is_found_where_it_is_said_twice(shelf: Shelf, query: str, found: list[int]) -> None:
    shelf.put("This is the end of the road.", "the", "the")
    shelf.put("It is the, the end.", "the")
    shelf.put("哈哈，真的。谢。", "谢")
    shelf.put("哈哈哈")
    assert shelf.ids(query) == [f"t{number}.0" for number in found]


def test_marks_that_pile_up_stop_no_index(shelf: Shelf) -> None:
    dice = random.Random(4711)  # each another one: what repeats itself, PostgreSQL would compress
    pile = "".join(chr(dice.choice((0x0300, 0x0330, 0x1AB0, 0x1DC0, 0x20D0)) + dice.randrange(12)) for _ in range(9000))
    there = shelf.put(f"字{pile}节{pile}到此", f"Z{pile}a{pile}lgo ก{pile}ข{pile} " + "x" * 20_000 + " 결" * 9000)
    assert shelf.ids("zalgo") == shelf.ids("到此") == [there]
    (found,) = shelf.find(f"字{pile[:80]}节{pile[:80]}到")
    assert found.found is not None
    assert found.found.count == 1
    assert len(max(pieces(f"ก{pile}"), key=lambda piece: len(piece.text)).text) < 100


def test_sentences_with_most_terms_are_shown_first_and_all_are_counted(shelf: Shelf) -> None:
    shelf.put(*["red"] * 5, "red and green", "green")
    (found,) = shelf.find("red green")
    assert found.found is not None
    assert found.found.count == 7
    assert [hit.line.text for hit in found.found.hits] == ["red", "red", "red and green"]
    assert len(shelf.library.get("default", found.id, terms_of("red")).found.hits) == 6


def test_titles_are_found_too(shelf: Shelf) -> None:
    there = shelf.put("nothing", title="预算会议 Budget 2026")
    (found,) = shelf.find("预算 2026")
    assert found.id == there
    assert found.found is not None
    assert (found.found.count, found.found.title_marks) == (0, ((0, 2), (12, 16)))
    shelf.put("会议室的预算")
    assert shelf.ids("预算 nothing") == [there]


def test_marks_count_as_browsers_do(shelf: Shelf) -> None:
    shelf.put("👍🏽𠮷野家 ｶﾞｲﾄﾞ")
    (found,) = shelf.find("𠮷野")
    assert marked(found) == [["𠮷野"]]
    assert marked(shelf.find("ガイド")[0]) == [["ｶﾞｲﾄﾞ"]]


def test_others_find_nothing_of_it(shelf: Shelf) -> None:
    shelf.put("秘密", owner="alice")
    assert shelf.ids("秘密", owner="mallory") == []
    assert shelf.ids("秘密") == []
    assert len(shelf.ids("秘密", owner="alice")) == 1


def test_long_words_are_told_apart_beyond_what_is_looked_up(shelf: Shelf) -> None:
    there = shelf.put("a" * 50 + "b")
    shelf.put("a" * 50 + "c")
    assert shelf.ids("a" * 50 + "b") == [there]
    assert shelf.ids("a" * 50) == []


def test_pages_of_what_was_found_come_with_the_whole_count(shelf: Shelf) -> None:
    ids = [shelf.put("同一句话") for _ in range(5)]
    total, found = shelf.library.list("default", Wanted(terms=terms_of("一句"), page_no=2, page_size=2))
    assert (total, [one.id for one in found]) == (5, [ids[2], ids[1]])


def test_what_is_removed_is_found_no_more_and_leaves_nothing(shelf: Shelf) -> None:
    shelf.put("要删除的话")
    engine = shelf.home.engine
    assert len(indexed_words(engine)) > 5
    with writing(engine) as connection:
        remove(connection, connection.execute(select(tables.files.c.id)).scalars().all())
    assert shelf.ids("删除") == []
    with reading(engine) as connection:
        assert connection.execute(select(tables.search_texts)).all() == []
    assert indexed_words(engine) == []


def test_what_goes_with_its_task_leaves_nothing_either(shelf: Shelf) -> None:
    shelf.put("要过期的话")
    engine = shelf.home.engine
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM tasks"))  # as a program does it that knows nothing of the index
    with reading(engine) as connection:
        assert connection.execute(select(tables.search_texts)).all() == []
    assert indexed_words(engine) == []


@pytest.mark.parametrize("query", ["的", '"one of the"', "a b c d e f g h"])
def test_common_words_are_looked_up_by_the_index(shelf: Shelf, query: str) -> None:
    """PostgreSQL would unpack the words of every recording, which takes a second where the index takes none."""
    if not is_shared(shelf.home.engine):
        pytest.skip("SQLite's MATCH knows no other way")
    for _ in range(20):
        shelf.put("的 one of the a b c d e f g h")
    with writing(shelf.home.engine) as connection:
        connection.execute(text("ANALYZE"))
    plans: list[str] = []

    def explain(connection, cursor, statement, parameters, context, executemany) -> None:
        if statement.startswith("SELECT file_id FROM search_grams"):
            with cursor.connection.cursor() as other:
                plans.extend(row[0] for row in other.execute(f"EXPLAIN {statement}", parameters).fetchall())

    event.listen(shelf.home.engine, "before_cursor_execute", explain)
    assert len(shelf.ids(query)) == 20
    assert any("ix_search_grams" in line for line in plans), plans


@pytest.mark.parametrize("query", ["，。", "  ", '""', "x" * 201, " ".join(f"w{n}" for n in range(17))])
def test_queries_that_cannot_be_are_refused(query: str) -> None:
    with pytest.raises(InvalidParameterError, match=r"^q (has|was)"):
        terms_of(query)
