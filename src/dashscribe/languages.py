"""English names of the languages that any model knows: OpenAI's answers give a name, its requests a code or a name."""

from __future__ import annotations

_TABLE = """
    ar arabic      az azerbaijani  bg bulgarian   bn bengali     ca catalan     cs czech       da danish
    de german      el greek        en english     es spanish     et estonian    fa persian     fi finnish
    fil filipino   fr french       ga irish       ha hausa       he hebrew      hi hindi       hr croatian
    hu hungarian   id indonesian   is icelandic   it italian     ja japanese    jw javanese    km khmer
    kn kannada     ko korean       lo lao         lt lithuanian  lv latvian     ml malayalam   mn mongolian
    mr marathi     ms malay        mt maltese     my myanmar     ne nepali      nl dutch       no norwegian
    pa punjabi     pl polish       pt portuguese  ro romanian    ru russian     si sinhala     sk slovak
    sl slovenian   sv swedish      sw swahili     ta tamil       te telugu      th thai        tl tagalog
    tr turkish     uk ukrainian    ur urdu        uz uzbek       vi vietnamese  yue cantonese  zh chinese
"""
_WORDS = _TABLE.split()

#: By code, as the catalog's models spell them.
NAMES: dict[str, str] = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
#: By name, and by other names that people give.
CODES = {name: code for code, name in NAMES.items()} | {"mandarin": "zh", "burmese": "my", "farsi": "fa"}

#: The languages in which numbers can be written as digits, as with the service.
ITN_LANGUAGES = ("zh", "en")
#: The languages in which hotwords are found by their sound, whatever the engine listens for.
HOTWORD_LANGUAGES = ("zh", "en")
