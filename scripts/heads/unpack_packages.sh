#!/usr/bin/env bash
# Fetch and unpack the packages that heads and projection learn from, one folder each:
#
#     bash scripts/heads/unpack_packages.sh DIR
#
# Needs apt (Debian 13 or later, after `apt-get update`) and uv; about 5 GB. What is there is
# kept. A name with a version is a source distribution of PyPI, the others are Debian's. Music in
# an archive of a game (pk3) is unpacked beside it.
set -euo pipefail
target=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$target/.packages"
sources=$(PYTHONPATH="$here" uv run --quiet --project "$here/.." python -c \
  'from head_packages import FETCHED, LOOPS, SOUNDTRACKS
print(*sorted({c.source for c in (*FETCHED, *LOOPS)} | set(SOUNDTRACKS)))')
target=$(cd "$target" && pwd)
for source in $sources; do
  name=${source%%==*}
  folder=$target/${source/==/-}
  [ -d "$folder" ] && continue
  cd "$target/.packages"
  if [ "$name" = "$source" ]; then
    apt-get download --quiet=2 "$name"
    dpkg-deb --extract "${name}_"*.deb "$target/.partial"
    find "$target/.partial" -name '*.pk3' -exec \
      sh -c 'for file; do python3 -m zipfile --extract "$file" "$file.d"; done' sh {} +
  else
    uv run --quiet --no-project --with pip python -m pip download --quiet --no-deps \
      --no-binary "$name" "$source"
    mkdir "$target/.partial"
    tar --extract --file "${source/==/-}.tar.gz" --directory "$target/.partial"
  fi
  mv "$target/.partial" "$folder"
done
