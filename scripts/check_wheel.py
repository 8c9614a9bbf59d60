"""Run every command of the README with an installed wheel alone: no clone, no fixtures, no network.

    PYTHON scripts/check_wheel.py README.md   # the Python into which the wheel is installed

It runs in an empty folder, with a home of its own. What installs or tests, and what ends only when
somebody ends it, is left out: of `demo` and `start` the page is asked once, then they are stopped.
Needs duckdb for the query. Exits with 1 at the first command that fails, with what it said.
"""

import doctest
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

SERVES = ("demo", "start", "browse")
LIMIT_S = 120
PLACEHOLDER = re.compile(r"\b[A-Z]{4,}\b|~/|\.toml")  # SONG, the reader's own folder or settings


def blocks(text: str, language: str) -> list[str]:
    """Return the blocks of a language, without those about tests."""
    told = text.partition("\n## Tests")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", told, re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[list[str]]:
    """Yield the commands of audiorec as lists of words: of the blocks, then those in sentences."""
    for block in blocks(text, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                words = shlex.split(part, comments=True)
                if words and words[0] == "audiorec":
                    yield words[1:]
    for line in dict.fromkeys(re.findall(r"`audiorec ([^`]+)`", text)):
        if not PLACEHOLDER.search(line):
            yield shlex.split(line)


def run(words: list[str]) -> None:
    """Run a command; of one that serves, ask its page and stop it."""
    program = [str(Path(sys.executable).with_name("audiorec")), *words]
    print("$ audiorec", shlex.join(words), flush=True)
    if words[0] in SERVES and "--copy" not in words:
        serve([*program, "--no-open"])
        return
    done = subprocess.run(program, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode}: {shlex.join(words)}\n{done.stderr}")


def serve(program: list[str]) -> None:
    """Start a command that serves, and ask the address that it prints."""
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().partition("#")[0].strip()
            if not address.startswith("http"):
                raise SystemExit(f"no address: {shlex.join(program)}")
            with urllib.request.urlopen(address, timeout=LIMIT_S) as answer:  # noqa: S310 - http
                if b"audiorec" not in answer.read():
                    raise SystemExit(f"no page: {shlex.join(program)}")
        finally:
            process.send_signal(signal.SIGINT)


def main() -> int:
    """Run all that the README shows."""
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ |= {"HOME": folder, "AUDIOREC_DATA": f"{folder}/data", "AUDIOREC_CONFIG": ""}
        done = list(commands(text))
        for words in done:
            run(words)
        for block in blocks(text, "python"):
            example = doctest.DocTestParser().get_doctest(block, {}, "README", "README", 0)
            if doctest.DocTestRunner().run(example).failed:
                return 1
        import duckdb

        for query in blocks(text, "sql"):
            print(len(duckdb.sql(query).fetchall()), "rows of the query")
    print(f"{len(done)} commands of the README work with the wheel alone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
