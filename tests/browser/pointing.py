"""Pointing at words, which have no elements of their own in most rows."""

from __future__ import annotations

from playwright.sync_api import Locator

_BOX = """(row, word) => {
  const text = row.querySelector('.said');
  const corner = text.getBoundingClientRect();
  const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const at = node.data.indexOf(word);
    if (at < 0) continue;
    const range = document.createRange();
    range.setStart(node, at);
    range.setEnd(node, at + word.length);
    const { left, top, width, height } = range.getBoundingClientRect();
    return { x: left + width / 2 - corner.left, y: top + height / 2 - corner.top };
  }
  throw new Error(`there is no ${word}`);
}"""


def click_word(row: Locator, word: str) -> None:
    """Click in the middle of a word of a sentence's row."""
    # From the corner of the text: a row may still be moving to its place.
    row.locator(".said").click(position=row.evaluate(_BOX, word))
