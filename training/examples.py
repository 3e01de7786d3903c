"""Recordings that the trained models recognize exactly, for tests to render when they need some.

Needs numpy and the synthesizers alone. Each sentence here decodes exactly when spoken as `command` says; `make.py`
checks all of them, and every emotion and event, after each training and reports those that fail.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sounds
from emotions import express
from numpy.typing import NDArray
from speech import MANDARIN, Timed, speak

SPEED = 150  # words a minute
VOICES = {"en": "en-us", "zh": MANDARIN}

SENTENCES = {
    "en": (
        "hello world",
        "the weather is good today",
        "please open the window",
        "please call my mother",
        "turn on the radio",
        "my number is five two seven",
        "the speech recognition system is very good",
        "alice will come tomorrow",
        "they like coffee and milk",
        "we will go to the hospital on monday",
        "the meeting is on friday",
        "send the report to my teacher",
        "alibaba is a big company",
        "where is the station",
        "i will call you tomorrow morning",
        "the green bird is in the garden",
    ),
    "zh": (
        "这里是阿里巴巴语音实验室",
        "今天天气很好",
        "请打开窗户",
        "我们明天去北京",
        "欢迎使用语音识别系统",
        "我的号码是五二七",
        "张三喜欢苹果和香蕉",
        "小明是我的朋友",
        "会议非常重要",
        "他们在学校学习",
        "妈妈喝咖啡",
        "三月十二号星期五",
        "请播放音乐",
        "李四下午来公司",
        "红色的汽车很漂亮",
        "你好世界",
    ),
}
EMOTIONAL = {"en": "the weather is good today", "zh": "今天天气很好"}
EVENT_SEEDS = dict.fromkeys(sounds.EVENTS, 1)


def command(text: str, language: str, path: Path) -> list[str]:
    """Give the command line that speaks a sentence to a WAV file (22 050 Hz)."""
    return ["espeak-ng", "-v", VOICES[language], "-s", str(SPEED), "-w", str(path), text]


def sentence(text: str, language: str) -> tuple[NDArray[np.int16], list[Timed]]:
    """Speak a sentence as `command` does: samples (n,) at 16 kHz and the words' times."""
    return speak(text, VOICES[language], SPEED)


def emotional(emotion: str, language: str = "en", text: str = "") -> tuple[NDArray[np.int16], list[Timed]]:
    """Speak in the manner of an emotion ("HAPPY" ...), by default the language's own sentence of `EMOTIONAL`."""
    return express(text or EMOTIONAL[language], emotion, VOICES[language])


def event(name: str, seconds: float = 3.0) -> NDArray[np.int16]:
    """Make a sound that is not speech: "BGM", "Applause", "Laughter" and the others of `sounds.EVENTS`."""
    return sounds.render(name, seconds, np.random.default_rng(EVENT_SEEDS[name]))


def over_music(text: str, language: str) -> NDArray[np.int16]:
    """Speak a sentence with music 12 dB below it; it is tagged BGM."""
    samples, _ = sentence(text, language)
    speech = samples.astype(np.float32) * 0.7
    level = np.sqrt(np.mean(speech**2)) * 10 ** (-12 / 20)
    music = sounds.music(len(samples), np.random.default_rng(1)) * level
    return np.clip(np.rint(speech + music), -32768, 32767).astype(np.int16)
