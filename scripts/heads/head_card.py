"""Print docs/model_cards/heads.md: the card of the shipped heads, with every figure of them.

    python scripts/heads/head_card.py docs/model_cards/head_figures.json > docs/model_cards/heads.md

The figures are those that `train_heads.py` leaves beside the heads; the words are `head_card.md`.
"""

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

WORDS = Path(__file__).with_suffix(".md")
OPENED = Path(__file__).parents[2] / "docs" / "model_cards" / "heads_open.json"
WIDTH = 116
VERSIONS = ("vocal", "instrumental", "vocal_accompaniment", "other")
LABELLED = ("blues", "classical", "country", "hiphop", "jazz", "metal", "pop", "rock")
OUTSIDE = ("classical", "electronic", "hiphop", "metal", "rock")
# Genres of GTZAN that are not mostly sung, and the songs that are no genre.
UNSUNG = ("classical", "jazz", "winterreise")
FOLK_ARTISTS = {
    "anidifranco": "Ani DiFranco",
    "emmylouharris": "Emmylou Harris",
    "jethrotull": "Jethro Tull",
    "kellyjoephelps": "Kelly Joe Phelps",
    "neilyoung": "Neil Young",
}
Values = dict[str, Any]


def card(figures: Values) -> str:
    """Return the whole card."""
    fields = version_fields(figures["version"]) | genre_fields(figures["genre"])
    fields |= open_fields(figures, json.loads(OPENED.read_text()))
    return wrapped(WORDS.read_text().format(**fields))


def version_fields(found: Values) -> dict[str, str]:
    """Return what the words say of the version head."""
    groups, folders = found["groups"]["segments"], found["folders"]["segments"]
    before, old, tune = found["former"]["segments"], found["old_kinds"], found["tune"]
    speech, ensemble = "gtsinger other", "jingju_arias vocal_accompaniment"
    glitchy = "everything_is_free_cc0"
    left_beatbox = (answered(folders, "beatbox vocal", of) for of in ("instrumental", "other"))
    moved = found["digits"]
    return {
        "version_claim": estimate(groups["macro_f1"]),
        "version_outside": estimate(folders["macro_f1"]),
        "ways": ways(found),
        "judged": f"{groups['rows']:,} segments of {groups['groups']} groups",
        "beatbox_before": answered(before, "beatbox vocal", "vocal"),
        "beatbox": answered(groups, "beatbox vocal", "vocal"),
        "ensemble_before": answered(before, ensemble, "vocal_accompaniment"),
        "ensemble": answered(groups, ensemble, "vocal_accompaniment"),
        "speech_before": answered(before, speech, "other"),
        "speech": answered(groups, speech, "other"),
        "folders": by_folder(groups, folders),
        "old_segments": estimate(old["segments"]["balanced_macro_f1"]),
        "old_tracks": estimate(old["tracks"]["balanced_macro_f1"]),
        "old_rows": f"{old['segments']['macro_f1']['value']:.3f} and "
        f"{old['tracks']['macro_f1']['value']:.3f}",
        "tune_segments": estimate(tune["segments"]["macro_f1"], 2),
        "tune_tracks": estimate(tune["tracks"]["macro_f1"], 2),
        "ece_groups": f"{groups['ece']:.3f}",
        "ece_folders": f"{folders['ece']:.3f}",
        "ece_old": f"{old['segments']['ece']:.3f}",
        "left_ensemble": answered(folders, ensemble, "vocal"),
        "left_beatbox": " and ".join(left_beatbox),
        "glitchy": answered(groups, f"{glitchy} vocal", "vocal"),
        "glitchy_mix": answered(groups, f"{glitchy} vocal_accompaniment", "vocal_accompaniment"),
        "speech_sung": answered(groups, speech, "vocal"),
        "karaoke": answered(groups, "mir1k instrumental", "vocal_accompaniment"),
        "songs": finished_songs(found["songs"]),
        **elsewhere(found["elsewhere"]),
        "damaged": ", ".join(
            f"{name} {of['macro_f1']['value']:.3f}" for name, of in found["degraded"].items()
        ),
        "digits": "Retraining on inputs that differ in their last digits changes scores by "
        f"{moved['mean']:.4f} on average (at most {moved['most']:.2f}) and "
        f"{100 * moved['other_answers']:.2f} % of the answers.",
    }


def ways(found: Values) -> str:
    """Return the rows of the table of ways to leave out."""
    rows = {
        "**groups left out**": found["groups"],
        "the previous head, trained on part of this data": found["former"],
        "whole folders left out": found["folders"],
    }
    return "\n".join(
        row(
            name,
            estimate(of["segments"]["macro_f1"]),
            *(f"{of['segments']['f1'][kind]:.3f}" for kind in VERSIONS),
            f"{of['segments']['ece']:.3f}",
            estimate(of["tracks"]["macro_f1"]),
        )
        for name, of in rows.items()
    )


def by_folder(groups: Values, folders: Values) -> str:
    """Return a row for each folder and class: what was answered, and with the folder left out."""
    rows = []
    for name, (segments, answers) in groups["cells"].items():
        folder, kind = name.rsplit(" ", 1)
        shares = [f"{share:.2f}" for share in answers]
        shares[VERSIONS.index(kind)] = f"**{shares[VERSIONS.index(kind)]}**"
        left = answered(folders, name, kind) if name in folders["cells"] else ""
        rows.append(row(folder, kind, segments, *shares, left))
    return "\n".join(rows)


def answered(found: Values, cell: str, kind: str) -> str:
    """Return which share of a folder's class was called `kind`."""
    return f"{found['cells'][cell][1][VERSIONS.index(kind)]:.2f}"


def finished_songs(songs: Values) -> str:
    """Return what finished songs are called, in words."""
    sung = [answers for name, answers in songs.items() if name not in UNSUNG]
    clips = sum(sum(answers.values()) for answers in sung)
    called = {
        kind: sum(answers[kind] for answers in sung)
        for kind in ("vocal_accompaniment", "instrumental")
    }
    missed = ", ".join(
        f"{songs[name]['instrumental']} of {sum(songs[name].values())} {name}"
        for name in ("metal", "rock", "reggae")
    )
    quiet = " and ".join(
        f"{songs[name]['instrumental']} of {sum(songs[name].values())} {name}"
        for name in ("classical", "jazz")
    )
    lieder = songs["winterreise"]
    return (
        f"of {clips} GTZAN clips of genres that are mostly sung "
        f"{called['vocal_accompaniment']} are called accompanied and {called['instrumental']} "
        f"instrumental ({missed}), {quiet} instrumental, "
        f"{lieder['vocal_accompaniment']} of the {sum(lieder.values())} recordings of "
        "*Winterreise* accompanied"
    )


def elsewhere(found: Values) -> dict[str, str]:
    """Return the mean scores of singing by people of whom nothing was learnt."""

    def score(beginning: str, kind: str) -> str:
        scores = next(of["scores"] for name, of in found.items() if name.startswith(beginning))
        return f"{scores[VERSIONS.index(kind)]:.2f}"

    return {
        "rock_singer": score("brad", "vocal_accompaniment"),
        "birthday": score("happy", "vocal_accompaniment"),
        "solo": score("and-its", "vocal"),
        "quartet": score("choir", "instrumental"),
        "quartet_voice": score("choir", "vocal"),
    }


def genre_fields(found: Values) -> dict[str, str]:
    """Return what the words say of the genre head and of the yardstick."""
    inside, test = found["inside"], found["test"]
    plain, outside = found["outside, no maker heard"], found["outside, maker left out"]
    sure = {name: f"{100 * share:.0f} %" for name, (_, share) in found["confident"].items()}
    clips = found["short"]["clips"]
    low, middle, high = sorted(found["folk, artists left out"]["auc"])
    return {
        "genre_claim": estimate(inside["tracks"]["macro_f1"]),
        "genre_outside": f"[{places(outside['all'], 'first')}](../benchmarks/genre_outside.md)",
        "folk_auc": f"{middle:.2f} [{low:.2f}, {high:.2f}]",
        "genre": genre_rows(found),
        "inside_segments": f"{inside['segments']['macro_f1']['value']:.3f}",
        "test_segments": f"{test['segments']['macro_f1']['value']:.3f}",
        "recalls": "\n".join(
            row(name, *(f"{of['tracks']['classes'][kind]['recall']:.2f}" for kind in LABELLED))
            for name, of in {"artists left out": inside, "test": test}.items()
        ),
        "outside_pieces": str(outside["all"]["pieces"]),
        "outside": "\n".join(
            row(kind, outside[kind]["pieces"], *places_of(outside[kind])) for kind in OUTSIDE
        ),
        "plain_hiphop": f"{100 * plain['hiphop']['first']:.0f} %",
        "plain_classical": f"{100 * plain['classical']['first']:.0f} %",
        **{f"sure_{name}": share for name, share in sure.items()},
        "called": none_of_these(found),
        "ece_inside": f"{inside['segments']['ece']:.3f}",
        "ece_inside_tracks": f"{inside['tracks']['ece']:.3f}",
        "folk": folk_rows(found),
        "yardstick": yardstick(found),
        "short_artists": str(clips["songs"]),
        "short": percent(clips["accuracy"]),
    }


def genre_rows(found: Values) -> str:
    """Return the table of inside and outside."""
    inside, test = found["inside"]["tracks"], found["test"]["tracks"]
    outside, plain = found["outside, maker left out"], found["outside, no maker heard"]
    rows = [
        row(
            f"GTZAN, artists left out, {inside['rows']} tracks",
            percent(inside["accuracy"]),
            "",
            f"**{estimate(inside['macro_f1'])}**",
        ),
        row(
            f"GTZAN test, {test['rows']} tracks",
            percent(test["accuracy"]),
            "",
            estimate(test["macro_f1"]),
        ),
    ]
    every, few = outside["all"], outside["without loops"]
    for name, of in (
        (f"**outside, maker left out, {every['pieces']} pieces**", every),
        (f"... without drum loops, {few['pieces']}", few),
        ("outside, learnt from GTZAN alone", plain["all"]),
    ):
        shares = places_of(of)
        if of is not few:  # the page has the pieces that these are counted from
            shares = [f"[{share}](../benchmarks/genre_outside.md)" for share in shares]
        if of is every:
            shares = [f"**{share}**" for share in shares]
        rows.append(row(name, *shares, ""))
    return "\n".join(rows)


def open_fields(usual: Values, opened: Values) -> dict[str, str]:
    """Return what the words say of the heads from free audio, beside the usual ones."""
    pairs = [(usual[task], opened[task]) for task in ("version", "genre")]
    folders = [found["folders"] for found in pairs[0]]
    inside, test = ([found[name]["tracks"] for found in pairs[1]] for name in ("inside", "test"))
    outside = pairs[1][0]["outside, maker left out"]["all"], pairs[1][1]["outside"]["all"]
    by_segment = [of["segments"] for of in folders]
    rows = [
        row("version: macro-F1 by segment", *(estimate(of["macro_f1"]) for of in by_segment)),
        *(
            row(f"... F1 of {kind}", *(f"{of['f1'][kind]:.3f}" for of in by_segment))
            for kind in VERSIONS
        ),
        row("... ECE", *(f"{of['ece']:.3f}" for of in by_segment)),
        row("version: macro-F1 by track", *(estimate(of["tracks"]["macro_f1"]) for of in folders)),
        row("genre: GTZAN, 403 tracks", *(percent(of["accuracy"]) for of in inside)),
        row("genre: GTZAN test, 235 tracks", *(percent(of["accuracy"]) for of in test)),
        row("genre: pieces outside", *(places(of, "first") for of in outside)),
        row("... among three", *(places(of, "three") for of in outside)),
    ]
    cells = opened["version"]["folders"]
    glitchy, beats = "everything_is_free_cc0 vocal", "beatbox vocal"
    return {
        "open": "\n".join(rows),
        "open_pieces": str(outside[1]["pieces"]),
        "open_chosen": estimate(opened["version"]["chosen by"]["segments"]["macro_f1"]),
        "open_others": estimate(opened["version"]["others"]["segments"]["macro_f1"]),
        "open_karaoke": answered(cells["segments"], "mir1k vocal", "vocal"),
        "open_mix": answered(cells["segments"], "mir1k vocal_accompaniment", "vocal_accompaniment"),
        "open_glitchy": answered(cells["segments"], glitchy, "vocal"),
        "open_beatbox": answered(cells["segments"], beats, "vocal"),
        "open_rock": f"{test[1]['classes']['rock']['recall']:.2f}",
        "usual_rock": f"{test[0]['classes']['rock']['recall']:.2f}",
    }


def none_of_these(found: Values) -> str:
    """Return the table of what disco and reggae are called, which the head does not know."""
    unknown = ("disco", "reggae")
    called = sorted({genre for name in unknown for genre in found[name]})
    rows = [row("", *called), "|" + "---|" * (len(called) + 1)]
    rows += [row(name, *(found[name].get(genre, 0) for genre in called)) for name in unknown]
    return "\n".join(rows)


def folk_rows(found: Values) -> str:
    """Return the table of folk, which nobody labelled."""
    rows = []
    titles = {"folk, artists left out": "artists left out of training", "folk, test": "GTZAN test"}
    for key, title in titles.items():
        of = found[key]
        artists = ", ".join(
            f"{FOLK_ARTISTS[name]} {auc:.2f}" for name, (_, auc) in of["auc_by_artist"].items()
        )
        low, middle, high = sorted(of["auc"])
        theirs, others = (f"{100 * share:.0f} %" for share in of["first_two"])
        rows.append(
            row(
                title,
                f"{of['tracks'][0]} by {len(of['auc_by_artist'])} ({artists})",
                f"{middle:.2f} [{low:.2f}, {high:.2f}]",
                f"{theirs}, {others}",
            )
        )
    return "\n".join(rows)


def yardstick(found: Values) -> str:
    """Return the rows of GTZAN's own ten, on the test."""
    titles = {
        "yardstick, 443": "**443 training clips**",
        "yardstick, 443 and 53": "443 and 53 clips of the validation list",
    }
    ways = ("segments", "mean score", "six statistics", "tags", "all three")
    return "\n".join(
        row(title, *(percent(found[key][way]["accuracy"]) for way in ways))
        for key, title in titles.items()
    )


def row(*cells: object) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def estimate(of: Values, digits: int = 3) -> str:
    """Return a value with its interval."""
    return f"{of['value']:.{digits}f} [{of['low']:.{digits}f}, {of['high']:.{digits}f}]"


def percent(of: Values) -> str:
    """Return a share with its interval, in percent."""
    return f"{100 * of['value']:.1f} % [{100 * of['low']:.1f}, {100 * of['high']:.1f}]"


def places(of: Values, name: str) -> str:
    """Return the share of pieces with their class first, or among three."""
    low, high = of[f"{name}_95"]
    return f"{100 * of[name]:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def places_of(of: Values) -> list[str]:
    """Return both shares of some pieces; those of a single maker have no interval."""
    if "first_95" not in of:
        return [f"{100 * of[name]:.0f} %" for name in ("first", "three")]
    return [places(of, name) for name in ("first", "three")]


def wrapped(text: str) -> str:
    """Return the text with its paragraphs filled anew; tables and headings stay."""
    fill = textwrap.TextWrapper(WIDTH, break_long_words=False, break_on_hyphens=False).fill
    parts = text.strip().split("\n\n")
    return "\n\n".join(p if p[0] in "|#" else fill(" ".join(p.split())) for p in parts) + "\n"


def main() -> None:
    """Print the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    print(card(json.loads(parser.parse_args().figures.read_text())), end="")


if __name__ == "__main__":
    main()
