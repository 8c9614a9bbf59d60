"""Labelled audio in packages: music without a voice, speech, the sounds of games, some songs.

The packages lie unpacked below one folder, one folder each, as `unpack_packages.sh` leaves them:
Debian's, and source distributions of PyPI (``name==version``). A corpus is a package, or the part
of one that is of one class. What a piece is called follows from its place: a folder of music, a
folder of spoken lines. Nobody labelled single pieces, except for those named here that are sung.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
from head_data import ACCOMPANIED, INSTRUMENTAL, OTHER, UNLABELLED, VOCAL, Clip

SECONDS = 60.0  # of each long piece
SKIP_S = 5.0  # of music: fade-ins
WHOLE_S = 600.0  # of songs that are used whole
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
    whole : bool
        A recording is used from its first second to its last, short or long.
    by_singer : bool
        The end of a stem, after the last ``_``, is the singer and so the group.
    """

    name: str
    label: int
    package: str = ""
    pattern: str = "**/*"
    but: tuple[str, ...] = ()
    whole: bool = False
    by_singer: bool = False

    @property
    def source(self) -> str:
        """What is fetched: a package of Debian, or ``name==version``."""
        return self.package or self.name

    @property
    def folder(self) -> str:
        """Name of the folder that it is unpacked to."""
        return self.source.replace("==", "-")


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
# Finished recordings with a singer. A label holds for most of a piece, not for its prelude.
SONGS = (
    Corpus(
        "winterreise", ACCOMPANIED, "synctoolbox==1.4.2", "**/Schubert_*.wav",
        whole=True, by_singer=True,
    ),
)  # fmt: skip
# Singing by people and in rooms that nothing was learnt from: only to measure.
ELSEWHERE = (
    Corpus("brad-sucks", ACCOMPANIED, "audiotsm==0.1.2", "**/TheresSomethingWrong.wav", whole=True),
    Corpus("happy-birthday", ACCOMPANIED, "nyquist", "**/demos/audio/happy.wav", whole=True),
    Corpus("and-its-all", VOCAL, "csoundqt-examples", "**/AndItsAll.wav", whole=True),
    Corpus("choir-quartet", VOCAL, "libsoni==1.1.0", "**/demo_f0/DCS_LI_Quartet*.wav", whole=True),
)
# Pieces in soundtracks whose files name their genre; only the head for whole songs reads them.
TAGGED = (
    Corpus("cello", UNLABELLED, "freedink-data", "**/1.ogg"),
    Corpus("k-pone", UNLABELLED, "openclonk-data", "**/Motorway.ogg"),
    Corpus("k-pone", UNLABELLED, "openclonk-data", "**/TheSkylands.ogg"),
    Corpus("k-pone", UNLABELLED, "openclonk-data", "**/@CrushedIceCocktail.ogg"),
    Corpus("middle-finger", UNLABELLED, "widelands-data", "**/ingame_1[567].ogg"),
    Corpus("hasi50", UNLABELLED, "widelands-data", "**/ingame_28.ogg"),
    Corpus("flute", UNLABELLED, "warmux-data", "**/Divertissement_pour_flute.ogg"),
    Corpus("eliminator", UNLABELLED, "megaglest-data", "**/romans.ogg"),
    Corpus("tgfcoder", UNLABELLED, "starfighter-data", "**/frozen_jam.ogg"),
    Corpus("askyel", UNLABELLED, "naev-data", "**/eureka.ogg"),
    Corpus("askyel", UNLABELLED, "naev-data", "**/terminal.ogg"),
    Corpus("parapraxis", UNLABELLED, "nexuiz-music", "**/digital-pursuit.ogg"),
    Corpus("dj-helium", UNLABELLED, "supertuxkart-data", "**/valley.ogg"),
)
# Drums alone, which are none of the genres.
LOOPS = (Corpus("sonic-pi-loops", OTHER, "sonic-pi-samples", "**/loop_*.flac"),)
# Music that only the projection of sound learns from: packages of Debian, a soundtrack each.
SOUNDTRACKS = (
    "ardentryst", "btanks-data", "edgar-data", "freedink-data", "freeorion-data",
    "frozen-bubble-data", "hex-a-hop-data", "lordsawar-data", "lugaru-data", "megaglest-data",
    "mu-cade-data", "openclonk-data", "parsec47-data", "powermanga-data", "rrootage-data",
    "supertuxkart-data", "titanion-data", "torus-trooper-data", "trigger-rally-data",
    "tumiki-fighters-data", "tuxmath-data", "widelands-data", "zaz-data",
)  # fmt: skip
CORPORA = (*MUSIC, *SOUNDS)
FETCHED = (*CORPORA, *SONGS, *ELSEWHERE)
# Corpora of weak labels; the metal is learnt from where there is nothing else.
WEAK = ("gtzan", *(corpus.name for corpus in SONGS), "muldjord", "obsidian-shell")
SPEECH = {"cmu_arctic", "tuxpaint-speech", "asterisk-prompt-it-menardi-wav", "klettres-data"} | {
    c.name for c in SOUNDS if c.name.startswith(("asterisk-core", "fillets"))
}


def package_clips(extra: Path, corpora: Sequence[Corpus] = CORPORA) -> list[Clip]:
    """Return the labelled pieces of a folder of unpacked packages.

    A package that is absent stops the script: without it another head would come out.
    """
    absent = sorted({c.folder for c in FETCHED if not (extra / c.folder).is_dir()})
    if absent:
        sys.exit(f"error: {extra} lacks the unpacked packages {', '.join(absent)}")
    return [clip for corpus in corpora for clip in _clips(extra / corpus.folder, corpus)]


def _clips(folder: Path, corpus: Corpus) -> list[Clip]:
    """Return up to `MOST` pieces of one corpus, spread over all."""
    short = corpus.whole or corpus.label == OTHER
    found = [
        path
        for path in sorted(folder.glob(corpus.pattern))
        if _is_long(path, SOUND_S if short else MUSIC_S) and path.stem not in corpus.but
    ]
    if not found:
        sys.exit(f"error: no audio for {corpus.name} in {folder}")
    whole = corpus.whole or corpus.label < 0
    return [
        Clip(
            corpus=corpus.name,
            group=_group(corpus, path),
            track=_track(corpus, path),
            label=corpus.label,
            path=path,
            skip_s=0.0 if short else SKIP_S,
            max_s=WHOLE_S if whole else SECONDS,
        )
        for path in found[:: -(-len(found) // MOST)]
    ]


def _track(corpus: Corpus, path: Path) -> str:
    return f"{corpus.name}/{path.parent.name}/{path.stem}"


def _group(corpus: Corpus, path: Path) -> str:
    if corpus.by_singer:
        return f"{corpus.name}/{path.stem.rsplit('_', 1)[-1]}"
    return corpus.name if corpus.label == OTHER else _track(corpus, path)


def _is_long(path: Path, seconds: float) -> bool:
    if path.suffix.lower() not in AUDIO_SUFFIXES or path.is_symlink() or not path.is_file():
        return False
    try:
        return bool(soundfile.info(path).duration >= seconds)
    except soundfile.LibsndfileError:
        return False
