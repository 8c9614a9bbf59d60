"""``audiorec doctor``: check the installation, and say why a part does not work."""

import importlib
import os
import platform
from typing import NamedTuple

import click

from audiorec.distribution import IMPORTED_AS, NAME, install_command
from audiorec_cli.shared.console import Exit, print_json, print_table
from audiorec_cli.shared.options import JsonOption

CORE = (
    "av joblib numpy onnxruntime pyarrow rich safetensors scipy soundfile soxr tinytag click"
).split()
COMMAND = "audiorec_cli.main:main"  # by which releases under the former name are known as ours
TRAIN = "torch torchaudio".split()


class Check(NamedTuple):
    """One line of the doctor's report."""

    what: str
    good: bool
    detail: str
    needed: bool = True


def doctor(json: JsonOption = False) -> None:
    """Check packages, decoders, weights and extras; exit 4 if the installation is not sound.

    Examples
    --------
    audiorec doctor
    audiorec doctor --json
    audiorec doctor > report.txt
    """
    checks = [
        *_system(),
        *_check_same_name(),
        *map(_package, CORE),
        _libsndfile(),
        _ffmpeg(),
        *_weights(),
    ]
    checks += [*map(_extra, TRAIN), _main_job()]
    healthy = all(check.good or not check.needed for check in checks)
    if json:
        rows = [check._asdict() for check in checks]
        print_json({"schema": "audiorec/doctor/1", "healthy": healthy, "checks": rows})
    else:
        rows_text = [(c.what, _mark(c), c.detail) for c in checks]
        print_table(("part", "state", "detail"), rows_text, title="audiorec doctor")
    raise click.exceptions.Exit(Exit.OK if healthy else Exit.NOTHING_USABLE)


def _mark(check: Check) -> str:
    if check.good:
        return "ok"
    return "FAIL" if check.needed else "absent"


def _system() -> list[Check]:
    from audiorec import __version__

    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [
        Check("audiorec", True, __version__),
        Check("python", True, python),
        Check("processors", True, str(os.cpu_count())),
    ]


def _check_same_name() -> list[Check]:
    """Look for a distribution called ``audiorec`` beside ours: both own ``audiorec/``."""
    from importlib.metadata import distributions

    return [
        Check(
            f"{IMPORTED_AS} {beside.version}",
            False,
            f"{_who(COMMAND in {point.value for point in beside.entry_points})}; run pip uninstall "
            f"{IMPORTED_AS} {NAME}, then install {NAME} again from its wheel or source folder",
        )
        for beside in distributions(name=IMPORTED_AS)
    ]


def _who(is_ours: bool) -> str:
    if is_ours:
        return f"an earlier version of {NAME}, whose removal would remove files of this one"
    return f"another project than {NAME}, whose files may have replaced ours"


def _package(name: str) -> Check:
    """Check that a core package can be imported; reveals a broken native library."""
    from importlib.metadata import version

    try:
        importlib.import_module(name)
        return Check(name, True, version(name))
    except (ImportError, OSError, RuntimeError) as error:
        return Check(name, False, f"{type(error).__name__}: {error}")


def _extra(name: str) -> Check:
    """Check a package of the extra train: absence is fine, a failing import is explained."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version(name)
    except PackageNotFoundError:
        return Check(name, False, install_command("train"), needed=False)
    check = _package(name)
    if check.good:
        return check._replace(needed=False)
    hint = "; it does not match the installed torch" if name == "torchaudio" else ""
    return Check(name, False, f"{installed} cannot be imported{hint}: {check.detail}", needed=False)


def _libsndfile() -> Check:
    import soundfile

    return Check("libsndfile", True, str(soundfile.__libsndfile_version__))


def _ffmpeg() -> Check:
    """Report the versions of the FFmpeg libraries bundled with PyAV, which pip does not list."""
    import av

    versions = getattr(av, "library_versions", {})
    names = ("libavcodec", "libavformat", "libavutil")
    detail = " ".join(f"{n} {'.'.join(map(str, versions[n]))}" for n in names if n in versions)
    return Check("ffmpeg in av", True, detail)


def _weights() -> list[Check]:
    """Verify the checksum of every shipped weights file."""
    from audiorec.errors import WeightsError
    from audiorec.tagger.heads import OPEN, Head, shipped_heads
    from audiorec.tagger.weights import WEIGHTS, onnx_model

    checks = []
    for name, entry in WEIGHTS.items():
        try:
            onnx_model(name)
            checks.append(Check(f"musicnn_{name}", True, f"{entry.sha256[:12]} {entry.licence}"))
        except WeightsError as error:
            checks.append(Check(f"musicnn_{name}", False, str(error)))
    try:
        heads = (*shipped_heads(), *shipped_heads(OPEN))
        checks += [Check(path.stem, True, Head.load(path).sha256[:12]) for path in heads]
    except WeightsError as error:
        checks.append(Check("heads", False, str(error)))
    return checks


def _main_job() -> Check:
    """Extract a vector from three seconds of noise, through every stage."""
    import tempfile
    from pathlib import Path

    import numpy as np
    import soundfile

    from audiorec.errors import AudiorecError
    from audiorec.extraction.reader import vector

    samples = 0.1 * np.random.default_rng(0).standard_normal(3 * 44_100)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "noise.wav"
            soundfile.write(path, samples, 44_100)
            return Check("one song", True, f"vector of {len(vector(path))} numbers")
    except (AudiorecError, OSError) as error:
        return Check("one song", False, str(error))
