// Colours of music: of genres, of other groups and of amounts, for light and for dark. The page itself is ink and paper.

const GENRES = ["blues", "classical", "country", "electronic", "folk", "hiphop", "jazz", "metal", "pop", "rock"];
export const DARK = ["#548cf6", "#fcb92d", "#fc701f", "#94f2ec", "#23794b", "#d0fb72", "#7f4dc8", "#96adbe", "#c8659f", "#d02414"];
const LIGHT = ["#2f4bd8", "#a98600", "#bc5a00", "#159897", "#629459", "#405900", "#5e27a6", "#666c75", "#83034e", "#ea585c"];
// From low to high; steps also differ in lightness, so that they are distinguishable without colour.
const RAMP_LIGHT = ["#e9e4d6", "#c7b98a", "#9b8a3e", "#5f5a1c", "#26250c"];
const RAMP_DARK = ["#24242a", "#4b4a3c", "#857f4e", "#c9bd6a", "#fff3b8"];

const wish = window.matchMedia("(prefers-color-scheme: dark)");
export const isDark = () => wish.matches;
export function onTheme(listener) {
  wish.addEventListener("change", listener);
  return () => wish.removeEventListener("change", listener);
}

export const faint = () => (isDark() ? "#33333a" : "#dcd7c9");
export const rest = () => (isDark() ? "#6a6a72" : "#9a968b");
export const ink = () => (isDark() ? "#f4f1ea" : "#191813");
export const paper = () => (isDark() ? "#0e0e11" : "#f6f3ec");

// The colour of the genre of a name, or of the class of a number.
export function genreColour(name, dark = isDark()) {
  const at = GENRES.indexOf(name);
  return at < 0 ? rest() : (dark ? DARK : LIGHT)[at];
}

export function groupColour(place, last, name = "") {
  if (place === last) return rest();
  const colours = isDark() ? DARK : LIGHT;
  const at = GENRES.indexOf(name.replace("-", ""));
  return colours[(at < 0 ? place : at) % colours.length];
}

export function amountColour(share) {
  const ramp = isDark() ? RAMP_DARK : RAMP_LIGHT;
  const at = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
  const low = Math.min(Math.floor(at), ramp.length - 2);
  return mixed(ramp[low], ramp[low + 1], at - low);
}

export function parts(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

export function mixed(one, other, share) {
  const [a, b] = [parts(one), parts(other)];
  const hex = a.map((v, i) => Math.round(v + (b[i] - v) * share).toString(16).padStart(2, "0"));
  return `#${hex.join("")}`;
}

// Pixel format of a canvas: alpha, blue, green, red.
export function packed(colour) {
  const [r, g, b] = parts(colour);
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

// The colour of every song, by a column of the library.
export function dotColours(library, by) {
  const colours = new Uint32Array(library.n);
  const groups = library.groups(by);
  if (groups) {
    const table = groups.names.map((name, place) => packed(groupColour(place, groups.rest, name)));
    for (let row = 0; row < library.n; row++) colours[row] = table[groups.code(row)];
    return colours;
  }
  const values = library.values(by);
  const { low, high } = extent(values);
  const table = Array.from({ length: 64 }, (_, place) => packed(amountColour(place / 63)));
  const nothing = packed(rest());
  for (let row = 0; row < library.n; row++) {
    const share = (values[row] - low) / (high - low || 1);
    colours[row] = share === share ? table[Math.min(63, Math.max(0, Math.round(share * 63)))] : nothing;
  }
  return colours;
}

// Range of values that the colours span: without the outermost hundredth on both sides.
export function extent(values) {
  const known = Float32Array.from(values).filter((value) => value === value).sort();
  if (!known.length) return { low: 0, high: 1 };
  const at = (share) => known[Math.min(known.length - 1, Math.floor(share * known.length))];
  return { low: at(0.01), high: at(0.99) };
}
