"""Coverage-guided fuzzing of `inspect_image` and `decode`, by hand: atheris is no dependency of nevus.

    python -m venv /tmp/atheris && /tmp/atheris/bin/pip install atheris
    PYTHONPATH=.venv/lib/python3.11/site-packages:core:workers:tests /tmp/atheris/bin/python \
        tests/fuzz/atheris_decode.py -max_total_time=600 -timeout=5 -rss_limit_mb=2048 -max_len=65536 CORPUS

CORPUS, a folder, is filled with the files of `seeds` where it is empty. Guided by our own Python code; the decoders are
native and not instrumented, but they run on all that gets past the header. The pixel limit is small here, for speed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["nevus_core.image_header", "nevus_workers.imaging.decode"]):
    from nevus_core import image_header  # noqa: F401  # to be instrumented before decode_path brings it
    from nevus_workers.imaging import decode  # noqa: F401

from fuzz.decode_path import ANALYSED, REASONS, analyse
from fuzz.seeds import seeds
from nevus_workers.imaging.decode import silence_decoders

MAX_PIXELS = 4_000_000


def one_input(data: bytes) -> None:
    """Fails on anything but an analysis or a typed refusal."""
    assert analyse(data, MAX_PIXELS) in {ANALYSED, *REASONS}


def main() -> None:
    """Fills the corpus and runs."""
    folders = [Path(word) for word in sys.argv[1:] if not word.startswith("-")]
    if folders and folders[0].is_dir() and not any(folders[0].iterdir()):
        for number, data in enumerate(seeds().values()):
            (folders[0] / f"seed-{number:02}").write_bytes(data)
    silence_decoders()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
