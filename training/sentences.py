"""Sentences over the vocabulary: templates with slots, and strings of random words.

A template teaches the word order that decides between words of one sound (十 and 时, "two" and "to"); a string of
random words keeps the network listening instead of guessing. Words without an own sound stay out of the strings.
"""

from __future__ import annotations

import re

import numpy as np
from vocabulary import english, mandarin

_SLOT = re.compile(r"<(\w+)>")

ENGLISH_SLOTS = {
    "d": "zero one two three four five six seven eight nine",
    "n": "two three four five six seven eight nine ten eleven twelve twenty",
    "day": "monday tuesday wednesday thursday friday saturday sunday",
    "mon": "january february march april may june july august september october november december",
    "when": "today tomorrow now",
    "part": "morning evening night",
    "who": "alice bob john mary",
    "kin": "mother father sister brother friend teacher doctor student customer",
    "col": "red green blue yellow white black",
    "food": "apple banana orange water coffee bread milk sugar fish",
    "thing": "book letter picture table chair computer phone radio car horse dog cat bird flower report",
    "place": "house kitchen school office hospital city river mountain garden street station market company",
    "adj": "good bad big small hot cold new old happy beautiful important easy late early long",
    "work": "project meeting service system server model report company weather music speech recognition",
    "poss": "my your the",
    "subj": "i you we they",
    "verb": "want need like see buy find",
    "opens": "door window book letter",
    "turns": "radio computer music light phone",
    "sky": "moon rain snow weather tree world train money",
}

ENGLISH_TEMPLATES = """
hello <who>|hello world|good <part> <who>|thank you <who>|yes thank you|no thank you|thank you very much
please open the <opens>|please close the <opens>|open the <opens>|close the <opens>|please turn on the <turns>
turn on the <turns>|please call <who>|call my <kin>|play the music|please stop the <turns>|start the <turns>
please help me with my <work>|read the <opens>|please write your number|listen to the music|listen to <who>
<subj> <verb> the <thing>|<subj> <verb> <poss> <thing>|<subj> <verb> a <adj> <thing>|<subj> <verb> <food> and <food>
<subj> want to buy <food>|<subj> want to see the <sky>|<who> and <who> like <food>|they need <n> <food>
he will come <when>|she will go to the <place> <when>|<who> will come <when>|i will see you on <day>
i will call you tomorrow <part>|we will go to the <place> on <day>|<who> will help you <when>
the <work> is <adj>|the <thing> is very <adj>|<poss> <kin> is <adj>|the <sky> is <adj>|<poss> <thing> is <col>
the <work> is not <adj>|<who> is in the <place>|<poss> <thing> is in the <place>|<poss> <kin> is in the <place>
the <adj> <thing>|a <adj> <place>|the <col> <thing> is <adj>|this is a <adj> <thing>|this is <poss> <kin>
that is not my <thing>|that is a <col> <thing>|what is this|where is the <place>|where is my <thing>|where is <who>
when is the meeting|when will the train come|what time is the meeting|can you see the <thing>|can you help <who>
today is <day>|yesterday was <day>|tomorrow is <day> <mon> <n>|<day> <mon> <n>|<mon> <n>|the meeting is on <day>
my number is <d> <d> <d>|my number is <d> <d> <d> <d> <d>|number <d> <d>|<d> <d> <d>|<d> <d> <d> <d> <d> <d>
call <d> <d> <d> <d>|<n> <thing>|<n> <col> <thing>|the month of <mon>|the weather is <adj> today
the speech recognition <work> is <adj>|alibaba is a big company|<who> was <adj> yesterday|we think the <work> is <adj>
the week was long|one hundred <thing>|send the <opens> to <who>|send the report to my <kin>|find the <thing>
the year was good|wait|one minute please|<who> and my <kin> go to school|they are in the <place>|you are very <adj>
i think he is in the <place>|she was in the <place> yesterday <part>|we are happy to see you|no not now|yes please
"""

MANDARIN_SLOTS = {
    "d": "零 一 二 三 四 五 六 七 八 九",
    "n": "一 三 四 五 六 七 八 九 十 十二 二十 三十",
    "k": "一 二 三 四 五 六",
    "m": "一 二 三 四 五 六 七 八 九 十 十一 十二",
    "when": "今天 明天 昨天 早上 晚上 下午 现在",
    "who": "张三 李四 王五 小明",
    "pro": "我 你 他 我们 你们 他们 大家",
    "kin": "老师 学生 医生 朋友 妈妈 爸爸 哥哥 姐姐 客户",
    "food": "苹果 香蕉 水 茶 咖啡 牛奶 米饭 面包 鱼",
    "thing": "书 桌子 椅子 电脑 手机 汽车 花 狗 猫 鸟 文件 房子",
    "place": "学校 公司 医院 城市 车站 北京 上海 杭州 中国",
    "adj": "好 大 小 新 旧 热 冷 高兴 漂亮 重要 快 慢",
    "col": "红色 绿色 蓝色 黄色 白色 黑色",
    "work": "会议 项目 服务 系统 报告 模型 数据 问题 电话 音乐 实验室",
    "opens": "门 窗户 电脑 手机 文件 书",
    "sky": "天气 太阳 月亮 雨 雪 山 树 火车 飞机 世界 时间",
    "verb": "喜欢 需要 买 看 有",
    "adv": "很 不 都 也 非常",
}

MANDARIN_TEMPLATES = """
你好<who>|你好世界|<who>你好|早上好|<kin>再见|谢谢<kin>|谢谢你们|大家好|欢迎使用语音识别<work>|欢迎<who>
请打开<opens>|请关闭<opens>|打开<opens>|关闭<opens>|播放音乐|停止播放|开始学习|请播放音乐|请开始工作|停止工作
<pro><verb><food>|<pro><verb><thing>|<pro>不喜欢<food>|<pro>也需要<thing>|<who>喜欢<food>和<food>|<pro>喝<food>
<pro>吃<food>|<pro>听音乐|<pro>看书|<pro>去<place>|<pro><when>去<place>|<when><pro>去<place>|<who><when>来<place>
<pro>在<place>工作|<pro>在<place>学习|<who>在<place>|<pro>的<kin>在<place>|<pro>的<thing>在这里|<kin>在<place>
<work><adv><adj>|<thing><adv><adj>|<sky><adv><adj>|<pro>的<thing><adv><adj>|<kin><adv>高兴|<pro><adv>高兴
今天天气很好|<when>天气<adv><adj>|今天是星期<k>|明天是星期<k>|昨天是星期<k>|星期<k>开会议|<m>月<n>号|<m>月<n>号星期<k>
<when><m>点|<n>点开始|我的号码是<d><d><d>|我的电话号码是<d><d><d><d><d>|<d><d><d>|<d><d><d><d><d><d>|号码<d><d>
这里是<place>|这里是阿里巴巴语音实验室|阿里巴巴是大公司|这是什么|那是什么|这是<pro>的<thing>|那是<col>的<thing>
<who>是<kin>|<who>和<who>是朋友|他是<pro>的<kin>|<col>的<thing>|<adj>的<thing>|<n>个苹果|<n>本书|<n>杯<food>|一百个学生
我有<n>个朋友|我们有<n>个问题|我知道|我不知道|我们知道这个问题|他说今天很<adj>|<kin>说<work><adv><adj>|请帮助<who>
请帮助我|语音识别<work><adv><adj>|这个<work><adv><adj>|那个<thing><adv><adj>|<pro>现在在那里|什么时间开始|<m>月很<adj>
二千年|三千<kin>|请说|请听|请喝茶|我来<place>|<who>需要帮助|<kin>的<thing><adv><adj>|<when><kin>来<place>
"""

# Too short, too weak or too like another word to be told apart without a sentence around them.
UNSTRUNG_ENGLISH = "the a is are was i you we he she they my your in on of and to with will can very"
UNSTRUNG_MANDARIN = "的 是 在 和 有 个 本 杯 号 都 也 我 你 他 这 那 李 去 说 月 点 年 雨 鱼 书 树"


def _parse(slots: dict[str, str], templates: str) -> tuple[dict[str, list[str]], list[str]]:
    return {name: words.split() for name, words in slots.items()}, templates.replace("\n", "|").strip("|").split("|")


_GRAMMARS = {
    "en": _parse(ENGLISH_SLOTS, ENGLISH_TEMPLATES),
    "zh": _parse(MANDARIN_SLOTS, MANDARIN_TEMPLATES),
}


def from_template(language: str, chance: np.random.Generator) -> str:
    """Fill a random template; the text is as a synthesizer reads it."""
    slots, templates = _GRAMMARS[language]
    return _SLOT.sub(lambda slot: str(chance.choice(slots[slot[1]])), str(chance.choice(templates)))


def from_words(language: str, chance: np.random.Generator) -> str:
    """String one to six random words together, each word of the vocabulary as likely as any."""
    if language == "en":
        words = [word for word in english() if word not in UNSTRUNG_ENGLISH.split()]
        return " ".join(chance.choice(words, size=chance.integers(1, 7)))
    words = [word for word in mandarin() if word not in UNSTRUNG_MANDARIN.split()]
    return "".join(chance.choice(words, size=chance.integers(1, 6)))


def compose(language: str, chance: np.random.Generator, strung: float = 1 / 3) -> str:
    """Compose one sentence: a string of words with the chance `strung`, otherwise from a template."""
    return from_template(language, chance) if chance.random() < 1 - strung else from_words(language, chance)


def words_of(text: str, language: str) -> list[str]:
    """Split a sentence into what is timed by itself: words of English, characters of Mandarin."""
    return text.split() if language == "en" else list(text)
