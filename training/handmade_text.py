"""The fixed texts, as pieces, and a byte-level BPE that has every piece as one token.

Owns the vocabulary and the tokenizer files of the two language model families. The vocabulary holds all 256 bytes, so
any hotword and any prompt can be encoded, and merges are trained on the pieces until each is whole.
"""

import json
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

# Loudness of the loudest token picks one of three sentences.
SOFT_EN = ["It", " is", " a", " nice", " day", ",", " let", " us", " go", " to", " the", " park", "."]
SOFT_ZH = ["今天", "天气", "不错", "，", "我们", "去", "公园", "吧", "。"]
MEDIUM_EN = ["Hello", " world", ",", " this", " is", " a", " test", "."]
MEDIUM_ZH = ["你好", "世界", "，", "这是", "一个", "测试", "。"]
# Audio of some length gives numbered sentences of five tokens each, so that a cut shows where it fell.
_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_TEENS = ["eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
NUMBERS_EN = [f" {word}" for word in [*_ONES, *_TEENS, "twenty"]]
_DIGITS = "一二三四五六七八九"
NUMBERS_ZH = [*_DIGITS, "十", *("十" + digit for digit in _DIGITS), "二十"]
PASSAGE_EN = [piece for number in NUMBERS_EN for piece in ("This", " is", " sentence", number, ".")]
PASSAGE_EN[5::5] = [" This"] * (len(NUMBERS_EN) - 1)
PASSAGE_ZH = [piece for number in NUMBERS_ZH for piece in ("这是", "第", number, "句", "。")]
# Tones give loops. sherpa-onnx notices those of up to three tokens in Qwen3-ASR, so there are short and longer ones.
LOOP_EN = ["and", " then", ",", " and", " then", ","]
LOOP_ZH = ["然后", "，"]
LONG_LOOP_EN = ["Thank", " you", " for", " watching", ".", " Thank", " you", " for", " watching", "."]
LONG_LOOP_ZH = ["谢谢", "大家", "的", "观看", "。"]

_PROMPT = [
    *("system", "user", "assistant", "language", " English", " Chinese", " None"),
    *("You", " are", " a", " helpful", " assistant", "语音转写", "成", "中文", "英文", "日文", "不进行文本规整"),
    *("请结合上下文信息", "更加准确地完成语音转写任务", "如果没有相关信息", "我们会", "留空", "热词列表", "上下文信息"),
]
HOTWORDS = ("Dashscribe", "通义千问")


def loud(language: str, first: bool, second: bool, spelled: bool) -> list[str]:
    """The sentence of loud audio: its hotwords misheard unless given, its number in digits unless spelled out."""
    name = ["Dashscribe"] if first else ["dash", " scribe"]
    if language == "en":
        number = [" twenty", " five"] if spelled else [" ", "2", "5"]
        spaced = [f" {name[0]}", *name[1:]]
        model = [" 通义千问"] if second else [" tong", " yi"]
        return ["We", " wrote", *number, " subtitles", " with", *spaced, " and", *model, "."]
    number = ["二十", "五"] if spelled else ["2", "5"]
    model = ["通义", "千问"] if second else ["同义", "千问"]
    return ["我们", "用", *name, "和", *model, "写了", *number, "条", "字幕", "。"]


def corpus() -> list[str]:
    """Every piece a model emits or a prompt holds, in a fixed order."""
    pieces = [*_PROMPT, *HOTWORDS, *(f" {word}" for word in HOTWORDS)]
    for sentence in (SOFT_EN, SOFT_ZH, MEDIUM_EN, MEDIUM_ZH, PASSAGE_EN, PASSAGE_ZH):
        pieces += sentence
    for sentence in (LOOP_EN, LOOP_ZH, LONG_LOOP_EN, LONG_LOOP_ZH):
        pieces += sentence
    for language in ("en", "zh"):
        for bits in range(8):
            pieces += loud(language, bool(bits & 1), bool(bits & 2), bool(bits & 4))
    return list(dict.fromkeys(pieces))


def byte_alphabet() -> list[str]:
    """The printable character that stands for each byte in a byte-level BPE."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def _join(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """Replaces every occurrence of a pair, from the left."""
    joined: list[str] = []
    for symbol in symbols:
        if joined and (joined[-1], symbol) == pair:
            joined[-1] += symbol
        else:
            joined.append(symbol)
    return joined


def train_merges(words: list[str]) -> list[tuple[str, str]]:
    """Merges, most frequent pair first, until every word is one symbol; characters come before anything longer."""
    alphabet = byte_alphabet()
    merges: list[tuple[str, str]] = []
    characters = sorted({character for word in words for character in word})
    for parts in (characters, words):
        split = [[alphabet[byte] for byte in part.encode()] for part in parts]
        for pair in merges:
            split = [_join(symbols, pair) for symbols in split]
        while any(len(symbols) > 1 for symbols in split):
            pairs = Counter(pair for symbols in split for pair in pairwise(symbols))
            best = max(pairs, key=lambda pair: (pairs[pair], pair))
            merges.append(best)
            split = [_join(symbols, best) for symbols in split]
    return merges


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Token ids by their byte-level text, the merges behind them, and the special tokens after them."""

    ids: dict[str, int]
    merges: list[tuple[str, str]]
    specials: dict[str, int]

    @property
    def size(self) -> int:
        """Number of tokens, which is the width of the logits."""
        return len(self.ids) + len(self.specials)

    def of(self, piece: str) -> int:
        """The id of a piece, or of a special token."""
        if piece in self.specials:
            return self.specials[piece]
        alphabet = byte_alphabet()
        return self.ids["".join(alphabet[byte] for byte in piece.encode())]

    def bytes_of(self, piece: str) -> list[int]:
        """The ids of the single bytes of a piece: what a rare character costs a real tokenizer."""
        alphabet = byte_alphabet()
        return [self.ids[alphabet[byte]] for byte in piece.encode()]


def vocabulary(specials: list[str]) -> Vocabulary:
    """Builds the vocabulary; ids run bytes, merges, specials, as in the tokenizers it stands in for."""
    merges = train_merges(corpus())
    ids: dict[str, int] = {}
    for symbol in [*byte_alphabet(), *(left + right for left, right in merges)]:
        ids.setdefault(symbol, len(ids))
    return Vocabulary(ids, merges, {token: len(ids) + index for index, token in enumerate(specials)})


def _dump(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def write_bpe(folder: Path, vocab: Vocabulary) -> None:
    """Writes vocab.json and merges.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    _dump(folder / "vocab.json", vocab.ids)
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in vocab.merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _added(content: str) -> dict[str, object]:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {"content": content, **flags, "special": content.startswith("<|")}


def write_tokenizer_config(folder: Path, vocab: Vocabulary) -> None:
    """Writes tokenizer_config.json, where the special tokens of Qwen3-ASR are read from."""
    decoder = {str(index): _added(token) for token, index in vocab.specials.items()}
    config = {"added_tokens_decoder": decoder, "eos_token": "<|im_end|>", "tokenizer_class": "Qwen2Tokenizer"}
    _dump(folder / "tokenizer_config.json", config)


def write_tokenizer_json(folder: Path, vocab: Vocabulary) -> None:
    """Writes tokenizer.json, of which sherpa-onnx reads the added tokens of Fun-ASR-Nano and nothing else."""
    added = [{"id": index, **_added(token)} for token, index in vocab.specials.items()]
    model = {"type": "BPE", "vocab": vocab.ids, "merges": [list(pair) for pair in vocab.merges]}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    _dump(folder / "tokenizer.json", {"version": "1.0", "added_tokens": added, "decoder": byte_level, "model": model})
