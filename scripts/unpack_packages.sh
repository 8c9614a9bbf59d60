#!/usr/bin/env bash
# Fetch and unpack the Debian packages that the heads learn from, one folder each:
#
#     bash scripts/unpack_packages.sh DIR
#
# Needs apt (Debian 13 or later, after `apt-get update`) and uv; about 2.5 GB. What is there is
# kept. Music in an archive of a game (pk3) is unpacked beside it.
set -euo pipefail
target=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$target/.packages"
names=$(PYTHONPATH="$here" uv run --quiet --project "$here/.." python -c \
  'from head_packages import CORPORA; print(*sorted({c.folder for c in CORPORA}))')
target=$(cd "$target" && pwd)
for name in $names; do
  [ -d "$target/$name" ] && continue
  (cd "$target/.packages" && apt-get download --quiet=2 "$name")
  dpkg-deb --extract "$target/.packages/${name}_"*.deb "$target/.partial"
  find "$target/.partial" -name '*.pk3' -exec \
    sh -c 'for file; do python3 -m zipfile --extract "$file" "$file.d"; done' sh {} +
  mv "$target/.partial" "$target/$name"
done
