"""For any texts: what holds a query as whole words or characters is found by it, and the marks show that very text."""

from __future__ import annotations

from hypothesis import assume, example, given
from hypothesis import strategies as st

from dashscribe.errors import InvalidParameterError
from dashscribe.search import folding, hits, terms_of
from dashscribe.search.folding import Term, folded_line, grams, pieces

#: Several writings, wide and narrow forms, combining marks, what expands when folded, characters beyond 16 bits.
ALPHABET = (
    "abc ABC ＡＢＣ 123 １２３ éß café ﬁ 汉字漢字，。「」 かなｶﾞーっ 한국어 각 กำลัง हिन्दी Мир ά ㍿ ½ ① 𠮷𠮟 👍🏽 don't "
    "e\u0301 a\u0308 か\u3099 \u200b\t\n-_.,!?\"'\x00"
)
TEXTS = st.text(ALPHABET, max_size=40) | st.text(max_size=20)


def term(text: str) -> Term | None:
    cut = tuple(pieces(text))
    return Term(cut) if cut else None


@given(TEXTS, st.data())
def test_whole_pieces_of_a_text_find_it(text: str, data: st.DataObject) -> None:
    cut = pieces(text)
    assume(cut)
    first = data.draw(st.integers(0, len(cut) - 1))
    last = data.draw(st.integers(first, min(len(cut) - 1, first + 12)))
    begin, end = cut[first].begin, cut[last].end
    wanted = term(text[begin:end])
    assert wanted is not None
    assert wanted.line in folded_line(cut)
    assert set(wanted.grams) <= set(grams(cut))
    shown = [(a, b) for a, b in hits.marks(text, [wanted])]
    assert shown, "what is found is shown"
    units = text.encode("utf-16-le", errors="surrogatepass")
    here = units[2 * shown[0][0] : 2 * shown[0][1]].decode("utf-16-le", errors="surrogatepass")
    assert wanted.line in folded_line(pieces(here))


@given(TEXTS, TEXTS)
def test_grams_never_rule_out_what_the_text_proves_and_single_ones_prove_it(text: str, query: str) -> None:
    wanted = term(query)
    assume(wanted is not None)
    assert wanted is not None
    cut = pieces(text)
    held = wanted.line in folded_line(cut)
    candidate = set(wanted.grams) <= set(grams(cut))
    assert candidate or not held
    if wanted.is_gram:
        assert candidate == held


@given(TEXTS)
@example("ﬁำ")
def test_case_and_width_do_not_count(text: str) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    assert folded_line(pieces(text)) == folded_line(pieces(wide))
    assume("ß" not in text.casefold())
    for other in (text.upper(), text.lower()):
        if other.casefold() == text.casefold():
            assert folded_line(pieces(other)) == folded_line(pieces(text))


@given(TEXTS)
def test_pieces_lie_in_order_within_the_text_and_hold_no_separator(text: str) -> None:
    end = 0
    for piece in pieces(text):
        assert piece.text
        assert 0 <= piece.begin < piece.end <= len(text)
        assert piece.begin >= end or piece.end == end, "only what one character comes to shares its place"
        assert folding.SEPARATOR not in piece.text
        assert "\n" not in piece.text
        end = piece.end


@given(st.text(max_size=300))
def test_any_query_gives_terms_or_is_refused(query: str) -> None:
    try:
        terms = terms_of(query)
    except InvalidParameterError as error:
        assert error.parameter == "q"
    else:
        assert all(term.grams and term.line.strip() for term in terms)
