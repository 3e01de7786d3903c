"""The languages that any model or engine knows: codes, English names, and when two codes mean one language.

OpenAI's answers give a name, its requests a code or a name. The table is that of Whisper (openai/whisper,
``tokenizer.py``) with the two codes that only the service has, fil and ga.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_TABLE = """
    af afrikaans     am amharic       ar arabic        as assamese      az azerbaijani   ba bashkir
    be belarusian    bg bulgarian     bn bengali       bo tibetan       br breton        bs bosnian
    ca catalan       cs czech         cy welsh         da danish        de german        el greek
    en english       es spanish       et estonian      eu basque        fa persian       fi finnish
    fil filipino     fo faroese       fr french        ga irish         gl galician      gu gujarati
    ha hausa         haw hawaiian     he hebrew        hi hindi         hr croatian      ht haitian-creole
    hu hungarian     hy armenian      id indonesian    is icelandic     it italian       ja japanese
    jw javanese      ka georgian      kk kazakh        km khmer         kn kannada       ko korean
    la latin         lb luxembourgish ln lingala       lo lao           lt lithuanian    lv latvian
    mg malagasy      mi maori         mk macedonian    ml malayalam     mn mongolian     mr marathi
    ms malay         mt maltese       my myanmar       ne nepali        nl dutch         nn nynorsk
    no norwegian     oc occitan       pa punjabi       pl polish        ps pashto        pt portuguese
    ro romanian      ru russian       sa sanskrit      sd sindhi        si sinhala       sk slovak
    sl slovenian     sn shona         so somali        sq albanian      sr serbian       su sundanese
    sv swedish       sw swahili       ta tamil         te telugu        tg tajik         th thai
    tk turkmen       tl tagalog       tr turkish       tt tatar         uk ukrainian     ur urdu
    uz uzbek         vi vietnamese    yi yiddish       yo yoruba        yue cantonese    zh chinese
"""
_WORDS = _TABLE.split()

#: By code, as the catalog's models spell them.
NAMES: dict[str, str] = {code: name.replace("-", " ") for code, name in zip(_WORDS[::2], _WORDS[1::2], strict=True)}
#: By name, and by other names that people give.
CODES = {name: code for code, name in NAMES.items()} | {"mandarin": "zh", "burmese": "my", "farsi": "fa"}
#: Other codes of a language: the service's Qwen models say fil, its Fun-ASR models and Whisper tl.
_ALSO = {"fil": "tl", "tl": "fil", "jv": "jw", "nb": "no", "cmn": "zh"}

#: The languages in which numbers can be written as digits, as with the service.
ITN_LANGUAGES = ("zh", "en")
#: The languages in which hotwords are found by their sound, whatever the engine listens for.
HOTWORD_LANGUAGES = ("zh", "en")


def spelled(code: str, known: Collection[str]) -> str:
    """The code as ``known`` has it: without its region (zh-CN), or the other code of that language (fil, tl).

    As it is where ``known`` has neither.
    """
    plain = re.split("[-_]", code)[0]
    return next((form for form in (code, plain, _ALSO.get(plain, "")) if form in known), code)


def have_common(known: Collection[str], codes: Iterable[str]) -> bool:
    """Whether one of these languages is among the known ones."""
    return any(spelled(code, known) in known for code in codes)
