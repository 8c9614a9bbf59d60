"""Zips of kilobytes that unfold to gigabytes, whatever packs them."""

import bz2
import lzma
import zipfile

import pytest
from made_zip import LZMA_FILTER, LZMA_HEAD, write_zip

from audiorec.errors import DamagedFileError
from audiorec.listening.imports.job import import_history


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_never_takes_more_memory_than_it_claims(tmp_path, method, peak_mib):
    """192 MiB in a few kB, of which the directory says that they are one."""
    packer = bz2.BZ2Compressor() if method == zipfile.ZIP_BZIP2 else None
    if packer is None:
        packer = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[LZMA_FILTER])
    blank = b" " * (1 << 20)
    bomb = packer.compress(b"[") + b"".join(packer.compress(blank) for _ in range(192))
    bomb += packer.flush()
    head, ends = (b"", 0) if method == zipfile.ZIP_BZIP2 else (LZMA_HEAD, 2)
    path = write_zip(tmp_path / "bomb.zip", head + bomb, method, 1 << 20, flags=ends)
    assert path.stat().st_size < 100_000
    with peak_mib() as peak, pytest.raises(DamagedFileError) as caught:
        import_history("spotify", [path], tmp_path / "plays.parquet")
    assert peak.grown < 100
    assert "its checksum is wrong" in str(caught.value)
