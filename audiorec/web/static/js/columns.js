// Which columns the list shows: chosen in a menu, and remembered by the browser.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { useAway } from "./popup.js";
import { remember, remembered } from "./store.js";

export const NARROW = "(max-width: 820px)";
const GAP = 10; // pixels between columns
const PAD = 24; // pixels beside a row
// Least width in pixels and share of the room of a column.
const WIDTHS = {
  __proto__: null,
  title: [150, 2.2], artist: [120, 1.5], album: [90, 1.1], length: [58, 0], "head:genre": [92, 0.9], "head:version": [194, 1.5],
  "own:bpm": [64, 0], "own:key": [76, 0], mood: [84, 0.4], "own:year": [56, 0], loudness: [90, 0], style: [80, 0.4], copies: [66, 0],
};
const OTHER = [90, 0.8];

const nameOf = (isNarrow) => `columns${isNarrow ? "-narrow" : ""}`;

function usual(library, isNarrow) {
  const heads = Object.keys(library.about.heads).reverse().map((head) => `head:${head}`);
  const albums = library.texts.album.values.length ? ["album"] : [];
  return isNarrow ? ["title", "length"] : ["title", "artist", ...albums, ...heads, "length"];
}

function chosenBefore(library, isNarrow) {
  const names = remembered(nameOf(isNarrow));
  return Array.isArray(names) ? names : usual(library, isNarrow);
}

// The chosen columns, in the order of the library, a function that chooses others, and whether the page is narrow.
export function useColumns(library) {
  const [isNarrow, setNarrow] = useState(matchMedia(NARROW).matches);
  const [names, setNames] = useState(() => chosenBefore(library, isNarrow));
  useEffect(() => {
    const wish = matchMedia(NARROW);
    const look = () => { setNarrow(wish.matches); setNames(chosenBefore(library, wish.matches)); };
    wish.addEventListener("change", look);
    return () => wish.removeEventListener("change", look);
  }, [library]);
  const choose = (next) => {
    setNames(next);
    remember(nameOf(isNarrow), next);
  };
  return [library.columns.filter(([name]) => name === "title" || names.includes(name)), choose, isNarrow];
}

// The columns of a row as the browser wants them, and the least width of a row.
export function laidOut(columns) {
  const widths = columns.map(([name]) => WIDTHS[name] || OTHER);
  const least = widths.reduce((sum, [width]) => sum + width, 40 + PAD + GAP * widths.length);
  return ["40px " + widths.map(([width, share]) => (share ? `minmax(${width}px, ${share}fr)` : `${width}px`)).join(" "), `${least}px`];
}

export function ColumnMenu({ library, columns, choose }) {
  const [isOpen, setOpen] = useState(false);
  const box = useRef(null);
  useAway(box, isOpen, () => setOpen(false));
  const shown = columns.map(([name]) => name);
  const flip = (name) => choose(shown.includes(name) ? shown.filter((one) => one !== name) : [...shown, name]);
  return html`<div class="menu" ref=${box}>
    <button class="small" aria-expanded=${isOpen} aria-controls="columns" onClick=${() => setOpen(!isOpen)}>Columns</button>
    ${isOpen && html`<div id="columns" class="popup" role="group" aria-label="Columns of the list">
      ${library.columns.filter(([name]) => name !== "title").map(([name, words]) => html`<label key=${name}>
        <input type="checkbox" checked=${shown.includes(name)} onChange=${() => flip(name)} /> ${words}</label>`)}
    </div>`}</div>`;
}
