"""The closed vocabulary: English words cut into pieces, Mandarin words of single characters, and the tags.

Owns what may be recognized and under which token number; what is said with it lies in `sentences.py`.
Token 0 is the blank of CTC, as both layouts expect it.
"""

from __future__ import annotations

import functools

# A bar is where a word splits into pieces, roughly at its syllables, so that each piece has a sound of its own.
ENGLISH_WORDS = """
ze|ro one two three four five six sev|en eight nine ten e|lev|en twelve twen|ty hun|dred
mon|day tues|day wednes|day thurs|day fri|day sat|ur|day sun|day
jan|u|ary feb|ru|ary march ap|ril may june ju|ly au|gust sep|temb|er oc|to|ber nov|em|ber de|cem|ber
tod|ay tom|or|row ye|ster|day morn|ing eve|ning night week month year min|ute time now
red green blue yel|low white black
al|ice bob john mary moth|er fath|er sis|ter broth|er friend teach|er doc|tor stu|dent
ap|ple ba|nana or|ange wa|ter cof|fee bread milk sug|ar
house door win|dow kit|chen school off|ice hos|pi|tal cit|y riv|er moun|tain gar|den street sta|tion mar|ket
train car com|pu|ter mu|sic phone ra|di|o book let|ter pic|ture ta|ble chair light
dog cat bird fish horse tree flow|er moon rain snow weath|er world
mon|ey meet|ing num|ber com|pa|ny pro|ject cus|tom|er ser|vice re|port sys|tem ser|ver mod|el speech
rec|og|ni|tion al|i|baba
o|pen close start stop call play turn read write lis|ten want need like see buy send go come find help think
good bad big small hot cold new old hap|py beau|ti|ful im|por|tant eas|y late ear|ly
the a is are was i you we he she they my your in on of and to with will can
me wait long much please thank hel|lo yes no not this that what where when ver|y
"""

MANDARIN_WORDS = """
零 一 二 三 四 五 六 七 八 九 十 百 千
星期 今天 明天 昨天 早上 晚上 下午 现在 月 号 点 年
张三 李四 王五 小明 阿里巴巴 语音 实验室 识别 系统 北京 上海 杭州 中国
我 你 他 我们 你们 他们 大家 这 那 这里 那里 什么
是 有 在 去 来 看 听 说 吃 喝 买 打开 关闭 开始 停止 喜欢 需要 知道 学习 工作 播放 帮助 谢谢 请 欢迎 使用 你好 再见
苹果 香蕉 水 茶 咖啡 牛奶 米饭 面包 房子 门 窗户 学校 公司 医院 城市 车站 火车 汽车 飞机 电脑 手机 电话 号码 音乐 书
桌子 椅子 老师 学生 医生 朋友 妈妈 爸爸 哥哥 姐姐 狗 猫 鸟 鱼 花 树 山 天气 太阳 月亮 雨 雪 世界 时间 问题 会议 项目
客户 服务 报告 模型 数据 文件
好 大 小 新 旧 热 冷 高兴 漂亮 重要 快 慢 红色 绿色 蓝色 黄色 白色 黑色
很 不 都 也 非常 的 和 个 本 杯
"""

LANGUAGES = ("zh", "en", "yue", "ja", "ko", "nospeech")
EMOTIONS = ("HAPPY", "SAD", "ANGRY", "NEUTRAL", "FEARFUL", "DISGUSTED", "SURPRISED", "EMO_UNKNOWN")
EVENTS = ("Speech", "BGM", "Applause", "Laughter", "Cry", "Sneeze", "Breath", "Cough", "Event_UNK")
TEXT_NORMS = ("withitn", "woitn")

WORD_BEGIN = "\u2581"  # SentencePiece's mark of a word's first piece, as SenseVoice's tokens carry it
FULL_STOPS = {"zh": "。", "en": "."}
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve"
DIGITS = {word: str(value) for value, word in enumerate(NUMBERS.split())}


def tag(name: str) -> str:
    """Write a tag the way SenseVoice's token list does."""
    return f"<|{name}|>"


@functools.cache
def english() -> dict[str, tuple[str, ...]]:
    """Map each English word to its pieces; the first carries the mark of a word's beginning."""
    words = {}
    for entry in ENGLISH_WORDS.split():
        first, *rest = entry.split("|")
        words[entry.replace("|", "")] = (WORD_BEGIN + first, *rest)
    return words


@functools.cache
def mandarin() -> dict[str, tuple[str, ...]]:
    """Map each Mandarin word to its characters, which are its tokens."""
    return {word: tuple(word) for word in MANDARIN_WORDS.split()}


@functools.cache
def tokens() -> tuple[str, ...]:
    """List SenseVoice's tokens; a token's place is its number.

    Order: blank and sentence marks, words' pieces of English, characters of Mandarin, digits and full stops that
    only the text normalization writes, tags.
    """
    pieces = dict.fromkeys(piece for word in english().values() for piece in word)
    characters = dict.fromkeys(character for word in mandarin().values() for character in word)
    digits = [WORD_BEGIN + digit for digit in DIGITS.values()]
    tags = [tag(name) for name in LANGUAGES + EMOTIONS + EVENTS + TEXT_NORMS]
    return ("<unk>", "<s>", "</s>", *pieces, *characters, *digits, *FULL_STOPS.values(), *tags)


def spoken_count() -> int:
    """Count the tokens that the network tells apart: those before digits, full stops and tags."""
    return token_ids()[WORD_BEGIN + next(iter(DIGITS.values()))]


@functools.cache
def token_ids() -> dict[str, int]:
    """Map tokens to their numbers."""
    return {token: number for number, token in enumerate(tokens())}


def pieces_of(word: str) -> tuple[str, ...]:
    """Split an English word into its tokens; what is not one is Mandarin, whose characters are tokens."""
    return english().get(word) or tuple(word)


def language_tokens(language: str) -> list[int]:
    """Number the tokens that only this language's text is made of."""
    words = english() if language == "en" else mandarin()
    spoken = {token_ids()[piece] for word in words.values() for piece in word}
    written = [WORD_BEGIN + digit for digit in DIGITS.values()] if language == "en" else []
    return sorted(spoken | {token_ids()[piece] for piece in written})


def paraformer_token(token: str, ends_word: bool) -> str:
    """Rewrite a piece in Paraformer's convention: "@@" at its end joins it with the next."""
    bare = token.removeprefix(WORD_BEGIN)
    return bare if ends_word else bare + "@@"
