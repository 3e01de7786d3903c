"""The FAQ answers every question that the vendor's guides answer, in both languages."""

from __future__ import annotations

import re

import pytest
from blocks import CHECKOUT

#: Every question of the FAQ sections of the vendor's guides (2025 and 2026, Chinese and English), in both languages,
#: and a word that its answer here cannot do without.
ASKED = (
    (
        "如何为 API 提供公网可访问的音频 URL？",
        "How do I provide a publicly accessible audio URL to the API?",
        "DASHSCRIBE_FETCH_ALLOW",
    ),
    (
        "如何检查音频格式是否符合要求？",
        "How do I check whether the audio format meets the requirements?",
        "dashscribe probe",
    ),
    ("如何处理音频以满足模型要求？", "How do I process audio to meet the model requirements?", "ffmpeg"),
    ("如何提升识别准确率？", "How do I improve recognition accuracy?", "hotwords"),
    ("模型限流规则是怎样的？", "What are the rate limits of the models?", "DASHSCRIBE_RATE_LIMITS"),
)


def answers(page: str) -> dict[str, str]:
    """The questions of a page with their answers."""
    parts = re.split(r"^## (.*)\n", (CHECKOUT / "docs" / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(("chinese", "english", "word"), ASKED)
def test_question_of_the_vendor_is_answered(chinese: str, english: str, word: str) -> None:
    for page, question in (("faq.md", english), ("faq.zh.md", chinese)):
        answer = answers(page)[question]
        assert word in answer
        assert len(answer) > 100


def test_the_guides_ask_nothing_else() -> None:
    """Where the guides lie beside the checkout, no question of theirs is missing above."""
    guides = CHECKOUT.parent / "shared" / "guides"
    if not guides.is_dir():
        pytest.skip(f"no guides of the vendor in {guides}")
    found: set[str] = set()
    for path in guides.glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        begin = max(text.rfind("\n常见问题\n"), text.rfind("\nFAQ\n"))
        if begin >= 0:
            found |= set(re.findall(r"^(?:Q[:：] ?|\d+\. )(.*[?？])", text[begin:], re.MULTILINE))
    assert found
    squeezed = {re.sub(r"\s", "", question) for row in ASKED for question in row[:2]}
    assert {re.sub(r"\s", "", question).replace("?", "？") for question in found} <= {
        q.replace("?", "？") for q in squeezed
    }
