"""Wheels of plug-ins of this repository, and environments that have them."""

import subprocess
import sys
import venv
import zipfile

from needs import needs


def build_wheel(folder, out):
    """Build the wheel of a plug-in; return its path."""
    needs("hatchling")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(out)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def environment(wheel, home):
    """Return the Python of an environment that has the wheel, and this one's packages."""
    venv.create(home, symlinks=True)
    site = next(home.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:  # what installing a wheel of pure Python does
        archive.extractall(site)
    ours = [path for path in sys.path if path.endswith("site-packages")]
    lines = "".join(f"import site; site.addsitedir({path!r})\n" for path in ours)
    (site / "of_the_tests.pth").write_text(lines)
    return home / "bin" / "python"
