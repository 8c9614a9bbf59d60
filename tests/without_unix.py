"""Hide what only Unix has, in this process and in every Python that it starts."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
SIGNALS = ("SIGALRM", "SIGHUP", "SIGPIPE", "SIGQUIT", "SIGUSR1", "SIGUSR2")
# What Windows lacks; not what modules of others call where they find Linux: waitpid, uname.
NAMES = """
O_CLOEXEC O_DIRECTORY O_DSYNC O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC chown chroot fchdir fchmod
fchown fork forkpty fstatvfs getegid geteuid getgid getgroups getloadavg getpgid getpgrp
getpriority getresgid getresuid getsid getuid killpg lchown lockf mkfifo mknod nice openpty
pathconf pipe2 posix_fadvise posix_fallocate posix_spawn posix_spawnp pread preadv pwrite
pwritev readv sched_getaffinity sched_setaffinity sched_yield sendfile setegid seteuid setgid
setpgid setpriority setresuid setsid setuid statvfs sync wait wait3 wait4 waitid
writev
""".split()
EXTRAS = (
    "torch torchaudio fsspec s3fs ray umap matplotlib librosa sklearn "
    "polars h11 starlette uvicorn cryptography onnx private_set_intersection"
).split()
HIDE = "import sys; sys.path.append({tests!r}); import without_unix; without_unix.hide({mark!r})\n"
RUN = "import runpy, sys; sys.argv[0] = ''; runpy.run_module({module!r}, run_name='__main__')"


def hide(mark: str) -> None:
    """Hide modules, functions and flags of Unix; leave a line in the file `mark`."""
    for name in (*MODULES, *EXTRAS):
        sys.modules[name] = None  # an import of it is an ImportError from now on
    for name in NAMES:
        os.__dict__.pop(name, None)
    for name in SIGNALS:
        delattr(signal, name)
    os.supports_dir_fd, os.supports_fd = set(), set()
    for name in ("remove", "rename", "replace", "rmdir", "unlink"):
        setattr(os, name, _refusing_open_files(getattr(os, name)))
    real_init = subprocess.Popen.__init__

    def init(self, args, *rest, **more):
        real_init(self, _hiding(list(args), mark), *rest, **more)

    subprocess.Popen.__init__ = init
    with Path(mark).open("a") as file:
        file.write(f"{os.getpid()}\n")


def _refusing_open_files(change):
    """Wrap a function of os: like Windows, it moves and removes no file that is open here."""

    def changed(*paths, **more):
        for path in paths:
            full = str(Path(path).absolute())
            # filelock's own file, where there is no other lock, is not there on Windows.
            if "lock.soft" not in full and full in _open_files():
                raise PermissionError(13, "the file is open", full)
        return change(*paths, **more)

    return changed


def _open_files() -> set[str]:
    """Return the files that this process has open or mapped, as Linux tells them."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            found.add(str(descriptor.readlink()))
    mapped = Path("/proc/self/maps").read_text().splitlines()
    return found | {line.split(maxsplit=5)[-1] for line in mapped}


def _hiding(command: list[str], mark: str) -> list[str]:
    """Return the command of a Python with the hiding in front of what it does."""
    if command[0] != sys.executable:
        return command
    prelude = HIDE.format(tests=str(Path(__file__).parent), mark=mark)
    if "-c" in command:
        at = command.index("-c")
        return [*command[: at + 1], prelude + command[at + 1], *command[at + 2 :]]
    at = command.index("-m")
    code = prelude + RUN.format(module=command[at + 1])
    return [*command[:at], "-c", code, *command[at + 2 :]]
