"""Workers for runs whose vectors do not matter: real tags and hashes, no networks or processes."""

import zlib

import numpy as np

from audiorec.audio.decode import content_hash
from audiorec.audio.tags import read_tags
from audiorec.errors import Failure, SongError
from audiorec.extraction.pipeline import KnownContent, Song
from audiorec.runs.workers import Answer
from audiorec.tagger.vectors import summarise
from audiorec.types import AudioInfo, ScoreSeries

CLASSES = 14


class QuickWorkers:
    """Takes the place of `audiorec.extraction.run.Workers`."""

    def __init__(self, _factory, arguments, **_options):
        self.handle = make(*arguments)

    def __enter__(self):
        return self

    def __exit__(self, *_exc_info):
        pass

    def map_unordered(self, paths):
        for path in paths:
            try:
                yield Answer(path, value=self.handle(path))
            except SongError as error:
                yield Answer(path, error=error)


def make(config, known_hashes, outputs):
    def handle(path):
        found = content_hash(path)
        if found in known_hashes:
            return KnownContent(found, read_tags(path))
        with open(path, "rb") as file:  # noqa: PTH123
            if b"no music" in file.read(64):
                raise SongError(path, Failure.NOT_AUDIO, "no music in it")
        scores = np.random.default_rng(zlib.crc32(found.encode())).random((3, CLASSES), np.float32)
        names = tuple(f"head/{i}" for i in range(CLASSES))
        return Song(
            vector=summarise(scores),
            series=ScoreSeries(scores, 3 * np.arange(3, dtype=np.float32), names),
            features={},
            info=AudioInfo(
                codec="flac", decoder="none", sample_rate=22_050, channels=2, duration_s=9.0
            ),
            tags=read_tags(path),
            content_hash=found,
        )

    return handle
