"""Labelled audio in Debian packages: music without a voice, speech, the sounds of games.

The packages lie unpacked below one folder, one folder each, as `unpack_packages.sh` leaves them.
A corpus is a package, or the part of one that is of one class. What a piece is called follows from
its place: a folder of music, a folder of spoken lines. Nobody labelled single pieces, except for
those named here that are sung.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import soundfile
from head_data import ACCOMPANIED, INSTRUMENTAL, OTHER, UNLABELLED, Clip

SECONDS = 60.0  # of each long piece
SKIP_S = 5.0  # of music: fade-ins
WHOLE_S = 600.0  # of songs that are only judged
MOST = 120  # pieces of a corpus
MUSIC_S, SOUND_S = 20.0, 2.5  # at least; shorter music is a game's jingle
AUDIO_SUFFIXES = {".ogg", ".oga", ".opus", ".mp3", ".wav", ".flac", ""}


@dataclass(frozen=True, slots=True)
class Corpus:
    """Audio of one class in one package.

    Attributes
    ----------
    name, package : str
        What is left out as a whole, and where it lies.
    label : int
        Index into `VERSION_CLASSES`, or -1.
    pattern : str
        Below the package's folder.
    but : tuple of str
        Stems that are left out.
    """

    name: str
    label: int
    package: str = ""
    pattern: str = "**/*"
    but: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Name of the folder of the package."""
        return self.package or self.name


MUSIC = (
    Corpus("asc-music", INSTRUMENTAL),
    Corpus("domino-chain-music", INSTRUMENTAL),
    Corpus("drascula-music", INSTRUMENTAL),
    Corpus("fretsonfire-songs-sectoid", INSTRUMENTAL),
    Corpus("hyperrogue-music", INSTRUMENTAL),
    Corpus("lincity-ng-data", INSTRUMENTAL),
    Corpus("planetblupi-music-ogg", INSTRUMENTAL),
    Corpus("singularity-music", INSTRUMENTAL),
    Corpus("warzone2100-music", INSTRUMENTAL),
    Corpus("wesnoth-1.18-music", INSTRUMENTAL),
    Corpus("nexuiz-music", INSTRUMENTAL),
    Corpus("ufoai-music", INSTRUMENTAL),
    Corpus("colobot-music", INSTRUMENTAL, "colobot-common-sounds", "**/music/*"),
    Corpus("adonthell-music", INSTRUMENTAL, "adonthell-data", "**/at-demo*"),
    Corpus("extremetuxracer-music", INSTRUMENTAL, "extremetuxracer-data", "**/*.ogg"),
    Corpus("hedgewars-music", INSTRUMENTAL, "hedgewars-data", "**/Music/*.ogg"),
    Corpus("naev-music", INSTRUMENTAL, "naev-data", "**/*.ogg"),
    Corpus("starfighter-music", INSTRUMENTAL, "starfighter-data", "**/music/*"),
    Corpus("supertux-music", INSTRUMENTAL, "supertux-data", "**/music/**/*.ogg", ("tux_rap",)),
    Corpus("warmux-music", INSTRUMENTAL, "warmux-data", "**/music/**/*.ogg"),
    Corpus("xmoto-music", INSTRUMENTAL, "xmoto-data", "**/*.ogg"),
    Corpus("trackballs-music", INSTRUMENTAL, "trackballs-data", "**/*.ogg"),
    Corpus("blobwars-music", INSTRUMENTAL, "blobwars-data", "**/music/*"),
    Corpus("fillets-music", INSTRUMENTAL, "fillets-ng-data", "**/music/*.ogg"),
    Corpus("asterisk-moh-opsound-wav", INSTRUMENTAL),
    Corpus("muldjord", UNLABELLED, "fretsonfire-songs-muldjord", "**/song.ogg"),  # growled
    Corpus("obsidian-shell", UNLABELLED, "marsshooter-data", "**/music/*.ogg"),  # sung by a woman
    Corpus("supertux-rap", ACCOMPANIED, "supertux-data", "**/tux_rap.ogg"),
)
SOUNDS = (
    Corpus("asterisk-core-sounds-en-wav", OTHER),
    Corpus("asterisk-core-sounds-es-wav", OTHER),
    Corpus("asterisk-core-sounds-fr-wav", OTHER),
    Corpus("asterisk-core-sounds-it-wav", OTHER),
    Corpus("asterisk-core-sounds-ru-wav", OTHER),
    Corpus("fillets-ng-data-cs", OTHER),
    Corpus("fillets-ng-data-nl", OTHER),
    Corpus("klettres-data", OTHER),
    Corpus("asterisk-prompt-it-menardi-wav", OTHER),
    Corpus("tuxpaint-speech", OTHER, "tuxpaint-stamps-default", "**/*_desc_*.ogg"),
    Corpus("ufoai-sound", OTHER),
    Corpus("openarena-data", OTHER),
    Corpus("boswars-speech", OTHER, "boswars-data", "**/*.wav"),
    Corpus("scorched3d-data", OTHER, "scorched3d-data", "**/*.wav"),
    Corpus("megaglest-sounds", OTHER, "megaglest-data", "**/sounds/*"),
)
CORPORA = (*MUSIC, *SOUNDS)
SPEECH = {"cmu_arctic", "tuxpaint-speech", "asterisk-prompt-it-menardi-wav", "klettres-data"} | {
    c.name for c in SOUNDS if c.name.startswith(("asterisk-core", "fillets"))
}


def package_clips(extra: Path) -> list[Clip]:
    """Return the labelled pieces of a folder of unpacked packages.

    A package that is absent stops the script: without it another head would come out.
    """
    absent = sorted({c.folder for c in CORPORA if not (extra / c.folder).is_dir()})
    if absent:
        sys.exit(f"error: {extra} lacks the unpacked Debian packages {', '.join(absent)}")
    return [clip for corpus in CORPORA for clip in _clips(extra / corpus.folder, corpus)]


def _clips(folder: Path, corpus: Corpus) -> list[Clip]:
    """Return up to `MOST` pieces of one corpus, spread over all."""
    sound = corpus.label == OTHER
    found = [
        path
        for path in sorted(folder.glob(corpus.pattern))
        if _is_long(path, SOUND_S if sound else MUSIC_S) and path.stem not in corpus.but
    ]
    if not found:
        sys.exit(f"error: no audio for {corpus.name} in {folder}")
    clips = []
    for path in found[:: -(-len(found) // MOST)]:
        track = f"{corpus.name}/{path.parent.name}/{path.stem}"
        clips.append(
            Clip(
                corpus=corpus.name,
                group=corpus.name if sound else track,
                track=track,
                label=corpus.label,
                path=path,
                skip_s=0.0 if sound else SKIP_S,
                max_s=SECONDS if corpus.label >= 0 else WHOLE_S,
            )
        )
    return clips


def _is_long(path: Path, seconds: float) -> bool:
    if path.suffix.lower() not in AUDIO_SUFFIXES or path.is_symlink() or not path.is_file():
        return False
    try:
        return bool(soundfile.info(path).duration >= seconds)
    except soundfile.LibsndfileError:
        return False
