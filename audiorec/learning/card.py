"""Model cards: the sections common to all models.

    `Card` ──markdown──▶ MODEL_CARD.md

The training data, what the model stores about people, its figures and how they were measured, and
sources with licences. Sections specific to a model follow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from audiorec.files.visible import visible

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure, with its interval if one was computed."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        between = "" if self.low is None else f" [{self.low:.4f}, {self.high:.4f}]"
        return f"{visible(self.name)}: {self.value:.4f}{between}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Content of a model card; control characters in foreign texts are made visible."""

    title: str
    about: str  # one or two sentences
    people: str  # what the model stores about people
    caution: str = ""  # warning, placed first
    learnt_from: Mapping[str, Value] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()
    judged_on: str = ""  # what the figures were measured on, and the kind of interval
    sources: tuple[str, ...] = ()  # sources of the data, with their licences
    sections: Mapping[str, str] = field(default_factory=dict)  # Markdown, by heading

    def markdown(self) -> str:
        """Return the card as Markdown.

        Examples
        --------
        >>> card = Card(
        ...     title="rules",
        ...     about="What is played next.",
        ...     people="Nothing.",
        ...     learnt_from={"songs": 12_000},
        ...     figures=(Figure("recall@20", 0.2, 0.19, 0.21),),
        ...     judged_on="the newest tenth of the plays",
        ... )
        >>> print(card.markdown())
        # rules
        <BLANKLINE>
        What is played next.
        <BLANKLINE>
        ## Learnt from
        <BLANKLINE>
        - songs: 12,000
        <BLANKLINE>
        ## Figures
        <BLANKLINE>
        Measured on the newest tenth of the plays.
        <BLANKLINE>
        - recall@20: 0.2000 [0.1900, 0.2100]
        <BLANKLINE>
        ## People
        <BLANKLINE>
        Nothing.
        <BLANKLINE>
        """
        told = [f"- {visible(name)}: {_shown(value)}" for name, value in self.learnt_from.items()]
        judged = f"Measured on {visible(self.judged_on)}.\n\n" if self.judged_on else ""
        figures = "\n".join(f"- {figure}" for figure in self.figures)
        parts = {
            "Learnt from": "\n".join(told),
            "Figures": judged + figures if figures else "",
            "People": visible(self.people),
            "Sources and licences": "\n".join(f"- {visible(text)}" for text in self.sources),
            **self.sections,
        }
        head = [f"# {visible(self.title)}"]
        head += [f"**{visible(self.caution)}**"] if self.caution else []
        body = [f"## {name}\n\n{text.strip()}" for name, text in parts.items() if text.strip()]
        return "\n\n".join([*head, visible(self.about), *body]) + "\n"


def _shown(value: Value) -> str:
    if isinstance(value, str):
        return visible(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
