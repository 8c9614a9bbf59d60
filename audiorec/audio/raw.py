"""What a decoder gives, or why it gives nothing: the contract of the two readers."""

from typing import NamedTuple

from audiorec.errors import Failure
from audiorec.types import FloatArray

BLOCK_FRAMES = 1 << 16  # 0.5 MB of stereo: stays in the cache until it is mixed down
MAX_CHANNELS = 8
MAX_BLOCK_S = 10  # seconds, where the sample rate is low


class RawBlock(NamedTuple):
    """Samples as they come out of a decoder."""

    samples: FloatArray  # (n, channels), full scale 1; valid until the next block is asked for
    sample_rate: int  # hertz


class DecoderError(Exception):
    """A decoder cannot begin or cannot go on; another one may.

    `damaged`: the file is to blame, it began well and became unreadable. `failure`: the song's
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
