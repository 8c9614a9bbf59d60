"""Outputs that cannot be written: rows of the table in `docs/faults.md`."""

import ctypes
import shutil
import subprocess

NO_ROOM = "cannot be written: no space left on device; free some space and repeat the command"
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24
RECORD = "vecs.parquet.run.json"
AT_ONCE = "import audiorec.store.journal as j; j.PART_S = 0.0\n"  # a part for each song, 18 kB
SMALL_FILES = (
    AT_ONCE + "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (21_000, 21_000))"
)
FULL_AT_A_PART = (
    AT_ONCE
    + """
real, calls = j.write_batches, []
def write(path, batches, metadata):
    calls.append(1)
    if len(calls) >= 3:
        path.write_bytes(b"PAR1 half of it")
        raise OSError(28, "No space left on device")
    return real(path, batches, metadata)
j.write_batches = write
"""
)
FULL_AT_THE_COMMIT = """
import audiorec.store.journal as j
def full(path, batches, metadata):
    path.write_bytes(b"PAR1 half of it")
    raise OSError(28, "No space left on device")
j.write_batches = full
"""
# A disk that lasts as long as this shell: a run on it, more room, and the same run.
TWICE = """
disk=$1; seen=$2; shift 2
mount -t tmpfs -o size=64k none "$disk"
"$@" 2> "$seen/first"; first=$?
ls -A "$disk" > "$seen/left"
mount -o remount,size=64m "$disk"
"$@" 2> "$seen/second"; second=$?
cp -r "$disk" "$seen/out"
echo "$first $second" > "$seen/codes"
"""


def refused(ended, message):
    """One line that says so, and the exit code of an output that is of no use."""
    assert ended.code == 4, ended.lines
    assert len(ended.errors) == 1
    assert message in ended.errors[0]
    assert ended.lines[-1] == ended.errors[0]


def test_a_full_disk_loses_no_finished_song(command):
    refused(command.run(prelude=FULL_AT_A_PART), NO_ROOM)
    assert not command.out.exists()
    assert {p.name for p in command.out.parent.iterdir()} <= {"vecs.parquet.run", RECORD}
    assert command.kept() == 2
    command.goes_on(unchanged=2)


def test_a_small_disk(command, tmp_path):
    """A disk of 64 kB, then a larger one; where mounting is not allowed, small files."""
    if not may_mount():
        refused(
            command.run(prelude=SMALL_FILES), "cannot be written: file too large; free some space"
        )
        command.goes_on(unchanged=command.kept())
        return
    command.out.parent.mkdir()
    seen = tmp_path / "seen"
    seen.mkdir()
    disk = ["unshare", "-rm", "sh", "-c", TWICE, "sh", str(command.out.parent), str(seen)]
    process = command.start(prelude=AT_ONCE, wrap=disk)
    process.communicate()
    assert (seen / "codes").read_text() == "4 0\n"
    assert NO_ROOM in (seen / "first").read_text().splitlines()[-1]
    assert (seen / "left").read_text() == "vecs.parquet.run\n"
    assert "unchanged" in (seen / "second").read_text().splitlines()[0]
    shutil.copytree(seen / "out", command.out.parent, dirs_exist_ok=True)
    command.is_as_expected()


def test_a_limit_on_the_size_of_files_is_a_full_disk_too(command):
    refused(command.run(prelude=SMALL_FILES), "cannot be written: file too large; free some space")
    assert command.kept() == 4
    command.goes_on(unchanged=4)


def test_a_full_disk_keeps_the_old_output_as_it_is(command):
    command.goes_on()
    before = command.out.read_bytes()
    refused(command.run("--overwrite", prelude=FULL_AT_THE_COMMIT), NO_ROOM)
    assert command.out.read_bytes() == before
    command.goes_on(unchanged=4)


def may_mount() -> bool:
    """Whether this process may have a mount of its own that ends with it."""
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /mnt"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def without_override() -> None:
    """Take root's right to write everywhere from the program that is about to start."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


def test_a_folder_that_may_not_be_written(command):
    command.out.parent.mkdir()
    command.out.parent.chmod(0o555)
    ended = command.run(before_exec=without_override)
    refused(ended, "vecs.parquet: cannot be written: permission denied; choose another place")
    assert list(command.out.parent.iterdir()) == []
    command.out.parent.chmod(0o755)
    command.goes_on()


def test_a_folder_that_is_a_file(command):
    command.out.parent.write_text("my notes")
    ended = command.run()
    refused(ended, "vecs.parquet: cannot be written: file exists; choose another place")
    assert command.out.parent.read_text() == "my notes"
