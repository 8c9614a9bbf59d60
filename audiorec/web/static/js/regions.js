// Names on the map: of the groups where they are dense, or of artists once one looks closely; a region
// that neither names has the word in which its songs stand out.

const [ACROSS, DOWN] = [16, 10]; // cells of the visible part
const CELLS = ACROSS * DOWN;
const ARTISTS_FROM = 3; // zoom
const SHARE = 0.5; // of the songs around a name that have it
const MOST = 60; // names that are tried
const WORDS_FROM = 5; // songs that have a word: fewer may have it by chance

// Return names with a place on the map, most songs first; `view` maps screen shares to songs.
export function regions(library, { x, y, mask, view, groups, zoom }) {
  const cells = new Int16Array(x.length).fill(-1);
  let songs = 0;
  for (let row = 0; row < x.length; row++) {
    const [u, v] = mask[row] ? view(x[row], y[row]) : [-1, -1];
    if (!(u >= 0 && u < 1 && v >= 0 && v < 1)) continue;
    cells[row] = Math.floor(v * DOWN) * ACROSS + Math.floor(u * ACROSS);
    songs++;
  }
  const { artist, style } = library.texts;
  const coded = ({ values, codes }, least) => dense({ x, y, cells }, values, (row, add) => add(codes[row]), least);
  if (zoom >= ARTISTS_FROM) return coded(artist, 2);
  const least = Math.max(2, songs / 50);
  const found = groups ? dense({ x, y, cells }, groups.names, clear(library, groups), least).map((one) => ({ ...one, group: one.code })) : [];
  if (groups?.by === "head:genre" && style) found.push(...coded(style, least));
  const named = Array.from({ length: CELLS }, (_, cell) => found.some((one) => isBeside(one.cell, cell)));
  for (let row = 0; row < x.length; row++) if (named[cells[row]]) cells[row] = -1;
  return [...found.sort((a, b) => b.n - a.n), ...loudest(library, { x, y, cells }, Math.max(WORDS_FROM, least))];
}

// The words that no other with more songs stands beside.
function loudest(library, places, least) {
  const { loud } = library.numbers;
  if (!loud) return [];
  const each = (row, add) => { for (let bits = loud[row]; bits; bits &= bits - 1) add(31 - Math.clz32(bits & -bits)); };
  const found = dense(places, library.about.loud, each, least);
  return found.filter((one, at) => !found.slice(0, at).some((other) => isBeside(other.cell, one.cell)));
}

// The group of each song; none for the rest, and for a song whose genre is not clear.
function clear(library, { by, code, rest }) {
  const sure = by === "head:genre" ? library.numbers.genre_clear : null;
  return (row, add) => { if (sure?.[row] !== 0 && code(row) !== rest) add(code(row)); };
}

const isBeside = (cell, other) => Math.abs((cell % ACROSS) - (other % ACROSS)) < 2 && Math.abs(Math.floor(cell / ACROSS) - Math.floor(other / ACROSS)) < 2;

// Where each of some names is dense, if at least half of the songs there have it, most songs first.
// `each` calls back with the number of each name of a song, or a negative one.
function dense({ x, y, cells }, names, each, least) {
  const counts = new Uint32Array(names.length);
  const all = new Uint32Array(CELLS);
  let row = 0; // one function for all songs: this is called for each of them
  const tally = (code) => { if (code >= 0) counts[code]++; };
  for (row = 0; row < cells.length; row++) {
    if (cells[row] < 0) continue;
    all[cells[row]]++;
    each(row, tally);
  }
  const usual = [...counts.keys()].filter((code) => counts[code] >= least).sort((a, b) => counts[b] - counts[a]).slice(0, MOST);
  const sums = [];
  for (const code of usual) sums[code] = { n: new Uint32Array(CELLS), x: new Float64Array(CELLS), y: new Float64Array(CELLS) };
  const sum = (code) => {
    const one = sums[code];
    if (!one) return;
    one.n[cells[row]]++;
    one.x[cells[row]] += x[row];
    one.y[cells[row]] += y[row];
  };
  for (row = 0; row < cells.length; row++) if (cells[row] >= 0) each(row, sum);
  return usual.map((code) => ({ code, name: names[code], group: -1, ...densest(sums[code], all) }))
    .filter((best) => best.n >= least && best.n >= SHARE * best.of).sort((a, b) => b.n - a.n);
}

// The three by three cells with the most songs of a name: their mean, how many there are in all, the middle one.
function densest({ n, x, y }, all) {
  let best = { n: 0, of: 1, x: 0, y: 0, cell: 0 };
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
      if (sum.n > best.n) best = { n: sum.n, of: sum.of, x: sum.x / sum.n, y: sum.y / sum.n, cell: row * ACROSS + column };
    }
  }
  return best;
}
