// Colours of groups and of amounts, for light and for dark.

const LIGHT = ["#2f5fd0", "#d4490f", "#2f8a3a", "#a87900", "#8b3fb5", "#067f9c", "#cf2b83", "#96582a",
  "#39424f", "#b8202a"];
const DARK = ["#7aa2ff", "#ff9f5f", "#7fd37f", "#e8c659", "#c792ea", "#45cfe6", "#ff80c3", "#d19a66",
  "#aab6c6", "#ff6f6f"];
// From low to high; steps also differ in lightness, so that they are distinguishable without colour.
const RAMP_LIGHT = ["#e9eef8", "#aec3ea", "#5a86cf", "#2a5cb5", "#0c2f7a"];
const RAMP_DARK = ["#212836", "#33508c", "#4c7cd1", "#7fb0f2", "#d3e8ff"];

const wish = window.matchMedia("(prefers-color-scheme: dark)");
export const isDark = () => wish.matches;
export function onTheme(listener) {
  wish.addEventListener("change", listener);
  return () => wish.removeEventListener("change", listener);
}

export const faint = () => (isDark() ? "#3a414d" : "#d3d7de");
export const rest = () => (isDark() ? "#5c6573" : "#a3a9b4");
export const ink = () => (isDark() ? "#f2f4f8" : "#14171c");
export const accent = () => (isDark() ? "#8ab0ff" : "#1d4ed8");
export const paper = () => (isDark() ? "#14171c" : "#ffffff");

export function groupColour(place, last) {
  if (place === last) return rest();
  const colours = isDark() ? DARK : LIGHT;
  return colours[place % colours.length];
}

export function amountColour(share) {
  const ramp = isDark() ? RAMP_DARK : RAMP_LIGHT;
  const at = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
  const low = Math.min(Math.floor(at), ramp.length - 2);
  return mixed(ramp[low], ramp[low + 1], at - low);
}

function parts(colour) {
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
    const table = groups.names.map((_, place) => packed(groupColour(place, groups.rest)));
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
