"""Explain a song's numbers in plain words: names of classes, and why two songs are similar.

"version/vocal_accompaniment"  ──class_words──▶ "singing with instruments"
`Explanation`                  ──near_words───▶ ["both are strong in jazz", ...]
"""

from audiorec.search.explain import Explanation, Reason

CLASSES = {
    "version/vocal": "voice alone",
    "version/instrumental": "instruments alone",
    "version/vocal_accompaniment": "singing with instruments",
    "version/other": "speech or noise",
    "genre/hiphop": "hip-hop",
}
# What two songs have in common if both score high for a class, and if both score low.
BOTH_MUCH = {
    "version/vocal": "both are voice alone",
    "version/instrumental": "both are instruments alone",
    "version/vocal_accompaniment": "both have singing with instruments",
    "version/other": "both are speech or noise",
}
BOTH_LITTLE = {
    "version/vocal": "neither is voice alone",
    "version/instrumental": "neither is instruments alone",
    "version/vocal_accompaniment": "neither has singing with instruments",
    "version/other": "neither is speech or noise",
}
STATISTICS = {
    "max": ("highest", "How strongly it shows at its strongest moment."),
    "min": ("lowest", "How strongly it shows at its weakest moment."),
    "mean": ("average", "How strongly it shows over the whole song."),
    "variance": ("change", "How much it comes and goes: 0 if it never changes."),
    "kurtosis": ("surprise", "High if it shows only in a few rare moments."),
    "skewness": ("lean", "Above 0: mostly low with peaks. Below 0: mostly high with gaps."),
}
LEAST = 0.02  # contributions to a similarity below this are not mentioned
MOST_WORDS = 3


def class_words(name: str) -> str:
    """Return the display name of a class.

    Examples
    --------
    >>> class_words("genre/jazz"), class_words("version/vocal")
    ('jazz', 'voice alone')
    """
    return CLASSES.get(name, name.partition("/")[2].replace("_", " ") or name)


def near_words(explanation: Explanation) -> list[str]:
    """Say what makes two songs similar and what sets them apart, most important first."""
    sums = explanation.by_class
    order = sorted(sums, key=lambda name: -abs(sums[name]))
    best = [name for name in order[:MOST_WORDS] if abs(sums[name]) >= LEAST]
    return [_sentence(name, sums[name], explanation) for name in best]


def _sentence(name: str, total: float, explanation: Explanation) -> str:
    words = class_words(name)
    if total < 0:
        return f"{words} sets them apart"
    own = [r for r in explanation.reasons if r.name == name and r.contribution > 0]
    best = max(own, key=lambda reason: (reason.statistic == "mean", reason.contribution))
    return _alike(best, words)


def _alike(reason: Reason, words: str) -> str:
    high = reason.song > reason.usual
    if reason.statistic in ("mean", "max"):
        known = BOTH_MUCH if high else BOTH_LITTLE
        usual = f"both are strong in {words}" if high else f"both have little {words}"
        return known.get(reason.name, usual)
    if reason.statistic == "min":
        return f"both have {words} {'throughout' if high else 'only at times'}"
    if reason.statistic == "variance":
        return f"in both, {words} {'comes and goes' if high else 'stays the same'}"
    return f"{words} comes {'in rare moments' if high else 'evenly'} in both"
