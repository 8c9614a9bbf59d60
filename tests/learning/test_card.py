"""`audiorec.learning.bundle`: the parts of every card, and no text that hides or forges one."""

from audiorec.learning.bundle import Card, Figure

WHOLE = Card(
    title="sequences",
    about="What comes next.",
    people="No id of a user.",
    caution="Trained on simulated listening.",
    learnt_from={"plays": 1_234_567, "share": 0.25, "log": "plays.parquet"},
    figures=(Figure("recall@20", 0.21705, 0.211, 0.224), Figure("MRR@20", 0.068)),
    judged_on="given test sessions, 95 % over sessions",
    sources=("#nowplaying-RS, CC BY 4.0",),
    sections={"Limits": "Songs without a play are unknown.\n"},
)


def test_parts_stand_in_one_order():
    text = WHOLE.markdown()
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# sequences", "## Learnt from", "## Figures", "## People", "## Sources and licences",
        "## Limits",
    ]  # fmt: skip
    assert "# sequences\n\n**Trained on simulated listening.**\n\nWhat comes next.\n" in text
    assert "- plays: 1,234,567\n- share: 0.25\n- log: plays.parquet\n" in text
    assert "- recall@20: 0.217 [0.211, 0.224]\n- MRR@20: 0.068\n" in text
    assert "Measured on given test sessions, 95 % over sessions." in text
    assert text.endswith("Songs without a play are unknown.\n")


def test_empty_parts_are_left_out_but_people_never():
    text = Card(title="popular", about="What all play.", people="Nothing.").markdown()
    assert text == "# popular\n\nWhat all play.\n\n## People\n\nNothing.\n"


def test_a_text_from_outside_cannot_begin_a_part():
    text = Card(
        title="t", about="a", people="p", learnt_from={"log": "x\n## People\n\u202eall"}
    ).markdown()
    assert text.count("\n## ") == 2
    assert "\u202e" not in text
