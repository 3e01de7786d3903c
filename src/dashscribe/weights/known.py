"""The models that can be pulled by a short name: where they lie, how large they are, under which license.

Names and sizes are from the upstream's pages and scripts (k2-fsa.github.io/sherpa, huggingface.co/csukuangfj); nothing
was downloaded to check them, and no checksum is published, so that the first pull records what it saw and later ones
compare. ``unverified`` says of which part of a row not even a page of the upstream was seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

from dashscribe.errors import WeightsError
from dashscribe.weights.families import FAMILIES, FUNASR_NANO, QWEN3_ASR, SENSEVOICE

#: What stands for a model's own origins in a list of mirrors.
OWN_ORIGINS = "origins"


@dataclass(frozen=True, slots=True)
class License:
    """Terms of a model's weights. ``accept``: somebody has to agree to them, since they are no common free license."""

    name: str
    url: str
    accept: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """One place where a model lies: an archive, a single file or several, at ``base`` joined with each name."""

    base: str
    files: tuple[str, ...]

    @property
    def urls(self) -> tuple[str, ...]:
        """The URL of each file, in the order of ``files``."""
        return tuple(f"{self.base.rstrip('/')}/{name}" for name in self.files)

    @property
    def host(self) -> str:
        """The server's name, for messages."""
        return urlsplit(shown(self.base)).netloc

    @property
    def source(self) -> str:
        """What tells where a model came from: the file's URL, or the folder of several."""
        return shown(self.urls[0] if len(self.files) == 1 else self.base)

    @classmethod
    def at(cls, url: str) -> Origin:
        """The origin of one file by its URL. Raises WeightsError for what is no http or https URL of a file."""
        parts = urlsplit(url)
        base, slash, name = url.rpartition("/")
        is_file = slash and parts.path.strip("/") and _is_plain(file_name(name))
        if parts.scheme not in ("http", "https") or not parts.netloc or not is_file:
            raise WeightsError(
                f"{url!r} is no URL of a model: give http(s)://HOST/…/FILE; for a file on this machine use "
                "`dashscribe models add`"
            )
        return cls(base, (name,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A model that can be pulled. ``origins`` are tried in order; sizes are about right and in bytes, 0 if unknown.

    ``family`` empty means that any is taken; ``languages`` empty means those that the files tell. ``sha256`` holds the
    checksums of an origin's files by name, where one is known.
    """

    name: str
    family: str
    license: License
    origins: tuple[Origin, ...]
    languages: tuple[str, ...] = ()
    size_bytes: int = 0
    unpacked_bytes: int = 0
    sha256: Mapping[str, str] = field(default_factory=dict[str, str])
    unverified: str = ""

    @property
    def title(self) -> str:
        """What it is, in words."""
        family = FAMILIES.get(self.family)
        return family.title if family else "unknown family"


MIT = License("MIT", "https://opensource.org/license/mit")
APACHE = License("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")
FUNASR = License(
    "FunASR Model License 1.1", "https://github.com/modelscope/FunASR/blob/main/MODEL_LICENSE", accept=True
)
UNKNOWN = License("unknown", "", accept=True)
#: No page of the weights was seen that names a license; the sources' page is where to look for one.
UNKNOWN_CED = License("unknown (see CED)", "https://github.com/RicherMans/CED", accept=True)

_RELEASES = "https://github.com/k2-fsa/sherpa-onnx/releases/download"
_HUGGING_FACE = "https://huggingface.co/csukuangfj"


def _release(archive: str, tag: str = "asr-models") -> Origin:
    return Origin(f"{_RELEASES}/{tag}", (archive,))


def _hugging_face(repository: str, *files: str) -> Origin:
    return Origin(f"{_HUGGING_FACE}/{repository}/resolve/main", files)


def _whisper(size: str) -> tuple[Origin, ...]:
    files = (f"{size}-encoder.int8.onnx", f"{size}-decoder.int8.onnx", f"{size}-tokens.txt")
    return (_release(f"sherpa-onnx-whisper-{size}.tar.bz2"), _hugging_face(f"sherpa-onnx-whisper-{size}", *files))


_INT8 = ("model.int8.onnx", "tokens.txt")

KNOWN: dict[str, Known] = {
    known.name: known
    for known in (
        Known(
            name="sensevoice",
            family="sensevoice",
            languages=SENSEVOICE,
            license=FUNASR,
            origins=(
                _release("sherpa-onnx-sense-voice-zh-en-ja-ko-yue-int8-2024-07-17.tar.bz2"),
                _hugging_face("sherpa-onnx-sense-voice-zh-en-ja-ko-yue-2024-07-17", *_INT8),
            ),
            size_bytes=163_000_000,
            unpacked_bytes=240_000_000,
        ),
        Known(  # SenseVoice trained further on 21,800 hours of Cantonese
            name="sensevoice-yue",
            family="sensevoice",
            languages=SENSEVOICE,
            license=FUNASR,
            origins=(
                _release("sherpa-onnx-sense-voice-zh-en-ja-ko-yue-int8-2025-09-09.tar.bz2"),
                _hugging_face("sherpa-onnx-sense-voice-zh-en-ja-ko-yue-int8-2025-09-09", *_INT8),
            ),
            size_bytes=166_000_000,
            unpacked_bytes=240_000_000,
            unverified="the license of the further training",
        ),
        Known(  # the archive holds the float32 graph, too
            name="paraformer-zh",
            family="paraformer",
            languages=("zh", "en"),
            license=FUNASR,
            origins=(
                _release("sherpa-onnx-paraformer-zh-2023-03-28.tar.bz2"),
                _hugging_face("sherpa-onnx-paraformer-zh-2023-03-28", *_INT8),
            ),
            size_bytes=1_000_000_000,
            unpacked_bytes=1_090_000_000,
            unverified="the license: the export's page says MIT, the original weights are under FunASR's",
        ),
        Known(
            name="paraformer-en",
            family="paraformer",
            languages=("en",),
            license=FUNASR,
            origins=(
                _release("sherpa-onnx-paraformer-en-2024-03-09.tar.bz2"),
                _hugging_face("sherpa-onnx-paraformer-en-2024-03-09", *_INT8),
            ),
            size_bytes=1_020_000_000,
            unpacked_bytes=1_100_000_000,
            unverified="the archive's name and the license",
        ),
        Known(
            name="funasr-nano",
            family="funasr-nano",
            languages=FUNASR_NANO,
            license=APACHE,
            origins=(_release("sherpa-onnx-funasr-nano-int8-2025-12-30.tar.bz2"),),
            size_bytes=842_000_000,
            unpacked_bytes=1_020_000_000,
        ),
        Known(
            name="qwen3-asr-0.6b",
            family="qwen3-asr",
            languages=QWEN3_ASR,
            license=APACHE,
            origins=(_release("sherpa-onnx-qwen3-asr-0.6B-int8-2026-03-25.tar.bz2"),),
            size_bytes=879_000_000,
            unpacked_bytes=950_000_000,
        ),
        Known(
            name="whisper-tiny",
            family="whisper",
            license=MIT,
            origins=_whisper("tiny"),
            size_bytes=116_000_000,
            unpacked_bytes=260_000_000,
        ),
        Known(
            name="whisper-small",
            family="whisper",
            license=MIT,
            origins=_whisper("small"),
            size_bytes=640_000_000,
            unpacked_bytes=1_350_000_000,
        ),
        Known(
            name="zipformer-en",
            family="transducer",
            languages=("en",),
            license=APACHE,
            origins=(_release("sherpa-onnx-zipformer-en-2023-06-26.tar.bz2"),),
            size_bytes=308_000_000,
            unpacked_bytes=350_000_000,
            unverified="the license",
        ),
        Known(
            name="zipformer-ctc-zh",
            family="ctc",
            languages=("zh",),
            license=APACHE,
            origins=(_release("sherpa-onnx-zipformer-ctc-zh-int8-2025-07-03.tar.bz2"),),
            size_bytes=302_000_000,
            unpacked_bytes=380_000_000,
            unverified="the license",
        ),
        Known(
            name="silero-vad",
            family="silero-vad",
            license=MIT,
            origins=(_release("silero_vad.onnx"), _hugging_face("vad", "silero_vad.onnx")),
            size_bytes=2_300_000,
        ),
        Known(
            name="ct-punc",
            family="ct-transformer",
            languages=("zh", "en"),
            license=APACHE,
            origins=(
                _release(
                    "sherpa-onnx-punct-ct-transformer-zh-en-vocab272727-2024-04-12-int8.tar.bz2", "punctuation-models"
                ),
            ),
            size_bytes=65_000_000,
            unpacked_bytes=80_000_000,
            unverified="the release's tag and the license",
        ),
        Known(  # the archive holds the int8 graph, too
            name="pyannote-segmentation",
            family="pyannote-segmentation",
            license=MIT,
            origins=(
                _release("sherpa-onnx-pyannote-segmentation-3-0.tar.bz2", "speaker-segmentation-models"),
                _hugging_face("sherpa-onnx-pyannote-segmentation-3-0", "model.onnx"),
            ),
            size_bytes=7_000_000,
            unpacked_bytes=8_000_000,
            unverified="the archive's size",
        ),
        Known(
            name="campplus",
            family="speaker-embedding",
            license=APACHE,
            origins=(_release("3dspeaker_speech_campplus_sv_zh-cn_16k-common.onnx", "speaker-recongition-models"),),
            size_bytes=28_300_000,
            unverified="the license",
        ),
        Known(  # learned from Chinese and English voices
            name="campplus-zh-en",
            family="speaker-embedding",
            license=APACHE,
            origins=(
                _release("3dspeaker_speech_campplus_sv_zh_en_16k-common_advanced.onnx", "speaker-recongition-models"),
            ),
            size_bytes=28_300_000,
            unverified="the license",
        ),
        Known(  # the archive holds both graphs and recordings to try
            name="ced-tiny",
            family="ced-tagging",
            license=UNKNOWN_CED,
            origins=(
                _release("sherpa-onnx-ced-tiny-audio-tagging-2024-04-19.tar.bz2", "audio-tagging-models"),
                Origin(
                    "https://huggingface.co/k2-fsa/sherpa-onnx-ced-tiny-audio-tagging-2024-04-19/resolve/main",
                    ("model.int8.onnx", "class_labels_indices.csv"),
                ),
            ),
            size_bytes=27_000_000,
            unpacked_bytes=35_000_000,
            unverified="the license, the archive's name and its size",
        ),
        Known(
            name="gtcrn",
            family="gtcrn",
            license=MIT,
            origins=(_release("gtcrn_simple.onnx", "speech-enhancement-models"),),
            size_bytes=540_000,
            unverified="the license and the size",
        ),
    )
}


def find_known(name: str, public: Mapping[str, str] | None = None) -> Known:
    """The row of a short name, or of a public model name by way of ``public`` (public name -> short name).

    Raises WeightsError that lists what there is.
    """
    known = KNOWN.get(name) or KNOWN.get((public or {}).get(name, ""))
    if known is None:
        raise WeightsError(
            f"no model is known as {name!r}; known are {', '.join(KNOWN)}. Any other comes with --url URL, or from a "
            "file with `dashscribe models add`"
        )
    return known


def from_url(name: str, url: str) -> Known:
    """A model at a URL that a person gave: what its row says, if it has one, otherwise nothing is known of it.

    Raises WeightsError for a URL that is none.
    """
    origin = Origin.at(url)
    if name in KNOWN:
        return replace(KNOWN[name], origins=(origin,), size_bytes=0, unpacked_bytes=0, sha256={}, unverified="")
    return Known(name=name, family="", license=UNKNOWN, origins=(origin,))


def mirrored(known: Known, mirrors: Sequence[str]) -> tuple[Origin, ...]:
    """Where to pull from: the mirrors in their order, the model's own origins in the place of the word ``origins``.

    A mirror BASE has the files of the model's first origin: BASE/FILE for a single one, else BASE/NAME/FILE. Without
    mirrors the own origins are all. Raises WeightsError for a mirror that is no http or https URL.
    """
    origins: list[Origin] = []
    for mirror in mirrors or (OWN_ORIGINS,):
        if mirror == OWN_ORIGINS:
            origins += known.origins
            continue
        parts = urlsplit(mirror)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise WeightsError(f"mirror {mirror!r}: give http(s)://HOST/PATH, or the word {OWN_ORIGINS}")
        files = tuple(file_name(name) for name in known.origins[0].files)
        origins.append(Origin(mirror if len(files) == 1 else f"{mirror.rstrip('/')}/{known.name}", files))
    return tuple(origins)


def shown(url: str) -> str:
    """A URL without what may be secret in it: a password, a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _is_plain(name: str) -> bool:
    """Whether a file of that name lies in the folder that it is put into."""
    return bool(name) and not name.startswith(".") and "/" not in name and name.isprintable()


def file_name(name: str) -> str:
    """An origin's file as it is called on disk: without a query, escapes undone."""
    return unquote(urlsplit(name).path)


def known_by_file(name: str) -> Known | None:
    """The row whose archive or single file is called so."""
    for known in KNOWN.values():
        if any(origin.files == (name,) for origin in known.origins):
            return known
    return None
