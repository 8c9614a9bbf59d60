"""``audiorec find "calm piano, no drums"``: list the songs that a sentence describes."""

from dataclasses import replace
from typing import Annotated

from audiorec.options import argument
from audiorec.search.questions import FindQuestion
from audiorec_cli.shared.inputs import VectorsOption, open_vectors
from audiorec_cli.shared.song_lists import ListForm, print_ranked

SentenceArgument = Annotated[
    list[str], argument(metavar="WORDS", help="What the songs should be like, in words.")
]


def find(
    words: SentenceArgument,
    vectors: VectorsOption = None,
    *,
    asked: FindQuestion,
    form: ListForm,
) -> None:
    """List the songs that a sentence describes, in English or Chinese.

    Understood are genres, instruments, voices, moods, uses and sounds; tempo, key, length, years,
    language, artist and album; words of titles; and what is not wanted. Each song says how well it
    fits: strong, some or weak, with ? where a fact is not sure. --why says how the sentence was
    read, and what each word adds.

    Examples
    --------
    audiorec find "calm piano at night, no drums"
    audiorec find "fast rock with a woman singing, under four minutes" --why
    audiorec find 安静的钢琴 --max-per-artist 2 --m3u8 quiet.m3u8
    """
    form.check()
    store = open_vectors(vectors, empty=False)
    result = store.ask(replace(asked, text=" ".join(words)))
    form.show(result, lambda: print_ranked(result, title=f"songs for: {result.question.text}"))
