// The map and its legend: pan, zoom, select or circle songs, hide classes.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { getJson } from "./api.js";
import { amountColour, dotColours, extent, groupColour, onTheme } from "./colours.js";
import { Cover, faceNow } from "./covers.js";
import { Icon } from "./icons.js";
import { clock, count, figure, tally } from "./library.js";
import { list, listOf } from "./list-state.js";
import { cutOut, SHAPES, SongMap } from "./map.js";
import { Failed, IconButton, Names, PlayAll, Radio, SongLine } from "./parts.js";
import { called, given, placesOf, rename } from "./places.js";
import { play, playing } from "./player.js";
import { go, mapPath, note, route, rowOf, short, songPath } from "./route.js";
import { page, remember, say, use, useAnswer, useLibrary } from "./store.js";

const STEP = 40; // pixels of an arrow key
const NEAREST = 8; // songs beside a chosen one that are in view with it

export function MapView() {
  const canvas = useRef(null);
  const land = useRef(null);
  const map = useRef(null);
  const library = useLibrary();
  const colour = use((s) => s.colour);
  const mask = use((s) => s.mask);
  const marks = use((s) => s.marks);
  const maps = use((s) => s.maps);
  const homes = use((s) => s.homes);
  const names = use((s) => s.names, given);
  const { rest, query, path } = use((s) => s, route);
  const row = use((s) => s.row, playing);
  const songs = use((s) => s.songs, list);
  const [theme, setTheme] = useState(0);
  const [tool, setTool] = useState(query.get("path") ? "path" : "move");
  const [tip, setTip] = useState(null);
  const hasShapes = use((s) => s.shapes);
  const kinds = useMemo(() => { const groups = hasShapes && library.groups(colour); return groups ? Uint8Array.from(library.ids, (_, one) => groups.code(one) % SHAPES.length) : null; }, [library, colour, hasShapes]);
  const dots = useMemo(() => dotColours(library, colour), [library, colour, theme]);
  const selected = query.get("song") ? rowOf(library, query.get("song")) : -1;
  const [from, to] = rest[0] === "path" ? [rowOf(library, rest[1]), rowOf(library, rest[2])] : [-1, -1];
  const isWay = from >= 0 && to >= 0;
  const [way, wayError] = useAnswer(() => isWay && getJson(`/api/path/${from}/${to}`), [library, from, to]);
  const isRoute = rest[0] === "list";
  const onWay = isWay ? way?.rows || [from, to] : isRoute ? songs : null;
  const [near] = useAnswer(() => selected >= 0 && getJson(`/api/song/${selected}/near`), [library, selected]);
  const close = selected >= 0 ? near?.rows || [] : [];

  useEffect(() => {
    const drawn = new SongMap(canvas.current, land.current);
    map.current = drawn;
    window.songMap = drawn; // lets tests measure how long a frame takes
    const { x, y } = library.numbers;
    drawn.set({ x, y, colours: dots, kinds, mask, marks, selected, playing: row, faces: (one, size, then) => faceNow(library, one, size, then), titles: (one) => library.title(one) });
    drawn.resize();
    const at = (query.get("at") || "").split(",").map(Number);
    if (at.length === 2 && at.every(Number.isFinite)) drawn.look({ x: at[0], y: at[1], zoom: Number(query.get("z")) || 1 });
    let first = true;
    drawn.onRest = ({ x: across, y: up, zoom }) => {
      const { view, query: now, rest: where } = route.get();
      if (first || view !== "map" || where.length) { first = false; return; }
      const next = new URLSearchParams(now);
      next.delete("path");
      if (zoom === 1 && !across && !up) { next.delete("at"); next.delete("z"); } else { next.set("at", `${across.toFixed(3)},${up.toFixed(3)}`); next.set("z", zoom.toFixed(2)); }
      const text = next.toString().replaceAll("%2C", ",");
      note(`/map${text ? `?${text}` : ""}`);
    };
    const seen = new ResizeObserver(() => drawn.resize());
    seen.observe(canvas.current);
    const stop = onTheme(() => setTheme((n) => n + 1));
    document.fonts?.ready.then(() => drawn.later());
    return () => { drawn.onRest = null; seen.disconnect(); stop(); };
  }, []);
  useEffect(() => {
    const { x, y } = library.numbers;
    const places = placesOf(library).map((one) => ({ ...one, name: called(one) }));
    map.current.set({ x, y, colours: dots, kinds, mask, marks, selected, playing: row, places });
  }, [dots, kinds, mask, marks, selected, row, maps, homes, names, library]);
  useEffect(() => { map.current.set({ near: onWay ? [] : close, route: onWay }); }, [near, way, path, songs]);
  // A chosen song is shown with its neighbours, also on a small screen.
  useEffect(() => {
    page.set({ selected });
    if (selected < 0 || !near) return;
    const { width, height } = map.current.size;
    const { x, y } = library.numbers;
    const isIn = [selected, ...close.slice(0, 4)].every((one) => { const [left, top] = map.current.toScreen(x[one], y[one]); return left > 20 && top > 60 && left < width - 20 && top < height - 20; });
    if (!isIn) map.current.fit(masked(library.n, [selected, ...close.slice(0, NEAREST)]), 3);
  }, [selected, near]);
  useEffect(() => { if (onWay?.length > 1) map.current.fit(masked(library.n, onWay), 2.2); }, [way, isRoute]);
  const choose = (one) => {
    if (one < 0) return;
    const { query: now } = route.get();
    if (tool === "path" && selected >= 0 && one !== selected) { go(`/map/path/${short(library.ids[selected])}/${short(library.ids[one])}`); setTool("move"); return; }
    const next = new URLSearchParams(location.search || now);
    next.set("song", short(library.ids[one]));
    next.delete("path");
    go(`/map?${next.toString().replaceAll("%2C", ",")}`);
  };
  const chosen = useRef(choose);
  chosen.current = choose;
  usePointers(canvas, map, tool === "circle", () => setTool("move"), setTip, (one) => chosen.current(one));

  const title = library.title.bind(library);
  return html`<section class="map" aria-labelledby="map-title">
    <h1 id="map-title" class="hidden">Map</h1>
    <div class="picture">
      <canvas class="land" ref=${land} aria-hidden="true"></canvas>
      <canvas ref=${canvas} tabindex="0" role="application" aria-roledescription="map"
        class=${`dots ${tool === "move" ? "" : "circling"}`} aria-describedby="map-help"
        aria-label=${`Map of ${count(library.n, "song")}: songs that sound alike lie together`}
        onKeyDown=${(e) => onKey(e, map.current)}></canvas>
      <p id="map-help" class="hidden">Arrow keys move the map, plus and minus zoom, zero shows all. The list of songs has the same songs.</p>
      ${tip && html`<div class="tip" style=${{ left: `${tip.left}px`, top: `${tip.top}px` }}>
        <strong><bdi>${title(tip.row)}</bdi></strong>
        <span><bdi>${library.artist(tip.row)}</bdi> ${clock(library.length(tip.row))}</span></div>`}
      <div class="tools pill-box" role="group" aria-label="What the pointer does">
        ${[["move", "map", "Move"], ["circle", "circle", "Draw around"], ["path", "path", "Path"]].map(([name, icon, words]) => html`
          <button aria-pressed=${tool === name} title=${{ circle: "Circle songs to select them", path: "Choose two songs: the way between them becomes a list" }[name]} onClick=${() => setTool(name)}><${Icon} name=${icon} /> <span>${words}</span></button>`)}
      </div>
      ${tool === "path" && html`<p class="tip hint" role="status">${selected >= 0 ? `From ${title(selected)} to which song?` : "Choose the first song."}</p>`}
      <div class="zooms pill-box"><${IconButton} name="minus" title="Zoom out" onClick=${() => map.current.zoomAt(1 / 1.5)} />
        <${IconButton} name="plus" title="Zoom in" onClick=${() => map.current.zoomAt(1.5)} />
        <button title="Show all songs" onClick=${() => map.current.reset()}>Whole map</button></div>
      ${marks ? html`<p class="legend pill-box">Shown: recommended songs, coloured by channel or interest.
        <button class="link" onClick=${() => page.set({ marks: null })}>Show all songs</button></p>`
    : html`<${Legend} library=${library} colour=${colour} theme=${theme} />`}
      <${Failed} of=${wayError} />
      ${onWay?.length > 1 ? html`<${Way} rows=${onWay} isPath=${isWay} />` : selected >= 0 && html`<${Card} row=${selected} near=${close} startPath=${() => setTool("path")} />`}
      <${Circled} />
    </div>
    <${PlaceList} library=${library} homes=${homes} />
  </section>`;
}

// The chosen song, and what sounds like it.
function Card({ row, near, startPath }) {
  const library = useLibrary();
  return html`<section class="card song-card" aria-label="The chosen song">
    <div class="line"><a href=${songPath(library, row)}><${Cover} rows=${[row]} size=${72} /></a>
      <${Names} row=${row} id="song-title"><span class="quiet">${[clock(library.length(row)), library.texts["own:key"] && library.say("own:key", row), library.best("genre", row)].filter(Boolean).join(", ")}</span><//>
      <${IconButton} name="close" title="Close" onClick=${() => go("/map")} /></div>
    <div class="buttons"><button class="main" onClick=${() => play(row, { queue: [row, ...near] })}><${Icon} name="play" /> Play</button>
      <${Radio} rows=${[row]} /><button onClick=${startPath}><${Icon} name="path" /> Path to…</button></div>
    ${near.length > 0 && html`<p class="near-it"><span class="quiet">near it</span>${near.slice(0, 5).map((one) => html`<a href=${mapPath(library, one)} title=${library.title(one)}><${Cover} rows=${[one]} size=${44} round=${true} /></a>`)}</p>`}
  </section>`;
}

function Way({ rows, isPath }) {
  const library = useLibrary();
  return html`<section class="card way" aria-label="Songs on the way"><h2 class="place-name">${isPath ? `From ${library.title(rows[0])} to ${library.title(rows.at(-1))}` : "Your list"}</h2>
    <p class="quiet">${count(rows.length, "song")}${isPath ? ", no step larger than it must be" : " in order"}</p>
    <ol class="songs lines">${rows.map((row) => html`<${SongLine} key=${row} row=${row} queue=${rows} hasRibbon=${false} />`)}</ol>
    <div class="buttons"><${PlayAll} rows=${rows} />
      ${isPath && html`<button onClick=${() => listOf(rows)}>Keep as list</button>`}<a class="button" href="/map">Close</a></div></section>`;
}

// The songs that were drawn around.
function Circled() {
  const library = useLibrary();
  const lasso = use((s) => s.lasso);
  const rows = use((s) => s.rows);
  if (!lasso) return null;
  const most = tally(rows, (row) => library.best("genre", row).replace(", perhaps", "")).slice(0, 3).map(([name]) => name);
  return html`<div class="circled pill-box" role="status"><strong>${count(rows.length, "song")}</strong> <span class="quiet">${most.length ? `mostly ${most.join(", ")}` : ""}</span>
    <${PlayAll} rows=${rows} />
    <button onClick=${() => listOf(rows)}>Make a list</button>
    <a class="button" href="/songs">See them</a>
    <button class="link" onClick=${() => page.set({ lasso: null })}>Clear the circle</button></div>`;
}

// The places as a list: for those who do not see the map, and to give other names.
function PlaceList({ library }) {
  const places = placesOf(library);
  return html`<details class="place-list"><summary>Places</summary><ul>${places.map((one) => html`<li key=${one.name}><label>
    <span class="quiet">${one.line}, ${count(one.songs, "song")}</span><input class="place-name" type="text" value=${called(one)} aria-label=${`Name of ${one.name}`} onChange=${(e) => rename(one, e.target.value)} /></label>
    <${IconButton} name="play" title=${`Play ${called(one)}`} onClick=${() => play(one.rows[0], { queue: one.rows })} /></li>`)}</ul></details>`;
}

function masked(n, rows) {
  const mask = new Uint8Array(n);
  for (const row of rows) mask[row] = 1;
  return mask;
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

function usePointers(canvas, map, circling, stopCircling, setTip, choose) {
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
        stopCircling();
      } else if (moved < 5) {
        const row = map.current.pick(...place(event));
        choose(row);
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
  const groups = library.groups(colour);
  const hasShapes = use((s) => s.shapes);
  const flip = (place) => {
    const next = new Set(hidden);
    if (!next.delete(place)) next.add(place);
    page.set({ hidden: next });
  };
  return html`<div class="legend pill-box" data-theme=${theme}>
    <label>Colour
      <select value=${colour} onChange=${(e) => page.set({ colour: e.target.value, hidden: new Set() })}>
        ${library.colours.map(([by, name]) => html`<option value=${by}>${name}</option>`)}
      </select></label>
    ${groups && html`<label class="group" title="Another shape for each colour"><input type="checkbox" checked=${hasShapes} onChange=${() => { remember("shapes", !hasShapes); page.set({ shapes: !hasShapes }); }} /> Shapes</label>`}
    ${groups ? groups.names.map((name, place) => groups.counts[place] > 0 && html`
      <button class="group" aria-pressed=${!hidden.has(place)} onClick=${() => flip(place)}
        title=${hidden.has(place) ? `Show ${name}` : `Hide ${name}`}>
        <span class="swatch" style=${{ background: groupColour(place, groups.rest, name), clipPath: hasShapes ? cutOut(place) : "" }}></span>
        <bdi>${name}</bdi> <span class="quiet">${groups.counts[place].toLocaleString("en")}</span></button>`)
      : html`<${Amount} library=${library} colour=${colour} />`}
  </div>`;
}

function Amount({ library, colour }) {
  const { low, high } = extent(library.values(colour));
  const shown = (value) => figure(colour, value);
  return html`<span class="amount">${shown(low)}
    ${Array.from({ length: 9 }, (_, at) => html`<span class="swatch" style=${{ background: amountColour(at / 8) }}></span>`)}
    ${shown(high)}</span>`;
}
