"""The contract of the two readers: blocks of samples, or a `DecoderError`."""

from typing import NamedTuple

from audiorec.errors import Failure
from audiorec.types import FloatArray

BLOCK_FRAMES = 1 << 16  # 0.5 MB of stereo: stays in the cache until mixed down
MAX_CHANNELS = 8
MAX_BLOCK_S = 10  # seconds, at low sample rates


class RawBlock(NamedTuple):
    """One block of decoded samples."""

    samples: FloatArray  # (n, channels), full scale 1; valid until the next block is requested
    sample_rate: int  # hertz


class DecoderError(Exception):
    """A decoder cannot start or cannot continue; another decoder may.

    `damaged`: the file itself is at fault, since decoding failed midway. `failure`: the song's
    failure if no other decoder can read it.
    """

    def __init__(
        self,
        reason: str,
        decoder: str,
        damaged: bool = False,
        failure: Failure = Failure.UNDECODABLE,
    ) -> None:
        super().__init__(reason, decoder, damaged, failure)
        self.reason = reason
        self.decoder = decoder
        self.damaged = damaged
        self.failure = failure
