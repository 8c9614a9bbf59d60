// The songs of the library as columns, and which of them are shown in which order.

import { getBytes, getJson, setEdition } from "./api.js";

const ARRAYS = { f4: Float32Array, u1: Uint8Array, u4: Uint32Array };
const NONE = "—";
const PIECE = 10_000; // songs indexed at a time
// Columns that a store may have, and how those that need other words than their names are called.
const EXTRA = ["own:bpm", "own:key", "mood", "own:year", "added", "loudness", "style", "copies"];
const WORDS = {
  __proto__: null,
  "head:version": "Voice", added: "Newest", codec: "Format", status: "Audio quality", copies: "Twice", loudness: "Loudness",
  "own:bpm": "Tempo", "own:key": "Key", "own:scale": "Major or minor",
  "own:bpm_other": "Tempo: or else", "own:bpm_confidence": "Tempo: how certain", "own:key_confidence": "Key: how certain",
};
const LAST = 2 ** 33; // sorts after all others; times a million songs it is still exact

export async function loadLibrary() {
  const about = await getJson("/api/library"); // first: it opens the library as it is now
  setEdition(about.edition);
  const [texts, numbers] = await Promise.all([getJson("/api/texts"), getBytes("/api/numbers")]);
  return new Library(about, texts, numbers);
}

export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const entries = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const columns = { __proto__: null };
  for (const { name, type, at, n } of entries) {
    columns[name] = new ARRAYS[type](buffer, 4 + length + at, n);
  }
  return columns;
}

export class Library {
  constructor(about, texts, numbers) {
    this.about = about;
    this.n = about.songs;
    this.texts = Object.assign(Object.create(null), texts); // columns have any name
    this.ids = texts.id;
    this.numbers = unpack(numbers);
    this.ranks = new Map();
    this.orders = new Map();
    this.collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  }

  // A slow map arrives when it has been computed; until then the PCA map is shown.
  async waitForMap(isThere) {
    if (this.about.projection === "pca") return;
    const answer = await getBytes("/api/places").catch(() => null);
    if (answer?.byteLength === 8 * this.n) {
      const places = new Float32Array(answer);
      this.numbers.x = places.subarray(0, this.n);
      this.numbers.y = places.subarray(this.n);
      isThere();
    } else if (answer) {
      setTimeout(() => this.waitForMap(isThere), 2000);
    }
  }

  text(name, row) {
    const column = this.texts[name];
    const code = column.codes[row];
    return code < 0 ? "" : column.values[code];
  }

  title(row) {
    return this.text("title", row) || stem(this.ids[row] || "");
  }

  artist(row) {
    return this.text("artist", row);
  }

  length(row) {
    return this.numbers.duration[row];
  }

  // "jazz" for the most likely class of a head, "jazz, perhaps" for a genre that is not sure; empty if a
  // song is not music.
  best(head, row) {
    if (head !== "version" && !this.numbers.music[row]) return "";
    const code = this.numbers[`head:${head}`]?.[row];
    const name = this.about.heads[head]?.[code];
    if (name === undefined) return "";
    const isUnclear = head === "genre" && this.numbers.genre_clear?.[row] === 0;
    return this.words(head, name) + (isUnclear ? ", perhaps" : "");
  }

  words(head, name) {
    return this.about.words[`${head}/${name}`] || name;
  }

  mean(place, row) {
    return this.numbers.means[row * this.about.classes.length + place] / 255;
  }

  row(id) {
    if (!this.byId) this.byId = new Map(this.ids.map((name, row) => [name, row]));
    return this.byId.get(id);
  }

  // Rank of each song by a column; equal values have equal ranks.
  rank(by) {
    if (!this.ranks.has(by)) this.ranks.set(by, this.makeRank(by));
    return this.ranks.get(by);
  }

  makeRank(by) {
    const rank = new Float64Array(this.n);
    const [kind, name] = split(by);
    if (by === "length") return Float64Array.from(this.numbers.duration);
    if (kind === "class") {
      for (let row = 0; row < this.n; row++) rank[row] = -this.mean(Number(name), row);
      return rank;
    }
    if (this.numbers[by]) return Float64Array.from(this.numbers[by]);
    if (by === "title") return this.rankTexts(Array.from(this.ids, (_, row) => this.title(row)));
    const column = this.texts[by];
    const places = this.rankTexts(column.values);
    for (let row = 0; row < this.n; row++) {
      rank[row] = column.codes[row] < 0 ? Infinity : places[column.codes[row]];
    }
    return rank;
  }

  rankTexts(values) {
    const order = Uint32Array.from(values, (_, place) => place);
    order.sort((a, b) => this.collator.compare(values[a], values[b]));
    const rank = new Float64Array(values.length);
    for (let place = 0; place < order.length; place++) rank[order[place]] = place;
    return rank;
  }

  // Searchable text of each song, in lower case; built in pieces in idle time, or at once if a
  // search comes first.
  prepareSearch() {
    const made = this.haystackPieces();
    const go = () => {
      if (!this.found && !made.next().done) setTimeout(go, 0);
    };
    setTimeout(go, 300);
  }

  get haystack() {
    if (!this.found) for (const _ of this.haystackPieces()); // to its end
    return this.found;
  }

  *haystackPieces() {
    const { title, artist, album } = this.texts;
    const [titles, artists, albums] = [title, artist, album].map((column) => column.values.map((text) => text.toLowerCase()));
    const at = (values, codes, row) => (codes[row] < 0 ? "" : values[codes[row]]);
    const found = new Array(this.n);
    for (let row = 0; row < this.n; row++) {
      found[row] = `${at(titles, title.codes, row)}\n${at(artists, artist.codes, row)}\n${at(albums, album.codes, row)}\n${this.ids[row].toLowerCase()}`;
      if (row % PIECE === PIECE - 1) yield row;
    }
    this.found = found;
  }

  // Which songs are shown: without hidden classes, inside the circled region.
  mask({ hidden, lasso, colour }) {
    const mask = new Uint8Array(this.n).fill(1);
    if (lasso) for (let row = 0; row < this.n; row++) mask[row] &= lasso[row];
    if (hidden.size) {
      const groups = this.groups(colour);
      if (groups) for (let row = 0; row < this.n; row++) mask[row] &= !hidden.has(groups.code(row));
    }
    return mask;
  }

  // The shown songs, sorted; unknown values come last in either direction.
  order(mask, { by, down }) {
    const whole = this.wholeOrder(by, down);
    const found = new Uint32Array(this.n);
    let n = 0;
    for (const row of whole) if (mask[row]) found[n++] = row;
    return found.subarray(0, n);
  }

  wholeOrder(by, down) {
    const name = `${by} ${down}`;
    if (!this.orders.has(name)) this.orders.set(name, this.makeOrder(this.rank(by), down ? -1 : 1));
    return this.orders.get(name);
  }

  // Rank and row packed into one number: sorting numbers is ten times as fast as comparing songs.
  makeOrder(rank, sign) {
    const n = this.n;
    const steps = rank.every((value) => value !== value || value === Infinity || Math.abs(value) < 1e6) ? 4096 : 1;
    const keys = new Float64Array(n);
    for (let row = 0; row < n; row++) {
      const known = Number.isFinite(rank[row]);
      keys[row] = (known ? Math.round(sign * rank[row] * steps) : LAST) * n + row;
    }
    keys.sort();
    const order = new Uint32Array(n);
    for (let at = 0; at < n; at++) order[at] = ((keys[at] % n) + n) % n;
    return order;
  }

  // Columns that the list can show, in order: [name, words].
  get columns() {
    if (!this.known) {
      const heads = Object.keys(this.about.heads).reverse().map((head) => `head:${head}`);
      const there = (name) => this.texts[name] || this.numbers[name];
      const own = [...Object.keys(this.texts), ...Object.keys(this.numbers)].filter((name) => name.startsWith("own:"));
      const all = ["title", "artist", "album", ...heads, "length", ...EXTRA.filter(there), "codec", "status", ...own];
      this.known = [...new Set(all)].map((name) => [name, WORDS[name] || label(split(name)[1] || name)]);
    }
    return this.known;
  }

  // Columns that dots can be coloured by.
  get colours() {
    const without = new Set(["title", "album"]);
    const found = this.columns.filter(([name]) => !without.has(name));
    if (this.numbers.means) {
      this.about.classes.forEach((name, place) => found.push([`class:${place}`, `How much ${this.about.words[name]}`]));
    }
    return found;
  }

  // What a curve may be of: [column here, name at the server, words].
  get measures() {
    const own = Object.keys(this.numbers).filter((name) => name.startsWith("own:tag_")).map((name) => [name, name.slice(4), `${label(name.slice(4))} (mood)`]);
    const there = [["own:bpm", "bpm", "Tempo"], ["loudness", "loudness", "Loudness"]].filter(([name]) => this.numbers[name]);
    const classes = this.numbers.means ? this.about.classes.map((name, at) => [`class:${at}`, name, label(this.about.words[name])]) : [];
    return [...there, ...classes, ...own];
  }

  isNumber(by) {
    return by === "length" || (!this.texts[by] && [Float32Array, Uint32Array].includes(this.numbers[by]?.constructor));
  }

  // What the list shows of a song in a column.
  say(by, row) {
    if (by === "title") return this.title(row);
    if (by === "length") return clock(this.length(row));
    if (by.startsWith("head:")) return this.best(by.slice(5), row);
    if (by === "own:key") return `${this.text(by, row)} ${this.texts["own:scale"] ? this.text("own:scale", row) : ""}`.trim();
    if (this.texts[by]) return this.text(by, row);
    const value = this.numbers[by][row];
    if (!Number.isFinite(value) || (by === "copies" && !value)) return "";
    return figure(by, value);
  }

  // Groups of a column: names, counts, and the group of each song; null for numeric columns.
  groups(by) {
    const [kind, name] = split(by);
    if (kind === "class" || this.isNumber(by)) return null;
    if (this.groupsOf?.by === by) return this.groupsOf;
    const found = kind === "head" ? this.headGroups(name) : this.textGroups(by);
    this.groupsOf = { by, ...found };
    return this.groupsOf;
  }

  headGroups(head) {
    const codes = this.numbers[`head:${head}`];
    const names = [...this.about.heads[head].map((name) => this.words(head, name)), "none of these"];
    const last = names.length - 1;
    const isShown = (row) => (this.numbers.music[row] || head === "version") && codes[row] < last;
    const code = (row) => (isShown(row) ? codes[row] : last);
    return counted(names, code, this.n, last);
  }

  textGroups(name) {
    const { values, codes } = this.texts[name];
    const counts = new Uint32Array(values.length);
    for (const code of codes) if (code >= 0) counts[code]++;
    const order = Array.from(values, (_, place) => place).sort((a, b) => counts[b] - counts[a]);
    const shown = order.slice(0, 10);
    const group = new Int32Array(values.length).fill(shown.length);
    shown.forEach((place, at) => {
      group[place] = at;
    });
    const names = [...shown.map((place) => values[place]), values.length > 10 ? "others" : NONE];
    const last = names.length - 1;
    return counted(names, (row) => (codes[row] < 0 ? last : group[codes[row]]), this.n, last);
  }

  values(by) {
    const [kind, name] = split(by);
    if (kind === "class") return Float32Array.from(this.ids, (_, row) => this.mean(Number(name), row));
    return by === "length" ? this.numbers.duration : this.numbers[by];
  }
}

function counted(names, code, n, rest) {
  const counts = new Array(names.length).fill(0);
  for (let row = 0; row < n; row++) counts[code(row)]++;
  return { names, code, counts, rest };
}

function split(by) {
  const at = by.indexOf(":");
  return at < 0 ? [by, ""] : [by.slice(0, at), by.slice(at + 1)];
}

export function stem(id) {
  const name = id.slice(id.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  return dot > 0 ? name.slice(0, dot) : name;
}

export function label(name) {
  const words = name.replace(/^tag_/, "").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

// A number of a column as people write it: a year without a comma, loudness with one decimal.
export function figure(by, value) {
  if (by === "length") return clock(value);
  if (by === "added") return new Date(1000 * value).toLocaleDateString("en", { year: "numeric", month: "short", day: "numeric" });
  if (by === "loudness") return value.toFixed(1);
  if (by === "own:bpm") return value.toFixed(0);
  return value.toLocaleString("en", { maximumSignificantDigits: Number.isInteger(value) ? 21 : 3, useGrouping: !Number.isInteger(value) || Math.abs(value) > 9999 });
}

export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "–:––";
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// How often each value occurs among things, the most frequent first: [[value, n]]. Things without a value are left out.
export function tally(things, of, weight = () => 1) {
  const counts = new Map();
  for (const one of things) { const value = of(one); if (value) counts.set(value, (counts.get(value) || 0) + weight(one)); }
  return [...counts].sort((a, b) => b[1] - a[1]);
}

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
