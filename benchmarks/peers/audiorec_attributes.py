"""Tell tempo and key of audio files by the audiorec that runs this: a JSON line a file.

    REVISION/bin/python benchmarks/peers/audiorec_attributes.py FILE ...

It uses only what all revisions with `extract --attributes` have. CPU seconds are those of the
attributes alone.
"""

import argparse
import json

from audiorec.extraction.pipeline import Extractor, ExtractorConfig

SHARPS = {"Eb": "D#", "Ab": "G#", "Bb": "A#"}


def main() -> None:
    """Print what audiorec says of each file, and the CPU seconds that it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    extractor = Extractor(ExtractorConfig(attributes=True))
    for file in args.files:
        song = extractor.song(file)
        heard = song.attributes
        tonic = heard["key"]
        key = None if tonic is None else f"{SHARPS.get(tonic, tonic)} {heard['scale']}"
        told = {"file": file, "bpm": heard["bpm"], "key": key}
        print(json.dumps({**told, "cpu_s": song.cpu_s["attributes"]}), flush=True)


if __name__ == "__main__":
    main()
