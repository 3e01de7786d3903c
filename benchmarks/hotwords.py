"""What a hotword list does: terms found, terms made up, time taken.

    python benchmarks/hotwords.py [--audio DIR] [--weight 4] [--guide FILE]
        [--only chosen,held-out,fresh,context,unrelated,chinese,speed]

English is measured: four voices of flite read sentences with rare terms, the embedded engine writes down what it hears,
without the list and with it among its words, and the list corrects both. False insertions are counted in recordings of
people in which nobody says any of the terms, with the same list and with the names of the world's time zones, and in
recordings without speech. Chinese is a
SIMULATION, since no engine with weights is at hand: sentences whose terms, and as many characters elsewhere, were
replaced by others of the same sound or of one that is easily confused.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
import wave
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import soxr

from common import CHECKOUT, machine, table
from dashscribe.config import load as load_settings
from dashscribe.decode import Decoder
from dashscribe.engines.pocketsphinx import PocketsphinxEngine
from dashscribe.enrich.bias import Bias
from dashscribe.enrich.bias.context import context_hotwords
from dashscribe.enrich.bias.lexicon import common_english, readings
from dashscribe.segment import Segmenter
from dashscribe.types import RATE_HZ, Hotword, Limits, Options, Sentence, Waveform, Word

VOICES = ("rms", "kal16", "slt", "awb")
#: The term of each sentence stands between bars. How near is near enough was chosen on these sentences.
ENGLISH = """
the old |Kestrel Bridge| was closed after the storm
please deploy the service with |Kubernetes| tomorrow morning
doctor |Abernathy| spoke about the new method for half an hour
the best model was |Paraformer| for all of us
we met miss |Okonkwo| at the harbor last week
the patient was given |Metoprolol| for two months
they said that |Atorvastatin| lowers the risk of a stroke
our office uses |Postgres| for all the records
she opened |Grafana| and looked at the numbers
mister |Vandersloot| moved to the city last year
the |DashScribe| server sends a letter to every client
professor |Kowalczyk| explained the numbers to the students
the ferry to |Lofoten| leaves from the harbor at noon
we flew to |Tromso| in the middle of the winter
the village of |Ushuaia| lies at the end of the world
my neighbor |Siobhan| plays the piano every evening
the company |Sennheiser| makes microphones for radio stations
the doctors found |Clostridium| in the water
the museum shows a picture by |Caravaggio| this month
they found a |Velociraptor| in the desert
the river |Orinoco| runs through the forest
we drove from |Llandudno| to the sea in one day
the minister met |Erdogan| in the capital on monday
her cousin |Thaddeus| built a boat in the garden
the children read about |Nebuchadnezzar| in school
the lake of |Titicaca| lies high in the mountains
the island of |Madagascar| has many strange animals
our team won the game in |Saskatoon| on sunday
the book about |Wittgenstein| is on the table
the engineers use |Terraform| to build the network
he gave a talk on |ElasticSearch| for the whole company
the soup needs more |Cardamom| and a little salt
she wrote a paper on |Mitochondria| for the journal
we watched the |WaveNet| model read the news
the new |PostMaster| program sorts every letter
the |BlueHarbor| company sells fish in the whole country
"""
#: And on none of these, though figures for them were looked at while the corrector was made.
HELD_OUT = """
the mayor of |Reykjanes| spoke to the people
please restart |Zookeeper| before the meeting
doctor |Rasmussen| will see you in an hour
the patient takes |Omeprazole| every morning
we drove through |Albuquerque| in the rain
the painter |Modigliani| lived in the city
they study |Photosynthesis| in the garden
our cluster runs |Cassandra| on ten machines
mister |Featherstone| sold the house last year
the river |Zambezi| is long and wide
my uncle |Bartholomew| works at the station
the volcano |Popocatepetl| is near the capital
she bought a |Lamborghini| for her brother
the island of |Zanzibar| is warm in winter
he read a book by |Dostoyevsky| on the train
the company |Volkswagen| builds cars for families
the queen met |Wickremesinghe| on friday
we cook with |Oregano| and a little oil
the server runs |Prometheus| and sends a report
professor |Papadopoulos| gave us a book
"""
#: Written down before hotwords became words of the engine, and heard once, after all was chosen.
FRESH = """
the tunnel under |Gibraltar Rock| was never finished
we asked |Ingeborg| for the key of the garden
doctor |Venkataraman| looked at the results again
the children are allergic to |Amoxicillin| and milk
they keep all the messages in |RabbitMQ| for a week
the train stops in |Vladivostok| at midnight
our lawyer is mister |Fitzwilliam| from the second floor
the shop sells |Sriracha| and fresh bread
a storm destroyed the bridge at |Kirkcudbright| last winter
the pilot came from |Reykjavik| with two friends
she sings a song by |Rachmaninoff| every sunday
the new version of |Elixir Forge| is faster than the old one
the director of |Zeppelin Works| gave a short speech
they climbed |Kilimanjaro| without any help
the test was written in |Haskell| by a student
my aunt bought a |Stradivarius| at the market
we read a letter from |Copernicus| in the museum
nobody knows where |Shackleton| left the boat
the farmers grow |Quinoa| in the valley
the company moved its data to |Snowflake Lake| last month
a man called |Mukherjee| answered the phone
the patient needs |Ibuprofen| after the operation
the guide told us about |Machu Picchu| on the first day
the price of |Palladium| has gone up again
"""
CHINESE = """
我们下周要去|海拉尔|开会
请联系|王晓明|确认时间
|通义千问|的新版本已经发布
这个模型叫|帕拉弗玛|效果很好
项目部署在|钉钉宜搭|平台上
患者服用|阿托伐他汀|两个月了
合同由|欧阳修文|负责签字
他在|鄂尔多斯|工作了三年
数据保存在|云效流水线|里面
会议由|李梓涵|主持
货物从|张家港|发出
|达摩院|发布了新的报告
客户是|蚂蚁森林|的志愿者
参考|霍尔木兹海峡|的新闻
病人得了|克罗恩病|需要治疗
昨天|林书豪|参加了比赛
我在|呼和浩特|的酒店里
申请|知乎盐选|的会员
文件交给|赵子轩|审核
他喜欢听|周杰伦|的歌
"""
CONFUSED = {"z": "zh", "c": "ch", "s": "sh", "zh": "z", "ch": "c", "sh": "s", "n": "l", "l": "n", "f": "h", "h": "f"}
CONFUSED_FINALS = {"an": "ang", "en": "eng", "in": "ing", "ang": "an", "eng": "en", "ing": "in"}


def parted(lines: str) -> list[tuple[str, str]]:
    """Each sentence without its bars, and its term."""
    return [(line.replace("|", ""), line.split("|")[1]) for line in lines.strip().splitlines()]


def spelled(text: str) -> str:
    return " ".join(re.sub(r"[^\w ]", " ", text).split())


def engine_hears(engine: PocketsphinxEngine, samples: np.ndarray, options: Options) -> list[Sentence]:
    segmenter = Segmenter(Limits())
    pieces = segmenter.feed(samples) + segmenter.finish()
    return [sentence for outcome in engine.recognize(pieces, options) for sentence in outcome.sentences]


def read_aloud(text: str, voice: str, folder: Path) -> np.ndarray:
    path = folder / "said.wav"
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", path], check=True)
    with wave.open(str(path)) as file:
        samples, rate_hz = np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate()
    return soxr.resample(samples, rate_hz, RATE_HZ) if rate_hz != RATE_HZ else samples


def texts(sentences: Iterable[Sentence]) -> str:
    return spelled(" ".join(sentence.text for sentence in sentences))


def listed(terms: Iterable[str], weight: int) -> Options:
    return Options(hotwords=tuple(Hotword(term, weight) for term in terms))


def terms_in(lines: str) -> list[str]:
    return list(dict.fromkeys(term for _, term in parted(lines)))


def recall(engine: PocketsphinxEngine, title: str, lines: str, weight: int) -> None:
    """How many of the terms are written without a list and with it: corrected only, heard only, heard and corrected."""
    terms = terms_in(lines)
    options = listed(terms, weight)
    found: dict[str, list[int]] = defaultdict(lambda: [0] * 6)
    with tempfile.TemporaryDirectory() as folder:
        for text, term in parted(lines):
            for voice in VOICES:
                piece = Waveform(read_aloud(text, voice, Path(folder)), 0)
                (without,), (with_list,) = engine.recognize([piece], Options()), engine.recognize([piece], options)
                after = texts(Bias(options).correct(with_list.sentences))
                row = found[voice]
                row[0] += 1
                row[1] += spelled(term).lower() in texts(without.sentences).lower()
                row[2] += spelled(term) in texts(Bias(options).correct(without.sentences))
                row[3] += spelled(term) in texts(with_list.sentences)
                row[4] += spelled(term) in after
                row[5] += sum(spelled(other) in after for other in terms if spelled(other) not in spelled(text))
    rows = [(voice, *row) for voice, row in found.items()]
    rows.append(("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    shown = [
        (voice, n, *(f"{100 * some / n:.0f} %" for some in recalls), f"{100 * (recalls[-1] - recalls[0]) / n:+.0f}", w)
        for voice, n, *recalls, w in rows
    ]
    print(f"English, {title}: {len(terms)} rare terms of weight {weight}, pocketsphinx hearing flite")
    head = ("voice", "terms said", "no list", "corrected only", "heard only", "both", "points", "wrong term")
    print(table(head, shown), "\n", flush=True)


def unrelated(engine: PocketsphinxEngine, audio: Path, weight: int) -> None:
    """Terms made up where nobody says them."""
    zones = {zone.rpartition("/")[2].replace("_", " ") for zone in zoneinfo.available_timezones() if "/" in zone}
    zones = {zone for zone in zones if zone.replace(" ", "").isalpha() and zone.lower() not in common_english()}
    lists = {
        "the same terms": [term for lines in (ENGLISH, HELD_OUT, FRESH) for term in terms_in(lines)],
        "names of time zones": sorted(zones),
    }
    for language, title in (("none", "recordings without speech"), ("en", "speech of people")):
        sounds = list(recorded(audio, language))
        minutes = sum(map(len, sounds)) / RATE_HZ / 60
        rows: list[tuple[object, ...]] = []
        for name, terms in lists.items():
            options = listed(terms, weight)
            heard = [sentence for samples in sounds for sentence in engine_hears(engine, samples, options)]
            made_up = [occurrences(terms, some) for some in (heard, Bias(options).correct(heard))]
            words = sum(len(sentence.words) for sentence in heard)
            rows.append((name, len(terms), words, *made_up, f"{made_up[1] / minutes * 10:.2f}"))
        print(f"{title}: {minutes:.1f} minutes")
        head = ("list", "terms", "words heard", "terms made up by the engine", "and corrected", "in 10 minutes")
        print(table(head, rows), "\n", flush=True)


def occurrences(terms: Iterable[str], sentences: Iterable[Sentence]) -> int:
    text = f" {texts(sentences)} "
    return sum(text.count(f" {term} ") for term in terms)


FORMS = ("commas", "spaces", "a list as in Python", "a passage", "a passage and names")
#: Terms that are heard as other words of the very sound: the only thing that a context changes behind this engine.
ALIKE = """
Bulj Bracket bulge bracket
Katharine Greene katherine green
Mitchel Reid mitchell reed
Sara Philips sarah phillips
Alan Clarke allen clark
Bryan Stewart brian stuart
Erik Karlsson eric carlson
Geoffrey Leigh jeffrey lee
Lynn Fischer lin fisher
Stephen Wright steven right
"""


def in_form(form: str, terms: Sequence[str], names: Sequence[str]) -> str:
    """A context that mentions the terms."""
    passage = " ".join(f"Later in this talk we hear about {term}, and what became of it." for term in terms)
    return {
        "commas": ", ".join(terms),
        "spaces": " ".join(terms),
        "a list as in Python": repr(list(terms)),
        "a passage": passage,
        "a passage and names": f"{passage} {', '.join(names)}",
    }[form]


def names_of(guide: Path, draw: random.Random, count: int) -> list[str]:
    """The names in the guide's example, if it is there, and random ones of the same kind."""
    text = guide.read_text(encoding="utf-8") if guide.is_file() else ""
    found = re.findall(r"\b[A-Z][a-z]+ [A-Z][a-z]+(?=, [A-Z][a-z]+ [A-Z][a-z]+,)", text)
    begins, ends = "b ch d f g h j l m n p q r sh t w x y z zh", "a ai an ang e en i in u"
    syllables = [begin + end for begin in begins.split(" ") for end in ends.split(" ")]
    made = (f"{draw.choice(syllables)} {draw.choice(syllables)}{draw.choice(syllables)}".title() for _ in range(count))
    return [*dict.fromkeys(found), *made]


def context(engine: PocketsphinxEngine, audio: Path, guide: Path) -> None:
    """What a context finds in each of the documented forms, and what a name list does to speech without the names."""
    draw = random.Random(20_260_102)
    names = names_of(guide, draw, 5_000)
    terms = [term for lines in (ENGLISH, HELD_OUT, FRESH) for term in terms_in(lines)]
    pairs = [re.split(r" (?=[a-z])", line, maxsplit=1) for line in ALIKE.strip().splitlines()]
    heard: list[tuple[str, Sequence[Sentence]]] = []
    with tempfile.TemporaryDirectory() as folder:
        for text, term in (row for lines in (ENGLISH, HELD_OUT, FRESH) for row in parted(lines)):
            (outcome,) = engine.recognize([Waveform(read_aloud(text, "rms", Path(folder)), 0)], Options())
            heard.append((term, outcome.sentences))
    rows: list[tuple[object, ...]] = []
    for form in FORMS:
        drawn = {word.text for word in context_hotwords(in_form(form, terms, names[:60]))}
        real = Bias(Options(context=in_form(form, terms, names[:60])))
        found = sum(spelled(term).lower() in texts(real.correct(sentences)).lower() for term, sentences in heard)
        alike = Bias(Options(context=in_form(form, [term for term, _ in pairs], names[:60])))
        right = sum(spelled(term) in texts(alike.correct([said(f"we met {words} again")])) for term, words in pairs)
        rows.append(
            (
                form,
                f"{len(drawn & set(terms))} of {len(terms)}",
                f"{found / len(heard):.0%}",
                f"{right} of {len(pairs)}",
            )
        )
    before = sum(spelled(term).lower() in texts(sentences).lower() for term, sentences in heard)
    print(f"context, {len(heard)} sentences with a term, of which {before / len(heard):.0%} are heard without any")
    print(table(("form", "terms drawn", "found", "of SIMULATED homophones"), rows), "\n", flush=True)
    many_names(engine, audio, names)


def many_names(engine: PocketsphinxEngine, audio: Path, names: Sequence[str]) -> None:
    """Word errors with a list of names that nobody says, and how many of them are made up."""
    bias = Bias(Options(context=", ".join(names)))
    minutes, without, with_names = 0.0, list[str](), list[str]()
    texts_said: list[str] = []
    for text, samples in [*transcribed(audio), *unrelated_texts()]:
        minutes += len(samples) / RATE_HZ / 60
        sentences = engine_hears(engine, samples, Options())
        texts_said.append(spelled(text).lower())
        without.append(texts(sentences).lower())
        with_names.append(texts(bias.correct(sentences)).lower())
    errors = [100 * jiwer.wer(texts_said, some) for some in (without, with_names)]
    print(f"context of {len(names)} names, {minutes:.1f} minutes in which nobody says any (people, and flite reading)")
    row = (f"{errors[0]:.2f} %", f"{errors[1]:.2f} %", f"{errors[1] - errors[0]:+.2f}", bias.corrected)
    print(table(("word errors without", "with", "points", "names made up"), [row]), "\n", flush=True)


def transcribed(audio: Path) -> Iterator[tuple[str, np.ndarray]]:
    """English recordings of one channel with what is said in them."""
    for row in json.loads((audio / "manifest.json").read_text(encoding="utf-8")):
        if row["language"] == "en" and row.get("transcript") and not row["file"].endswith(".raw"):
            decoder = Decoder(audio / row["file"], url=row["file"], channels=(0,), stretch=None)
            yield row["transcript"], np.concatenate(list(decoder), axis=1)[0]


def unrelated_texts() -> Iterator[tuple[str, np.ndarray]]:
    """The sentences without their terms, read one after another: some seven minutes."""
    with tempfile.TemporaryDirectory() as folder:
        for voice in ("rms", "slt"):
            for lines in (ENGLISH, HELD_OUT, FRESH):
                text = ". ".join(
                    line.replace(f"|{term}|", "it")
                    for line, term in zip(lines.strip().splitlines(), terms_in(lines), strict=True)
                )
                yield text, read_aloud(text, voice, Path(folder))


def said(text: str) -> Sentence:
    """A sentence of words of 300 ms each."""
    words = tuple(Word(at * 300, at * 300 + 300, f"{word} ") for at, word in enumerate(text.split()))
    return Sentence(
        begin_ms=0, end_ms=len(words) * 300, text="".join(word.text for word in words), words=words, language="en"
    )


def recorded(audio: Path, language: str) -> Iterator[np.ndarray]:
    """The channels of the recordings in a language."""
    for row in json.loads((audio / "manifest.json").read_text(encoding="utf-8")):
        if row["language"] == language and not row["file"].endswith(".raw"):
            channels = range(len(row.get("channel_transcripts") or [0]))
            decoder = Decoder(audio / row["file"], url=row["file"], channels=channels, stretch=None)
            yield from np.concatenate(list(decoder), axis=1)


def sounding_like(character: str, pool: dict[tuple[str, str], list[str]], draw: random.Random, slip: float) -> str:
    """Another character of the same sound; with chance ``slip`` of one that is easily confused with it."""
    initial, final, _ = readings(character)[0]
    if draw.random() < slip:
        initial, final = draw.choice(
            ((CONFUSED.get(initial, initial), final), (initial, CONFUSED_FINALS.get(final, final)))
        )
    same = [other for other in pool.get((initial, final), ()) if other != character]
    return draw.choice(same) if same else character


def han_sentence(text: str) -> Sentence:
    words = tuple(Word(at * 200, at * 200 + 200, character) for at, character in enumerate(text))
    return Sentence(begin_ms=0, end_ms=200 * len(text), text=text, words=words, language="zh")


def chinese(weight: int) -> None:
    """A simulation: hypotheses with seeded errors."""
    draw = random.Random(20_260_101)
    lines = parted(CHINESE)
    terms = [term for _, term in lines]
    pool: dict[tuple[str, str], list[str]] = defaultdict(list)
    for code in range(0x4E00, 0x9FA6):
        if chr(code).encode("gb2312", "ignore"):  # characters that an engine would write
            for initial, final, _ in readings(chr(code))[:1]:
                pool[initial, final].append(chr(code))
    rows: list[tuple[object, ...]] = []
    for slip in (0.0, 0.1, 0.2, 0.4):
        said = without = with_list = wrong = 0
        for _ in range(50):
            for text, term in lines:
                at = text.index(term)
                body = [c if draw.random() > 0.05 else sounding_like(c, pool, draw, slip) for c in text]
                count = draw.randint(1, len(term))
                for place in draw.sample(range(at, at + len(term)), count):
                    body[place] = sounding_like(text[place], pool, draw, slip)
                (after,) = Bias(listed(terms, weight)).correct([han_sentence("".join(body))])
                said += 1
                without += term in "".join(body)
                with_list += term in after.text
                wrong += sum(other in after.text for other in terms if other != term)
        rows.append(
            (f"{slip:.0%}", said, f"{100 * without / said:.0f} %", f"{100 * with_list / said:.0f} %",
             f"{100 * (with_list - without) / said:+.0f}", wrong)
        )  # fmt: skip
    print(f"Chinese, SIMULATED homophone errors in {len(terms)} terms of weight {weight}")
    print(table(("confused sounds", "terms said", "recall without", "recall with", "points", "wrong term"), rows), "\n")


def speed() -> None:
    """2,000 terms against 12 hours of text, from a sample of it."""
    draw = random.Random(1)
    english_words = sorted(common_english())
    listed = sorted({word for word in english_words if len(word) > 5})
    en = [Hotword(" ".join(draw.sample(listed, 2)), draw.choice((3, 4, 5))) for _ in range(2_000)]
    han = [chr(code) for code in range(0x4E00, 0x9FA6) if chr(code).encode("gb2312", "ignore")]
    zh = [Hotword("".join(draw.sample(han, draw.randint(2, 6))), draw.choice((3, 4, 5))) for _ in range(2_000)]
    rows: list[tuple[object, ...]] = []
    for name, hotwords, sentences, hours in (
        ("English, 9,000 words an hour", en, list(english_text(draw, english_words, 9_000)), 1),
        (
            "Chinese, 15,000 characters an hour",
            zh,
            [han_sentence("".join(draw.choices(han, k=20))) for _ in range(750)],
            1,
        ),
    ):
        started = time.perf_counter()
        one = Bias(Options(hotwords=tuple(hotwords)))
        built = time.perf_counter()
        list(one.correct(sentences))
        taken = time.perf_counter() - built
        rows.append(
            (name, len(hotwords), f"{built - started:.2f} s", f"{12 * taken / hours:.0f} s", f"{taken / 3600:.2%}")
        )
    print(table(("text", "terms", "to build", "for 12 hours", "of its time"), rows))


def english_text(draw: random.Random, words: Sequence[str], count: int) -> Iterator[Sentence]:
    for _ in range(count // 20):
        some = [f"{word} " for word in draw.choices(words, k=20)]
        timed = tuple(Word(at * 350, at * 350 + 340, word) for at, word in enumerate(some))
        last = replace(timed[-1], text=timed[-1].text.rstrip())
        yield Sentence(begin_ms=0, end_ms=7_000, text="".join(some).rstrip(), words=(*timed[:-1], last), language="en")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = os.environ.get("AUDIO_DIR") or CHECKOUT.parent / "shared" / "audio"
    parser.add_argument("--audio", type=Path, default=default, help="folder with manifest.json (default: %(default)s)")
    parser.add_argument("--weight", type=int, default=4)
    parser.add_argument("--only", default="chosen,held-out,fresh,context,unrelated,chinese,speed")
    guides = sorted((CHECKOUT.parent / "shared" / "guides").glob("002_*.txt"))
    parser.add_argument("--guide", type=Path, default=guides[0] if guides else "-", help="text with a list of names")
    given = parser.parse_args()
    print(machine(), "\n")
    sets = {"chosen": ENGLISH, "held-out": HELD_OUT, "fresh": FRESH}
    engine = PocketsphinxEngine(load_settings())
    for title, lines in sets.items():
        if title in given.only:
            if shutil.which("flite") is None:
                parser.error("flite is not installed (Debian: apt-get install flite)")
            recall(engine, title, lines, given.weight)
    if "context" in given.only:
        context(engine, given.audio, given.guide)
    if "unrelated" in given.only:
        unrelated(engine, given.audio, given.weight)
    if "chinese" in given.only:
        chinese(given.weight)
    if "speed" in given.only:
        speed()


if __name__ == "__main__":
    main()
