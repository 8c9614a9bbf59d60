"""`web.forms`: what a question declares is what clients and the page's forms may set."""

import json
import subprocess
import sys

import pytest
from needs import needs

needs("starlette")  # of the page

from audiorec.errors import InputError
from audiorec.options import fields_of
from audiorec.search.questions import FindQuestion, PathQuestion, PlaylistQuestion, SimilarQuestion
from audiorec.web.forms import MOST_SONGS, fields_for, inputs, read_form
from audiorec.web.lists import FORMS, question_of

QUESTIONS = (SimilarQuestion, PathQuestion, PlaylistQuestion, FindQuestion)
# One line more in the class of a question; everything else is as it is.
PLANTED = """
import io, json, sys, types
from contextlib import redirect_stdout, suppress
import audiorec.search
from importlib.util import find_spec
spec = find_spec("audiorec.search.questions")
before = '    less_like: Collection[str | int] = setting('
field = '    planted: int = setting(5, chooses(min=3, max=7, help="Set by a test."))\\n'
text = open(spec.origin).read()
assert text.count(before) == 1
module = types.ModuleType(spec.name)
sys.modules[spec.name] = module
exec(compile(text.replace(before, field + before), spec.origin, "exec"), vars(module))
from audiorec_cli.main import main
def printed(*words):
    sys.argv = ["audiorec", *words]
    with redirect_stdout(io.StringIO()) as out, suppress(SystemExit):
        main()
    return out.getvalue()
from audiorec.web.apis.own import document
from audiorec.web.application import FORMS
from audiorec.web.lists import question_of
asked = question_of(module.SimilarQuestion, {"planted": ["6"]}, is_query=True, seeds=(0,))
paths = document()["paths"]
print(json.dumps({
    "help": printed("similar", "--help"),
    "settings": printed("config", "similar"),
    "query": paths["/v1/similar"]["get"]["parameters"],
    "body": paths["/v1/similar"]["post"]["requestBody"],
    "form": FORMS["similar"],
    "asked": asked.planted,
}))
"""


def test_an_option_that_a_question_gains_is_everywhere(tmp_path):
    run = [sys.executable, "-c", PLANTED]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "--planted N" in found["help"]
    assert "Set by a test." in found["help"]
    assert "planted" in found["settings"]
    schema = {"type": "integer", "minimum": 3, "maximum": 7, "default": 5}
    schema["description"] = "Set by a test."
    query = {"name": "planted", "in": "query", "required": False, "schema": schema}
    assert query in found["query"]
    body = found["body"]["content"]["application/json"]["schema"]
    assert body["properties"]["planted"] == schema
    field = {"name": "planted", "label": "Planted", "advanced": False, **schema}
    assert field in found["form"]
    assert found["asked"] == 6


@pytest.mark.parametrize("kind", QUESTIONS)
def test_clients_set_every_option_but_paths_and_songs(kind):
    given = {field.name for field in fields_for(kind)}
    assert {field.name for field in fields_of(kind)} - given <= {"by", "less_like"}


def test_the_form_of_the_page_is_the_declaration():
    form = {one["name"]: one for one in inputs(FORMS[PlaylistQuestion])}
    assert form["per_artist"]["default"] == 2  # of playlists
    assert form["per_artist"]["label"] == "Max per artist"
    assert inputs(FORMS[SimilarQuestion])[0]["label"] == "Number of songs"
    assert form["words"]["example"] == "but calmer, no drums"
    assert form["also"]["items"]["enum"] == ["copies", "non-music"]
    assert form["genre_from"]["enum"] == ["tags", "sound", "both"]
    assert {n: form["per_album"][n] for n in ("advanced",)} == {"advanced": True}
    assert not {"exclude", "curve", "why", "by"} & form.keys()


def test_a_form_becomes_a_question():
    given = {"k": ["3"], "also": ["copies", "non-music"], "per_artist": ["0"], "words": ["calm"]}
    asked = question_of(SimilarQuestion, given, is_query=True, seeds=(1,))
    assert (asked.k, asked.words, asked.seeds) == (3, "calm", (1,))
    assert (set(asked.choice.also), asked.choice.per_artist) == ({"copies", "non-music"}, 0)
    assert question_of(PlaylistQuestion, {}, seeds=(1,)) == PlaylistQuestion(
        seeds=(1,), curve=PlaylistQuestion().curve
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"k": 0}, "k: must be a number from 1 to 500"),
        ({"k": MOST_SONGS + 1}, "k: must be a number from 1 to 500"),
        ({"k": True}, "k: must be a number"),
        ({"k": 5.5}, "k: must be a number"),
        ({"k": 1e999}, "k: must be a number"),
        ({"diversity": float("nan")}, "diversity: must be a number"),
        ({"words": "\ud800"}, "words: is not valid Unicode"),
        ({"diversity": 1.1}, "diversity: must be a number from 0 to 1"),
        ({"genre_from": "file"}, "genre_from: must be one of tags, sound, both, got 'file'"),
        ({"also": ["copies", "noise"]}, "also: must be one of copies, non-music, got 'noise'"),
        ({"also": [7]}, "also: must be a text"),
        ({"by": "/etc/passwd"}, "by: no such field; there are: k, "),
        ({"less_like": ["/etc/passwd"]}, "less_like: no such field"),
        ({"heads": ["x.json"]}, "heads: no such field"),
        ({"only": None}, "only: must be a text"),
    ],
)
def test_what_the_declaration_does_not_allow_is_refused(given, said):
    with pytest.raises(InputError) as caught:
        read_form(fields_for(SimilarQuestion), given)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["many", "1_0", "9" * 5000, "nan"])
def test_a_number_in_an_address_is_plain(text):
    with pytest.raises(InputError, match="k: must be a number"):
        read_form(fields_for(SimilarQuestion), {"k": [text]}, is_query=True)


def test_one_text_stands_for_a_list_of_one():
    fields = fields_for(PlaylistQuestion)
    assert read_form(fields, {"curve": "metal:rise"})["curve"] == ["metal:rise"]
    assert read_form(fields, {"curve": ["metal:rise"]}, is_query=True)["curve"] == ["metal:rise"]
    with pytest.raises(InputError, match="k: given 2 times"):
        read_form(fields_for(SimilarQuestion), {"k": ["1", "2"]}, is_query=True)
