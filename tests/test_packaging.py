"""What is given away: the wheel and source archive, the container, the citation."""

import io
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from needs import needs
from served_library import serving, write_served

ROOT = Path(__file__).parents[1]
from check_packages import in_source, in_wheel, source_faults, tracked, wheel_faults

from audiorec_cli.main import app

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ABOUT = PROJECT["project"]
HAS_GIT = (ROOT / ".git").exists()  # a source archive has none


def instructions():
    """Return the instructions of the Dockerfile, each as its name and its arguments."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines if line]


def last_stage():
    found = instructions()
    start = max(i for i, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def test_a_container_is_not_root_and_starts_the_command():
    images = [text.split()[0] for name, text in instructions() if name == "FROM"]
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", images[0])  # never latest
    stage = dict(last_stage())
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", stage["USER"])
    names = [name for name, _ in last_stage()]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert not [name for name in names[names.index("USER") :] if name in ("RUN", "COPY", "ADD")]
    assert stage["ENTRYPOINT"] == '["audiorec"]'
    assert f'"{stage["EXPOSE"]}"' in stage["CMD"]
    assert f"127.0.0.1:{stage['EXPOSE']}/healthz" in stage["HEALTHCHECK"]


def test_an_image_is_built_from_what_is_there_and_let_in():
    let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = [
        word
        for name, text in instructions()
        if name == "COPY" and "--from" not in text
        for word in text.split()[:-1]
    ]
    assert sorted(copied) == sorted(let_in)
    assert all((ROOT / name).exists() for name in copied)
    extras = next(text for name, text in instructions() if name == "ARG").partition("=")[2]
    assert set(extras.split(",")) <= set(ABOUT["optional-dependencies"])
    read = {"README.md", "hatch_build.py", "pyproject.toml", *ABOUT["license-files"]}
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    packages = {name.partition("/")[0] for name in wheel["packages"]}
    assert read | packages | set(wheel["force-include"]) == set(copied)


def test_the_health_check_knows_a_server_from_none(tmp_path):
    needs("starlette")
    code = re.search(r'"(from urllib.*)"\]', dict(last_stage())["HEALTHCHECK"])[1]
    assert "127.0.0.1:8095" in code
    with serving(write_served(tmp_path), "--no-page") as (base, _):
        port = base.rpartition(":")[2]
        check = [sys.executable, "-c", code.replace("8095", port)]
        assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    assert subprocess.run(check, capture_output=True, check=False).returncode == 1


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    facts = dict(re.findall(r"^([a-z-]+): (.+)$", text, re.MULTILINE))
    assert facts["cff-version"] == "1.2.0"
    assert (facts["title"], facts["version"]) == ("audiorec", ABOUT["version"])
    assert facts["license"] == ABOUT["license"]
    assert f"name: {ABOUT['authors'][0]['name']}" in text


def made_wheel(
    path,
    names,
    *,
    extras=tuple(ABOUT["optional-dependencies"]),
    name=ABOUT["name"],
    version=None,
    description="Find the songs.",
):
    info = "audiorec-9.dist-info"
    metadata = [
        f"Name: {name}",
        f"Version: {version or ABOUT['version']}",
        *(f"Provides-Extra: {e}" for e in extras),
    ]
    scripts = "".join(f"{name} = {target}\n" for name, target in ABOUT["scripts"].items())
    texts = {"METADATA": "\n".join([*metadata, "", description]), "entry_points.txt": scripts}
    others = ("WHEEL", "RECORD", "licenses/LICENSE", "licenses/NOTICE")
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**texts, **dict.fromkeys(others, "")}.items():
            archive.writestr(f"{info}/{name}", text)
        for name in names:
            archive.writestr(name, "")
    return path


def test_a_wheel_is_held_to_what_git_tracks(tmp_path):
    files = ["audiorec/a.py", "cli/audiorec_cli/b.py", "tests/test_a.py", "audiorec/py.typed"]
    names = in_wheel(files)
    assert names == {"audiorec/a.py", "audiorec_cli/b.py", "audiorec/py.typed"}
    path = tmp_path / "a.whl"
    assert list(wheel_faults(made_wheel(path, names), names, PROJECT)) == []
    odd = made_wheel(path, {"audiorec/a.py", "audiorec_cli/b.py", "tests/x.py"}, extras=["web"])
    assert list(wheel_faults(odd, names, PROJECT)) == [
        "a.whl: lacks 1: audiorec/py.typed",
        "a.whl: holds besides 1: tests/x.py",
        "a.whl: its extras are not those of pyproject.toml",
    ]
    dead = made_wheel(path, names, description="[here](docs/owner.md)")
    assert list(wheel_faults(dead, names, PROJECT)) == [
        "a.whl: its description has 1 relative links, such as docs/owner.md"
    ]
    old = made_wheel(path, names, name="audiorec", version="0.0.1")
    assert list(wheel_faults(old, names, PROJECT)) == [
        "a.whl: its name is audiorec, not audiorec-music",
        f"a.whl: its version is 0.0.1, not {ABOUT['version']}",
    ]


def test_a_source_archive_is_held_to_what_it_should_hold(tmp_path):
    files = ["audiorec/a.py", "tests/test_a.py", "benchmarks/b.py", "README.md", "README.md.old"]
    expected = in_source(files, PROJECT)
    assert expected == {"audiorec/a.py", "tests/test_a.py", "README.md"}
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("audiorec/a.py", "README.md", "PKG-INFO", "notes.txt"):
            archive.addfile(tarfile.TarInfo(f"audiorec-9/{name}"), io.BytesIO())
        link = tarfile.TarInfo("audiorec-9/tests/test_a.py")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert list(source_faults(path, expected)) == [
        "a.tar.gz: holds besides 1: notes.txt",
        "a.tar.gz: audiorec-9/tests/test_a.py is no plain file",
    ]


@pytest.mark.skipif(not HAS_GIT, reason="needs the repository")
def test_the_source_archive_has_all_that_tests_and_docs_need():
    kept = in_source(tracked(ROOT), PROJECT)
    for name in ("tests/needs.py", "fixtures/audio/README.md", "conftest.py", "docs/formats.md"):
        assert name in kept
    assert not [name for name in kept if name.startswith(("benchmarks/", ".ci/"))]
    packages = in_wheel(tracked(ROOT))
    assert {"audiorec/py.typed", "audiorec_cli/main.py"} <= packages


def test_one_sentence_says_what_audiorec_is_for():
    sentence = ABOUT["description"]
    assert next(iter(app.help.splitlines())) == sentence
    for page in ("README.md", "docs/index.md", "CITATION.cff"):
        opening = " ".join((ROOT / page).read_text(encoding="utf-8")[:400].split())
        assert sentence in opening, page


def test_the_long_description_has_no_link_that_only_a_clone_has():
    needs("hatchling")
    from hatch_build import RELATIVE, with_absolute_links

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(RELATIVE.findall(text)) > 40
    made = with_absolute_links(text, "https://audiorec.example/x")
    assert not RELATIVE.findall(made)
    assert "![The page" in made
    assert "](https://audiorec.example/x/raw/main/docs/pictures/page-tour.webp)" in made
    assert "](https://audiorec.example/x/blob/main/docs/owner.md)" in made
    links = "[a](https://a.example) [b](#below)"
    assert with_absolute_links(links, "https://audiorec.example/x") == links
