// The list of songs: only visible rows are rendered; fully usable by keyboard.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { ColumnMenu, laidOut, useColumns } from "./columns.js";
import { Cover } from "./covers.js";
import { Icon } from "./icons.js";
import { count } from "./library.js";
import { addToList } from "./list-state.js";
import { Radio } from "./parts.js";
import { play, playing } from "./player.js";
import { go, songPath } from "./route.js";
import { page, say, use, useLibrary } from "./store.js";

const HEIGHT = 52; // pixels of a row
const COVER = 40;
const USUAL = ["added", "title", "artist", "album", "own:bpm", "length", "head:genre", "own:year"]; // ways to sort, before "More"
const HEADS = 36;
const SPARE = 8; // rows rendered above and below the visible ones

export function ListView() {
  const library = useLibrary();
  const rows = use((s) => s.rows);
  const sort = use((s) => s.sort);
  const selected = use((s) => s.selected);
  const isNarrowed = use((s) => Boolean(s.lasso || s.hidden.size));
  const isPlaying = use((s) => s.row, playing);
  const box = useRef(null);
  const [span, setSpan] = useState([0, 40]);
  const [columns, chooseColumns, isNarrow] = useColumns(library);
  const hasSubline = isNarrow && !columns.some(([by]) => by === "artist");
  const sorts = [...library.columns, ...library.colours.filter(([by]) => by.startsWith("class:"))];
  const isUsual = ([by]) => USUAL.includes(by);
  const first = sorts.filter(isUsual).sort((a, b) => USUAL.indexOf(a[0]) - USUAL.indexOf(b[0]));
  const others = sorts.filter((one) => !isUsual(one));
  const [layout, leastWidth] = laidOut(columns);
  const kind = (by) => `cell ${by.replace(/[^\w-].*/, "")} ${library.isNumber(by) ? "number" : ""}`;
  const place = rows.indexOf(selected);

  const look = () => {
    if (!box.current) return;
    const { scrollTop, clientHeight } = box.current;
    const first = Math.max(0, Math.floor(scrollTop / HEIGHT) - SPARE);
    const last = Math.ceil((scrollTop + clientHeight) / HEIGHT) + SPARE;
    setSpan((old) => (old[0] === first && old[1] === last ? old : [first, last]));
  };
  useLayoutEffect(() => {
    look();
    const seen = new ResizeObserver(look);
    seen.observe(box.current);
    return () => seen.disconnect();
  }, []);
  useEffect(() => { box.current.scrollTop = 0; look(); }, [sort, library]);
  useEffect(look, [rows]);
  useEffect(() => {
    if (place >= 0) reveal(box.current, place);
  }, [selected, rows]);

  const sortBy = (by) => page.set({ sort: { by, down: sort.by === by && !sort.down } });
  const onKey = (event) => {
    const page_ = Math.max(1, Math.floor(box.current.clientHeight / HEIGHT) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page_, PageUp: -page_, Home: -rows.length, End: rows.length };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves) {
      const next = Math.min(rows.length - 1, Math.max(0, place < 0 ? 0 : place + moves[event.key]));
      if (rows[next] !== undefined) page.set({ selected: rows[next] });
    } else if (event.key === "Enter" && place >= 0) {
      play(rows[place], { queue: [...rows] });
    } else if (event.key === "a" && place >= 0) {
      addToList([rows[place]]);
      say(`${library.title(rows[place])} is in your list`);
    } else if (event.key === "i" && place >= 0) {
      go(songPath(library, rows[place]));
      setTimeout(() => document.getElementById("song-title")?.focus(), 50);
    } else {
      return;
    }
    event.preventDefault();
  };
  const shown = Array.from(rows.subarray(span[0], Math.min(span[1], rows.length)));
  return html`<section class="list" aria-labelledby="list-title">
    <div class="above">
      <h1 id="list-title">${count(rows.length, "song")}
        ${rows.length < library.n && html`<span class="quiet"> of ${library.n.toLocaleString("en")}</span>`}</h1>
      ${isNarrowed && html`<button class="small" onClick=${() => page.set({ lasso: null, hidden: new Set() })}>Show all songs</button>`}
      ${rows.length > 0 && rows.length < library.n && html`<${Radio} class="small" rows=${rows} words="Radio from these" />`}
      <${ColumnMenu} library=${library} columns=${columns} choose=${chooseColumns} />
      <p class="keys quiet"><kbd>↑</kbd><kbd>↓</kbd> choose, <kbd>Enter</kbd> play, <kbd>A</kbd> add to your list,
        <kbd>I</kbd> about the song</p>
    </div>
    <div class="grid" role="grid" aria-labelledby="list-title" aria-rowcount=${rows.length + 1} tabindex="0"
      aria-activedescendant=${place >= span[0] && place < span[1] ? `song-${selected}` : undefined}
      onKeyDown=${onKey} ref=${box} onScroll=${look}>
      <div class="row heads" role="row" aria-rowindex="1" style=${{ gridTemplateColumns: layout, minWidth: leastWidth }}>
        <div role="columnheader"><span class="hidden">Play</span></div>
        ${columns.map(([by, name]) => html`<div class=${kind(by)} role="columnheader"
          aria-sort=${sort.by === by ? (sort.down ? "descending" : "ascending") : "none"}>
          <button tabindex="-1" class="plain" onClick=${() => sortBy(by)}>${name}
            <span aria-hidden="true">${sort.by === by ? (sort.down ? " ▾" : " ▴") : ""}</span></button></div>`)}
      </div>
      <div class="space" role="rowgroup" style=${{ height: `${rows.length * HEIGHT}px`, minWidth: leastWidth }}>
        ${shown.map((row, at) => html`<div key=${row} id=${`song-${row}`} role="row" aria-rowindex=${span[0] + at + 2}
          class=${`row ${row === isPlaying ? "plays" : ""} ${hasSubline ? "tall" : ""}`} aria-selected=${row === selected}
          style=${{ top: `${(span[0] + at) * HEIGHT}px`, gridTemplateColumns: layout }}
          onClick=${(e) => (e.target.closest("button") ? play(row, { queue: [...rows] }) : go(songPath(library, row)))}>
          <div role="gridcell"><button class="plain cover-button" tabindex="-1" title=${`Play ${library.title(row)}`}><${Cover} rows=${[row]} size=${COVER} /><${Icon} name="play" /></button></div>
          ${columns.map(([by]) => html`<div class=${kind(by)} role="gridcell"><bdi>${library.say(by, row)}</bdi></div>`)}
          ${hasSubline && html`<div class="cell under quiet" role="gridcell"><bdi>${library.artist(row)}</bdi></div>`}
        </div>`)}
      </div>
      ${!rows.length && html`<p class="empty">No songs match.</p>`}
    </div>
    <label class="sorter">Sort by
      <select value=${sort.by} onChange=${(e) => page.set({ sort: { by: e.target.value, down: e.target.value === "added" } })}>
        ${first.map(([by, name]) => html`<option value=${by}>${name}</option>`)}
        <optgroup label="More">${others.map(([by, name]) => html`<option value=${by}>${name}</option>`)}</optgroup>
      </select>
      <button class="small" aria-pressed=${sort.down} onClick=${() => page.set({ sort: { ...sort, down: !sort.down } })}>
        Reverse</button></label>
  </section>`;
}

function reveal(box, place) {
  const top = place * HEIGHT;
  const room = box.clientHeight - HEADS; // below the row of heads
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + HEIGHT > box.scrollTop + room) box.scrollTop = top + HEIGHT - room;
}
