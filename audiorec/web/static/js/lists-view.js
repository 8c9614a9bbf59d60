// Your list: make it from songs, as a path, or along a curve; reorder, lock, play and save it.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { getJson, postJson } from "./api.js";
import { extent } from "./colours.js";
import { NARROW } from "./columns.js";
import { Curve, shaped } from "./curve.js";
import { Downloads } from "./downloads.js";
import { Form, query, valuesOf } from "./form.js";
import { GivenList } from "./given.js";
import { Icon } from "./icons.js";
import { clock, count, figure } from "./library.js";
import { change, drop, dropSeed, flipLock, keep, list, listOf, move, seedFrom, undo, withLocked } from "./list-state.js";
import { useMoves } from "./moves.js";
import { CoverButton, Failed, IconButton, Names } from "./parts.js";
import { play, playing } from "./player.js";
import { go } from "./route.js";
import { page, say, use, useLibrary } from "./store.js";

const WAYS = [["near", "Songs like these"], ["path", "A path between two"], ["curve", "Along a curve"]];
const WAIT = 150;
const MOST_SEEDS = 8; // that are drawn
const EXISTS = 412; // status: a file of this name exists

export function ListsView() {
  const library = useLibrary();
  const { songs, seeds, notes } = use((s) => s, list);
  const failure = use((s) => s.givenFailure);
  const seconds = songs.reduce((sum, row) => sum + library.length(row), 0);
  const [isOpen, setOpen] = useState(songs.length < 2 || !seeds.length || !matchMedia(NARROW).matches);
  const [isEdited, setEdited] = useState(false); // on a narrow screen
  return html`<div class=${`lists ${isEdited ? "edited" : ""}`}><h1 class="hidden">Lists</h1>
    <section class="card making" aria-labelledby="making-title">
      <details open=${isOpen} onToggle=${(e) => setOpen(e.currentTarget.open)}><summary><h2 id="making-title">Make a list</h2></summary>
        <${Maker} fold=${() => setOpen(!matchMedia(NARROW).matches)} /></details></section>
    <section class="card made" aria-labelledby="made-title">
      <div class="above"><h2 id="made-title">Your list <span class="quiet">${count(songs.length, "song")}, ${clock(seconds)}</span></h2>
        <${Actions} songs=${songs} isEdited=${isEdited} edit=${setEdited} /></div>
      ${failure && html`<p class="failure" role="alert"><bdi>${failure}</bdi></p>`}
      ${notes.length === 1 && html`<p class="note"><bdi>${notes[0]}</bdi></p>`}
      ${notes.length > 1 && html`<details class="note"><summary>${count(notes.length, "remark")} on this list</summary>
        <ul>${notes.map((note) => html`<li>${note}</li>`)}</ul></details>`}
      ${songs.length > 0 && html`<${Saving} songs=${songs} />`}
      ${songs.length ? html`<${Songs} songs=${songs} library=${library} />`
        : html`<p class="quiet empty">Nothing yet.</p>`}
    </section></div>`;
}

function Maker({ fold }) {
  const library = useLibrary();
  const { songs, seeds: pinned, locked, curve, scores, isNew } = use((s) => s, list);
  const [way, setWay] = useState("near");
  const fields = library.about.forms[way === "path" ? "path" : "playlist"];
  const [values, setValues] = useState({});
  const { measures } = library;
  const [name, setName] = useState(() => curve?.of || (measures.find(([, of]) => of.startsWith("genre/")) || measures[0])?.[1]);
  const [points, setPoints] = useState(() => curve?.points || shaped("Rise"));
  useEffect(() => { // a list that comes back brings its curve
    if (!curve) return;
    setName(curve.of);
    setPoints(curve.points);
    setWay("curve");
  }, [curve]);
  const [failure, setFailure] = useState("");
  const [isBusy, setBusy] = useState(false);
  const timer = useRef(0);
  const turn = useRef(0);
  const lockedSongs = songs.filter((row) => locked.has(row) && !pinned.includes(row));
  const chosen = [...pinned, ...lockedSongs];
  const seeds = chosen.length ? chosen : songs.slice(0, 1);

  const make = async (wish = {}) => {
    const mine = ++turn.current;
    setBusy(true);
    setFailure("");
    page.set({ givenFailure: "" });
    try {
      const answer = way === "path" ? await path() : await near({ points, name, ...wish });
      if (mine !== turn.current) return;
      const rows = way === "path" ? answer.rows : withLocked(answer.rows, songs, locked);
      const drawn = way === "curve" ? { of: wish.name || name, points: wish.points || points } : null;
      const why = Object.fromEntries(answer.rows.map((row, at) => [row, answer.why[at]]));
      change({ songs: rows, seeds: way === "path" ? pinned : seeds, notes: answer.notes, scores: answer.scores || null, curve: drawn, why });
      if (way !== "curve") fold();
      say(`A list of ${count(rows.length, "song")}`);
    } catch (error) {
      if (mine === turn.current) setFailure(error.message);
    }
    if (mine === turn.current) setBusy(false);
  };
  const path = () => {
    if (songs.length < 2) throw new Error("A path needs two songs: the first and the last of your list.");
    return getJson(`/api/path/${songs[0]}/${songs[songs.length - 1]}?${query(valuesOf(fields, values))}`);
  };
  const near = (wish) => {
    if (!seeds.length) throw new Error("Add a song to your list first: the new list starts with it.");
    return postJson("/api/playlist", {
      ...valuesOf(fields, values), seeds, new: isNew && way === "near",
      curve: way === "curve" ? { of: wish.name, points: inLibrary(library, wish.name, wish.points) } : null,
    });
  };
  const redraw = (wish) => {
    clearTimeout(timer.current);
    turn.current += 1; // the answer to an earlier stroke is not waited for
    timer.current = setTimeout(() => seeds.length && make(wish), WAIT);
  };
  const dots = curve && scores ? placed(songs, scores, library, curve.of) : null;
  const words = measures.find(([, of]) => of === name)?.[2];
  if (!songs.length && !seeds.length) return html`<${Start} library=${library} />`;
  return html`<div class="ways" role="group" aria-label="How">${WAYS.map(([one, words]) => html`
      <button aria-pressed=${way === one} onClick=${() => { setWay(one); setFailure(""); }}>${words}</button>`)}</div>
    <p class="quiet">${explained(way, songs)}</p>
    ${way !== "path" && seeds.length > 0 && html`<ul class="seeds" aria-label="Made from">${seeds.slice(0, MOST_SEEDS).map((row) => html`<li key=${row}>
      <bdi>${library.title(row)}</bdi>${pinned.includes(row) && html`
      <${IconButton} name="close" title=${`Make it without ${library.title(row)}`} onClick=${() => dropSeed(row)} />`}</li>`)}
      ${seeds.length > MOST_SEEDS && html`<li class="quiet">and ${seeds.length - MOST_SEEDS} more</li>`}</ul>`}
    ${way === "curve" && html`<label>Curve of
      <select value=${name} onChange=${(e) => { setName(e.target.value); redraw({ name: e.target.value }); }}>
        ${measures.map(([, of, said]) => html`<option value=${of}>${said}</option>`)}</select></label>
      <${Curve} points=${points} words=${words} scores=${dots} range=${spanned(library, name)}
        onDraw=${(drawn) => { setPoints(drawn); redraw({ points: drawn }); }} />`}
    <${Form} fields=${fields} values=${values} change=${setValues} />
    ${way === "near" && html`<label><input type="checkbox" checked=${isNew} onChange=${() => list.set({ isNew: !isNew })} /> Only songs that are not among these</label>`}
    <${Failed} of=${failure} />
    <button class="main" disabled=${isBusy || (way === "path" && songs.length < 2)} onClick=${() => make()}>${isBusy ? "Making it…" : "Make the list"}</button>
    <p class="buttons"><${GivenList} /></p>`;
}

// Before there is a song: what to do.
function Start({ library }) {
  const selected = use((s) => s.selected);
  const choose = () => go("/songs");
  return html`<p>A list is made from songs: begin with one.</p>
    <div class="buttons">${selected >= 0 && html`<button class="main" onClick=${() => seedFrom(selected)}>Begin with <bdi>${library.title(selected)}</bdi></button>`}
      <button onClick=${choose}>Choose ${selected >= 0 ? "another" : "a song"} in the library</button>
      <${GivenList} words="Or take a playlist that you have (M3U8, CSV)" /></div>
    <p class="quiet">You can also drop its file anywhere on this page.</p>`;
}

function explained(way, songs) {
  if (way !== "path") return "Made from these; lock songs of the list to keep them, and to make it from them as well.";
  return songs.length < 2 ? "A path leads from the first song of your list to the last: add a second one in the library." : "A smooth path from the first song of your list to the last.";
}

const columnOf = (library, name) => library.measures.find(([, of]) => of === name)[0];

// The drawing spans the range of what it is of in this library.
function reach(library, name) {
  return extent(library.values(columnOf(library, name)));
}

// Its lowest and highest value in words.
function spanned(library, name) {
  const { low, high } = reach(library, name);
  const unit = { bpm: " BPM", loudness: " LUFS" }[name] || "";
  return unit ? [low, high].map((value) => figure(columnOf(library, name), value) + unit) : ["the least here", "the most here"];
}

function inLibrary(library, name, points) {
  const { low, high } = reach(library, name);
  return points.map((point) => low + point * (high - low));
}

function placed(songs, scores, library, name) {
  const { low, high } = reach(library, name);
  const total = songs.reduce((sum, row) => sum + library.length(row), 0) || 1;
  let before = 0;
  return songs.map((row, at) => {
    const part = (before + library.length(row) / 2) / total;
    before += library.length(row);
    const score = ((scores[at] ?? 0) - low) / (high - low || 1);
    return { part, score: Math.min(1, Math.max(0, score)) };
  });
}

function Actions({ songs, isEdited, edit }) {
  const n = use((s) => s.past.length, list);
  return html`<div class="buttons">
    <button disabled=${!songs.length} onClick=${() => play(songs[0], { queue: songs })}><${Icon} name="play" /> Play all</button>
    <button disabled=${songs.length < 2} onClick=${() => { page.set({ marks: null }); go("/map/list"); }}>Show on the map</button>
    <button class="edit" aria-pressed=${isEdited} disabled=${!songs.length} onClick=${() => edit(!isEdited)}>Edit</button>
    <button disabled=${!n} onClick=${() => { undo(); say("Undone"); }}>Undo</button>
    <button disabled=${!songs.length} onClick=${() => listOf([])}>Clear</button></div>`;
}

function Songs({ songs, library }) {
  const locked = use((s) => s.locked, list);
  const why = use((s) => s.why, list);
  const isPlaying = use((s) => s.row, playing);
  const { box, dragged, item, handle } = useMoves(songs, move);
  return html`<ol class="songs listed" ref=${box}>${songs.map((row, at) => html`<li key=${row} ...${item(at)}
    class=${`${row === isPlaying ? "plays" : ""} ${at === dragged ? "dragged" : ""}`}>
    <span class="number quiet">${at + 1}</span>
    <${CoverButton} row=${row} queue=${songs} size=${40} />
    <${Names} row=${row}>
${why[row] && html`<span class="why"><bdi>${why[row]}</bdi></span>`}<//>
    <span class="time quiet">${clock(library.length(row))}</span>
    ${handle(at)}
    <button class="icon" aria-pressed=${locked.has(row)} title=${`Lock ${library.title(row)}`} onClick=${() => flipLock(row)}>
      <${Icon} name=${locked.has(row) ? "lock" : "open"} /></button>
    <${IconButton} name="close" title=${`Remove ${library.title(row)}`} onClick=${() => drop(row)} />
  </li>`)}</ol>`;
}

// Without a folder and an ending: what the list is called elsewhere.
const titleOf = (name) => name.split(/[/\\]/).pop().replace(/\.m3u8?$/i, "") || "list";

// The settings by which `audiorec sync` keeps a saved list on a server; JSON's strings are TOML's.
function recipe(server, name, folder) {
  const path = /^([/\\~]|[a-z]:)/i.test(name) ? name : `${folder}/${name}`;
  const key = (text) => (/^[\w-]+$/.test(text) ? text : JSON.stringify(text));
  return `[players.${key(server)}.lists.${key(titleOf(name))}]\nfile = ${JSON.stringify(path)}`;
}

function Saving({ songs }) {
  const { folder, player } = use((s) => s.library.about);
  const [name, setName] = useState("list.m3u8");
  const [said, setSaid] = useState(null);
  const seen = useRef(null);
  useEffect(() => seen.current?.scrollIntoView({ block: "nearest" }), [said]);
  const save = async (replace = false) => {
    try {
      const done = await postJson("/api/save", { rows: songs, name, replace });
      keep(titleOf(name), songs);
      setSaid({ done, words: `Saved ${count(done.songs, "song")}: ${done.path}${done.left_out ? `; ${done.left_out} could not be written` : ""}` });
    } catch (error) {
      setSaid({ failure: error.message, mayReplace: error.status === EXISTS });
    }
  };
  const takeBack = async () => {
    try {
      const done = await postJson("/api/undo", {});
      setSaid({ words: done.restored ? `${done.path} was restored.` : `${done.path} was removed.` });
    } catch (error) {
      setSaid({ failure: error.message });
    }
  };
  return html`<form class="saving" onSubmit=${(e) => { e.preventDefault(); save(); }}>
    <label>Save as <input type="text" value=${name} spellcheck=${false} onInput=${(e) => setName(e.target.value)} /></label>
    <button disabled=${!songs.length}>Save</button>
    ${said?.words && html`<p class="done" role="status" ref=${seen}><bdi>${said.words}</bdi>
      ${said.done && html` <button type="button" class="link" onClick=${takeBack}>Undo</button>`}</p>`}
    ${said?.failure && html`<p class="failure" role="alert" ref=${seen}><bdi>${said.failure}</bdi>
      ${said.mayReplace && html` <button type="button" class="link" onClick=${() => save(true)}>Replace it</button>`}</p>`}
    <p class="quiet">A playlist for any player. A name without a folder goes to <bdi>${folder}</bdi>.${!player && html` Lists that
      stay up to date on a music server: <code>audiorec sync</code>.`}</p>
    ${player && html`<details class="server"><summary>On your music server <bdi>${player[0]}</bdi></summary>
      <p class="quiet">Save it, and add this once to your settings, where <bdi>${player[0]}</bdi> stands:</p>
      <pre><code>${recipe(player[0], name, folder)}</code></pre>
      <p class="quiet">If it is the first list there, add Tonight and Radio as well to keep them. Then, and whenever
        you have saved it again:</p>
      <pre><code>${player[1]}</code></pre></details>`}
    <${Downloads} kinds=${["m3u8", "csv"]} name=${titleOf(name)} isEmpty=${!songs.length}
      ask=${(as) => postJson("/api/download", { rows: songs, as })} />
  </form>`;
}
