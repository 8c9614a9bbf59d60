// The map and its legend: pan, zoom, select or circle songs, hide classes.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { amountColour, dotColours, extent, groupColour, onTheme } from "./colours.js";
import { Icon } from "./icons.js";
import { clock, count, figure } from "./library.js";
import { list } from "./list-state.js";
import { SongMap } from "./map.js";
import { regions } from "./regions.js";
import { play, playing } from "./player.js";
import { page, say, use } from "./store.js";

let view = null; // where one looked before another part of the page was shown
const STEP = 40; // pixels of an arrow key

export function MapView() {
  const canvas = useRef(null);
  const map = useRef(null);
  const library = use((s) => s.library);
  const colour = use((s) => s.colour);
  const mask = use((s) => s.mask);
  const marks = use((s) => s.marks);
  const selected = use((s) => s.selected);
  const other = use((s) => s.other);
  const maps = use((s) => s.maps);
  const near = use((s) => s.near);
  const isRoute = use((s) => s.isRoute);
  const songs = use((s) => s.songs, list);
  const isSearch = use((s) => Boolean(s.text || s.onlyBits));
  const row = use((s) => s.row, playing);
  const [theme, setTheme] = useState(0);
  const [circling, setCircling] = useState(false);
  const [tip, setTip] = useState(null);
  const dots = useMemo(() => dotColours(library, colour), [library, colour, theme]);

  useEffect(() => {
    const drawn = new SongMap(canvas.current);
    map.current = drawn;
    window.songMap = drawn; // lets tests measure how long a frame takes
    if (view) drawn.view = view;
    const { x, y } = library.numbers;
    drawn.set({ x, y, colours: dots, mask, marks, selected, other, playing: row });
    drawn.resize();
    const seen = new ResizeObserver(() => drawn.resize());
    seen.observe(canvas.current);
    const stop = onTheme(() => setTheme((n) => n + 1));
    return () => { view = drawn.view; seen.disconnect(); stop(); };
  }, []);
  useEffect(() => {
    const { x, y } = library.numbers;
    map.current.set({ x, y, colours: dots, mask, marks, selected, other, playing: row });
  }, [dots, mask, marks, selected, other, row, maps]);
  useEffect(() => { if (selected >= 0) map.current.show(selected); }, [selected]);
  useEffect(() => { map.current.set({ near: isRoute ? [] : near }); }, [near, isRoute]);
  useEffect(() => {
    map.current.set({ route: isRoute ? songs : null, titles: (one) => library.title(one) });
    if (isRoute) map.current.fit(masked(library.n, songs));
  }, [isRoute, songs]);
  useEffect(() => { map.current.set({ names: (drawn) => named(library, colour, drawn) }); }, [library, colour, theme]);
  const searched = useRef(false);
  useEffect(() => {
    if (isSearch) map.current.fit(mask);
    else if (searched.current) map.current.reset();
    searched.current = isSearch;
  }, [isSearch, mask]);
  usePointers(canvas, map, circling, setCircling, setTip);

  return html`<section class="map" aria-labelledby="map-title">
    <h2 id="map-title" class="hidden">Map</h2>
    <div class="picture">
      <canvas ref=${canvas} tabindex="0" role="application" aria-roledescription="map"
        class=${circling ? "circling" : ""} aria-describedby="map-help"
        aria-label=${`Map of ${count(library.n, "song")}: songs that sound alike lie together`}
        onKeyDown=${(e) => onKey(e, map.current)}></canvas>
      <p id="map-help" class="hidden">Arrow keys move the map, plus and minus zoom, zero shows all.
        The list below has the same songs.</p>
      ${tip && html`<div class="tip" style=${{ left: `${tip.left}px`, top: `${tip.top}px` }}>
        <strong><bdi>${library.title(tip.row)}</bdi></strong>
        <span><bdi>${library.artist(tip.row)}</bdi> ${clock(library.length(tip.row))}</span></div>`}
      <div class="tools">
        <button class="icon" title="Zoom in" onClick=${() => map.current.zoomAt(1.5)}><${Icon} name="plus" /></button>
        <button class="icon" title="Zoom out" onClick=${() => map.current.zoomAt(1 / 1.5)}><${Icon} name="minus" /></button>
        <button class="icon" title="Show all songs" onClick=${() => map.current.reset()}><${Icon} name="home" /></button>
        <button class="icon" title="Circle songs to select them" aria-pressed=${circling}
          onClick=${() => setCircling(!circling)}><${Icon} name="circle" /></button>
      </div>
    </div>
    ${marks ? html`<p class="legend quiet">Shown: recommended songs, coloured by channel or interest.
      <button class="link" onClick=${() => page.set({ marks: null })}>Show all songs</button></p>`
    : isRoute && songs.length ? html`<p class="legend quiet">Shown: your list, a line through its songs in order. <button class="link" onClick=${() => { page.set({ isRoute: false }); map.current.reset(); }}>Hide it</button></p>`
    : html`<${Legend} library=${library} colour=${colour} theme=${theme} />`}
  </section>`;
}

function masked(n, rows) {
  const mask = new Uint8Array(n);
  for (const row of rows) mask[row] = 1;
  return mask;
}

// The names of what lies together: of the groups that colour the dots, and words.
function named(library, colour, map) {
  const groups = library.groups(colour);
  const { x, y, mask } = map.songs;
  if (!mask) return [];
  const { width, height } = map.size;
  const view = (at, up) => map.toScreen(at, up).map((pixels, place) => pixels / [width, height][place]);
  return regions(library, { x, y, mask, view, groups, zoom: map.view.zoom });
}

function onKey(event, map) {
  const moves = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
  const move = moves[event.key];
  if (move) map.pan(...move);
  else if (event.key === "+" || event.key === "=") map.zoomAt(1.3);
  else if (event.key === "-") map.zoomAt(1 / 1.3);
  else if (event.key === "0") map.reset();
  else return;
  event.preventDefault();
}

function usePointers(canvas, map, circling, setCircling, setTip) {
  // Effects wait for a frame; a gesture may begin before it, so the listeners stay and ask this.
  const isCircling = useRef(circling);
  isCircling.current = circling;
  useEffect(() => {
    const element = canvas.current;
    const down = new Map();
    let line = null;
    let moved = 0;
    const place = (event) => {
      const box = element.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const onDown = (event) => {
      element.setPointerCapture(event.pointerId);
      down.set(event.pointerId, place(event));
      moved = 0;
      setTip(null);
      if (isCircling.current || event.shiftKey) line = [map.current.toMap(...place(event))];
    };
    const onMove = (event) => {
      const at = place(event);
      const before = down.get(event.pointerId);
      if (!before) {
        const row = map.current.pick(...at);
        element.style.cursor = row >= 0 && !isCircling.current ? "pointer" : "";
        setTip(row < 0 ? null : { row, left: Math.min(at[0] + 12, element.clientWidth - 180), top: at[1] + 14 });
        return;
      }
      moved += Math.abs(at[0] - before[0]) + Math.abs(at[1] - before[1]);
      if (line) {
        line.push(map.current.toMap(...at));
        map.current.set({ lasso: line });
      } else if (down.size === 2) {
        const [far] = [...down].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
        const was = Math.hypot(before[0] - far[0], before[1] - far[1]);
        const is = Math.hypot(at[0] - far[0], at[1] - far[1]);
        map.current.zoomAt(is / (was || 1), (at[0] + far[0]) / 2, (at[1] + far[1]) / 2);
      } else {
        map.current.pan(at[0] - before[0], at[1] - before[1]);
      }
      down.set(event.pointerId, at);
    };
    const onUp = (event) => {
      if (!down.delete(event.pointerId)) return;
      if (line) {
        if (line.length > 3) circle(map.current, line);
        line = null;
        map.current.set({ lasso: null });
        setCircling(false);
      } else if (moved < 5) {
        const row = map.current.pick(...place(event));
        if (row >= 0) page.set({ selected: row, pane: "song" });
      }
    };
    const onLeave = () => setTip(null);
    const onWheel = (event) => {
      event.preventDefault();
      map.current.zoomAt(Math.exp(-event.deltaY * 0.0016), ...place(event));
    };
    const onDouble = (event) => {
      const row = map.current.pick(...place(event));
      if (row >= 0) play(row, { queue: [...page.get().rows] });
    };
    const all = [["pointerdown", onDown], ["pointermove", onMove], ["pointerup", onUp],
      ["pointercancel", onUp], ["pointerleave", onLeave], ["wheel", onWheel], ["dblclick", onDouble]];
    for (const [name, act] of all) element.addEventListener(name, act, { passive: false });
    return () => { for (const [name, act] of all) element.removeEventListener(name, act); };
  }, []);
}

function circle(map, line) {
  const lasso = map.inside(line);
  const n = lasso.reduce((sum, one) => sum + one, 0);
  if (!n) {
    say("No songs inside");
    return;
  }
  page.set({ lasso });
  say(`${count(n, "song")} circled`);
}

function Legend({ library, colour, theme }) {
  const hidden = use((s) => s.hidden);
  const lasso = use((s) => s.lasso);
  const groups = library.groups(colour);
  const flip = (place) => {
    const next = new Set(hidden);
    if (!next.delete(place)) next.add(place);
    page.set({ hidden: next });
  };
  return html`<div class="legend" data-theme=${theme}>
    <label>Colour
      <select value=${colour} onChange=${(e) => page.set({ colour: e.target.value, hidden: new Set() })}>
        ${library.colours.map(([by, name]) => html`<option value=${by}>${name}</option>`)}
      </select></label>
    ${groups ? groups.names.map((name, place) => groups.counts[place] > 0 && html`
      <button class="group" aria-pressed=${!hidden.has(place)} onClick=${() => flip(place)}
        title=${hidden.has(place) ? `Show ${name}` : `Hide ${name}`}>
        <span class="swatch" style=${{ background: groupColour(place, groups.rest) }}></span>
        <bdi>${name}</bdi> <span class="quiet">${groups.counts[place].toLocaleString("en")}</span></button>`)
      : html`<${Amount} library=${library} colour=${colour} />`}
    ${lasso && html`<button class="link" onClick=${() => page.set({ lasso: null })}>Clear the circle</button>`}
  </div>`;
}

function Amount({ library, colour }) {
  const { low, high } = extent(library.values(colour));
  const shown = (value) => figure(colour, value);
  return html`<span class="amount">${shown(low)}
    ${Array.from({ length: 9 }, (_, at) => html`<span class="swatch" style=${{ background: amountColour(at / 8) }}></span>`)}
    ${shown(high)}</span>`;
}
