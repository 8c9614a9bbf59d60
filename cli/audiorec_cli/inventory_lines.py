"""What ``audiorec store info`` says in words."""

from collections.abc import Mapping
from typing import Any

from audiorec_cli.shared.console import duration, file_size

UNVERIFIABLE = "damage: unverifiable, the file was written without digests"


def info_lines(name: str, value: Any) -> list[str]:
    """Say one thing about a store in words."""
    if name == "beside":
        return [
            f"beside: {f['kind']} {f['path']}: "
            + (f["problem"] if "problem" in f else f"{f['rows']} rows, {file_size(f['bytes'])}")
            + (", unverifiable" if not f.get("verifiable", True) else "")
            for f in value
        ]
    if name == "weights":
        return [f"weights: {w['name']} {w['sha256']} ({w['licence']})" for w in value]
    if name == "duration_s":
        lengths = [duration(value[k]) for k in ("total", "least", "most")]
        return ["duration: {} (from {} to {} a song)".format(*lengths)]
    if name in ("bytes", "vector_bytes"):
        return [f"{'size' if name == 'bytes' else 'of which vectors'}: {file_size(value)}"]
    if name == "verifiable":
        return ["damage: found by store verify" if value else UNVERIFIABLE]
    if name == "unfinished_run":
        return ["unfinished run: yes, the same audiorec extract goes on"] if value else []
    if isinstance(value, Mapping):
        text = ", ".join(f"{k} {v}" for k, v in value.items() if not isinstance(v, Mapping))
        nested = {k: v for k, v in value.items() if isinstance(v, Mapping)}
        lines = [line for k, v in nested.items() for line in info_lines(f"{name} {k}", v)]
        return ([f"{name.replace('_', ' ')}: {text}"] if text else []) + lines
    if isinstance(value, list):
        value = ", ".join(map(str, value)) or "none"
    return [f"{name.replace('_', ' ')}: {value}"]
