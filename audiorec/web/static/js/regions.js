// Names on the map: of the groups where they are dense, and of artists once one looks closely.

const [ACROSS, DOWN] = [16, 10]; // cells of the visible part
const ARTISTS_FROM = 3; // zoom
const SHARE = 0.5; // of the songs around a name that have it
const MOST = 60; // names that are tried

// Return names with a place on the map, most songs first; `view` maps screen shares to songs.
export function regions(library, { x, y, mask, view, groups, zoom }) {
  const all = new Uint32Array(ACROSS * DOWN);
  const artists = zoom >= ARTISTS_FROM ? library.texts.artist : null;
  const codeOf = artists ? (row) => artists.codes[row] : groups.code;
  const rows = [];
  const counts = new Uint32Array(artists ? artists.values.length : groups.names.length);
  for (let row = 0; row < x.length; row++) {
    if (!mask[row]) continue;
    const [u, v] = view(x[row], y[row]);
    if (!(u >= 0 && u < 1 && v >= 0 && v < 1)) continue;
    const cell = Math.floor(v * DOWN) * ACROSS + Math.floor(u * ACROSS);
    all[cell]++;
    const code = codeOf(row);
    if (code < 0 || (!artists && code === groups.rest)) continue;
    counts[code]++;
    rows.push(row, cell);
  }
  const usual = [...counts.keys()].filter((code) => counts[code] > 1).sort((a, b) => counts[b] - counts[a]).slice(0, MOST);
  const make = (kind) => new kind(all.length);
  const cells = new Map(usual.map((code) => [code, { n: make(Uint32Array), x: make(Float64Array), y: make(Float64Array) }]));
  for (let at = 0; at < rows.length; at += 2) {
    const [row, cell] = [rows[at], rows[at + 1]];
    const one = cells.get(codeOf(row));
    if (!one) continue;
    one.n[cell]++;
    one.x[cell] += x[row];
    one.y[cell] += y[row];
  }
  const songs = all.reduce((sum, n) => sum + n, 0);
  const least = artists ? 2 : Math.max(2, songs / 50);
  const found = [];
  for (const [code, one] of cells) {
    const best = densest(one, all);
    if (best.n < least || best.n < SHARE * best.of) continue;
    found.push({ name: artists ? artists.values[code] : groups.names[code], group: artists ? -1 : code, ...best });
  }
  return found.sort((a, b) => b.n - a.n);
}

// The three by three cells with the most songs of a group: their mean, and how many there are in all.
function densest({ n, x, y }, all) {
  let best = { n: 0, of: 1, x: 0, y: 0 };
  for (let row = 0; row < DOWN; row++) {
    for (let column = 0; column < ACROSS; column++) {
      const sum = { n: 0, of: 0, x: 0, y: 0 };
      for (let r = Math.max(0, row - 1); r <= Math.min(DOWN - 1, row + 1); r++) {
        for (let c = Math.max(0, column - 1); c <= Math.min(ACROSS - 1, column + 1); c++) {
          const at = r * ACROSS + c;
          sum.n += n[at];
          sum.of += all[at];
          sum.x += x[at];
          sum.y += y[at];
        }
      }
      if (sum.n > best.n) best = { n: sum.n, of: sum.of, x: sum.x / sum.n, y: sum.y / sum.n };
    }
  }
  return best;
}
