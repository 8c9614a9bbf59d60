"""`audiorec.files.own_files`: limits and digests of JSON."""

import json

import pytest

from audiorec.files.own_files import DIGEST, parse_json, sealed, unsealed

CONTENT = {"rows": 5, "weights": [0.5, 1e-7], "name": "é"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "integer string conversion"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('"' + "x" * 99_999 + '"', "longer than 100000 bytes"),
        (b'"\xff"', "utf-8"),
    ],
)
def test_json_that_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text, max_bytes=100_000)


def test_a_digest_goes_with_the_content_and_not_with_the_form():
    whole = sealed(CONTENT)
    assert list(whole) == [*CONTENT, DIGEST]
    turned = json.loads(json.dumps(dict(reversed(whole.items())), indent=4))
    assert unsealed(turned) == CONTENT
    assert unsealed(CONTENT) == CONTENT  # of an older audiorec


@pytest.mark.parametrize(
    "changes", [{"rows": 6}, {"weights": [0.5, 1e-6]}, {"more": 1}, {DIGEST: "0" * 64}, {DIGEST: 1}]
)
def test_changed_content_is_refused(changes):
    with pytest.raises(ValueError, match="does not match content_sha256"):
        unsealed(sealed(CONTENT) | changes)


@pytest.mark.parametrize("content", [None, [], "text", 5])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(ValueError, match="not a JSON object"):
        unsealed(content)
