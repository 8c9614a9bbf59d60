"""Formats that are recognised by their first bytes but not supported.

    first bytes  ──unsupported_format──▶  "Wave64", or None

An error that names the format tells the user what to convert.
"""

HEAD_BYTES = 1084  # tracker modules are identified by their bytes up to here
_BEGINNINGS = {
    b"tBaK": "TAK",
    b"riff\x2e\x91\xcf\x11": "Wave64",
    b"#!AMR": "AMR",
    b".RMF": "RealAudio",
    b".ra\xfd": "RealAudio",
    b"\x7f\xfe\x80\x01": "DTS",
    b"\xfe\x7f\x01\x80": "DTS",
    b"\x1f\xff\xe8\x00": "DTS",
    b"\xff\x1f\x00\xe8": "DTS",
    b"DTSHDHDR": "DTS",
    b"OFR ": "OptimFROG",
    b"ajkg": "Shorten",
    b"MACF": "Monkey's Audio with floating-point samples",
    b"MP+": "Musepack with a stream version before 7",
    b"TTA2": "True Audio version 2",
    b"FLV\x01": "Flash video",
    b"MThd": "MIDI (notes, no audio)",
}
_TRACKER = "{} (a tracker module: notes and samples)"
# Tracker modules have a signature at a fixed offset: (offset, signature, kind).
_TRACKERS = (
    (0, b"Extended Module: ", "XM"),
    (0, b"IMPM", "IT"),
    (44, b"SCRM", "S3M"),
    *((1080, name, "MOD") for name in (b"M.K.", b"M!K!", b"M&K!", b"FLT4", b"FLT8", b"OCTA")),
    *((1080, b"%dCHN" % n, "MOD") for n in range(1, 10)),
    *((1080, b"%dCH" % n, "MOD") for n in range(10, 33)),
)


def unsupported_format(head: bytes) -> str | None:
    """Return the name of an unsupported format, from a file's first 1084 bytes; None if unknown."""
    for beginning, name in _BEGINNINGS.items():
        if head.startswith(beginning):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "AVI"
    for place, name_at, kind in _TRACKERS:
        if head.startswith(name_at, place):
            return _TRACKER.format(kind)
    return None
