"""Writes the handmade test models: tiny graphs in upstream file layouts that decode fixed texts, or lessen noise.

Nothing here is trained. `HANDMADE.md` says which sound and which option gives which text, and what sherpa-onnx was seen
to do with these files. `--check` decodes fixed sounds with every model and compares.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import handmade_check
import handmade_funasr
import handmade_gtcrn
import handmade_punctuation
import handmade_qwen3
import handmade_whisper
import handmade_zipformer

_MODELS: dict[str, Callable[[Path], None]] = {
    "qwen3-asr-tiny": handmade_qwen3.write,
    "funasr-nano-tiny": handmade_funasr.write,
    "whisper-tiny": handmade_whisper.write,
    "transducer-tiny": handmade_zipformer.write_transducer,
    "zipformer-ctc-tiny": handmade_zipformer.write_ctc,
    "punctuation-tiny": handmade_punctuation.write,
    "gtcrn-tiny": handmade_gtcrn.write,
}


def main() -> int:
    """Writes the models, or checks those that are there; the exit status says whether all is as expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).resolve().parent.parent / "tests" / "models"
    parser.add_argument("--folder", type=Path, default=default, help="where the folders of the models lie")
    parser.add_argument("--check", action="store_true", help="decode fixed sounds instead of writing")
    arguments = parser.parse_args()
    if arguments.check:
        return handmade_check.check(arguments.folder)
    for name, write in _MODELS.items():
        folder = arguments.folder / name
        write(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        sys.stdout.write(f"{name}: {size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
