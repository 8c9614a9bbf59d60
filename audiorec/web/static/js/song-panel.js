// One song: its details, scores over time, numbers, and similar songs with reasons.

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { getJson, ofSong } from "./api.js";
import { Compare } from "./compare.js";
import { Form, query, useSettled } from "./form.js";
import { Icon } from "./icons.js";
import { searchBySound } from "./finder.js";
import { clock } from "./library.js";
import { addToList, list, seedFrom } from "./list-state.js";
import { Numbers } from "./numbers.js";
import { play, playing, toggle, whyNot } from "./player.js";
import { startRadio } from "./radio.js";
import { Scores } from "./scores.js";
import { makeStore, page, say, use, useAnswer } from "./store.js";

const SHOWN = ["album", "status", "loudness_lufs", "codec", "source_rate", "source_channels", "uri", "song_id"];
// Without a prototype, since they are looked up by names from a store: "constructor" is in none.
const NAMES = {
  __proto__: null,
  album: "Album", status: "Status", loudness_lufs: "Loudness", codec: "Format", source_rate: "Rate", source_channels: "Channels",
  uri: "File", song_id: "Id",
};
const said = (name, value) => (name === "loudness_lufs" ? `${value.toFixed(1)} LUFS` : shown(value));
export function SongPanel() {
  const selected = use((s) => s.selected);
  const other = use((s) => s.other);
  if (selected < 0) {
    return html`<${Nothing} />`;
  }
  return other >= 0 && other !== selected
    ? html`<${Compare} first=${selected} second=${other} />`
    : html`<${Song} row=${selected} key=${selected} />`;
}

// Before a song is chosen: what one can do.
function Nothing() {
  const rows = use((s) => s.rows);
  return html`<section class="song" aria-labelledby="song-title">
    <h2 id="song-title" tabindex="-1">No song chosen</h2>
    <p class="quiet">Choose one in the list or on the map to see its scores, play it, and find similar songs. Or:</p>
    <div class="buttons">
      <button disabled=${!rows.length} onClick=${() => play(rows[0], { queue: [...rows] })}><${Icon} name="play" /> Play what is listed</button>
      <button onClick=${searchBySound}>Describe a sound</button>
      <button onClick=${() => page.set({ view: "copies" })}>See what you have twice</button></div></section>`;
}

function Song({ row }) {
  const library = use((s) => s.library);
  const [song, error] = useAnswer(() => ofSong(row), [row]);
  return html`<section class="song" aria-labelledby="song-title">
    <div class="head">
      <${Cover} song=${song} row=${row} />
      <div class="names">
        <h2 id="song-title" tabindex="-1"><bdi>${library.title(row)}</bdi></h2>
        <p><bdi>${library.artist(row) || "unknown artist"}</bdi> <span class="quiet">${clock(library.length(row))}</span></p>
        <${Said} song=${song} library=${library} />
      </div>
    </div>
    <${Buttons} row=${row} song=${song} />
    ${error && html`<p class="failure" role="alert">${error.message}</p>`}
    ${song?.sound.why_not && html`<p class="note">${whyNot(song.sound)}</p>`}
    <${Scores} row=${row} song=${song} />
    <${Near} row=${row} />
    <${Copies} row=${row} />
    <${Numbers} row=${row} />
    <${About} song=${song} />
  </section>`;
}

function Said({ song, library }) {
  if (!song?.reading) return html`<p class="said quiet">…</p>`;
  const { best, genre, remark, voiced } = song.reading;
  const known = Object.entries(best).filter(([, name]) => name);
  const parts = known.map(([head, name]) => (head === "genre" ? genre.words : library.words(head, name)));
  if (voiced !== null && voiced !== undefined && !remark) parts.push(voiced ? `a voice in ${Math.round(100 * voiced)} % of it` : "no voice");
  return html`<p class="said">${remark || parts.reverse().join(" · ") || "nothing certain"}</p>`;
}

function Cover({ song, row }) {
  const [state, setState] = useState("");
  const url = song?.sound.cover;
  useEffect(() => setState(""), [row]);
  return html`<div class="cover" aria-hidden="true">
    ${url && state !== "none" && html`<img src=${url} alt="" onError=${() => setState("none")} />`}
  </div>`;
}

function Buttons({ row, song }) {
  const isPlaying = use((s) => s.row === row && !s.isPaused, playing);
  const isListed = use((s) => s.songs.includes(row), list);
  const library = page.get().library;
  const start = () => (isPlaying ? toggle() : play(row, { queue: [...page.get().rows] }));
  return html`<div class="buttons">
    <button class="main" disabled=${!song?.sound.url} onClick=${start}>
      <${Icon} name=${isPlaying ? "pause" : "play"} /> ${isPlaying ? "Pause" : "Play"}</button>
    <button disabled=${isListed} onClick=${() => { addToList([row]); say(`${library.title(row)} is in your list`); }}>
      <${Icon} name="plus" /> ${isListed ? "In your list" : "Add to list"}</button>
    <button onClick=${() => { seedFrom(row); page.set({ view: "lists" }); }}>Make a list from it</button>
    ${song?.part?.start_s > 1 && html`<button disabled=${!song.sound.url} title="Hear where it is most itself" onClick=${() => play(row, { at: song.part.start_s, queue: [...page.get().rows] })}>
      Preview from ${clock(song.part.start_s)}</button>`}
    <button disabled=${!song?.sound.url} title="Play it, then songs that sound like it; a skip counts" onClick=${() => startRadio([row])}>Radio</button>
  </div>`;
}

// What is asked for in similar songs: the same for every song.
const asking = makeStore({ values: {} });

function Near({ row }) {
  const library = use((s) => s.library);
  const values = use((s) => s.values, asking);
  const asked = useSettled(query(values));
  const [answer, error, isLoading] = useAnswer(() => ofSong(row, `near?${asked}`), [row, asked]);
  useEffect(() => {
    page.set({ near: answer ? answer.rows : [] });
    return () => page.set({ near: [] });
  }, [answer, row]);
  return html`<section class="near" aria-labelledby="near-title">
    <h3 id="near-title">Sounds like it</h3>
    ${answer?.rows.length > 0 && html`<p class="quiet">99 %: of a hundred pairs of songs here, 99 are less alike.</p>`}
    ${error && html`<p class="failure" role="alert">${error.message}</p>`}
    ${isLoading && !answer && html`<p class="quiet">Searching…</p>`}
    <details class="asking"><summary>Options${asked && " (on)"}</summary>
      <${Form} fields=${library.about.forms.similar} values=${values} change=${(next) => asking.set({ values: next })} /></details>
    ${answer && !error && !answer.rows.length && html`<p class="quiet">Nothing here sounds like it.</p>`}
    <ol class="songs">${answer?.rows.map((other, at) => html`<li key=${other}>
      <button class="icon" title=${`Play ${library.title(other)}`}
        onClick=${() => play(other, { queue: answer.rows })}><${Icon} name="play" /></button>
      <div class="names">
        <button class="plain title" onClick=${() => page.set({ selected: other })}><bdi>${library.title(other)}</bdi></button>
        <span class="quiet"><bdi>${library.artist(other)}</bdi></span>
        <span class="why"><bdi>${answer.why[at]}</bdi></span>
      </div>
      <span class="alike" title=${`Closer than ${answer.closer[at]} of all pairs of songs here`}>${answer.closer[at]}</span>
      <button class="small" title=${`Compare with ${library.title(other)}`}
        onClick=${() => page.set({ other })}>Compare</button></li>`)}</ol>
  </section>`;
}

function Copies({ row }) {
  const library = use((s) => s.library);
  const [answer] = useAnswer(() => getJson(`/api/song/${row}/copies`), [row]);
  if (!answer?.copies.length) return null;
  return html`<section aria-labelledby="copies-title"><h3 id="copies-title">Copies of this recording</h3>
    <p class="quiet">${answer.best ? "This is the best copy: lists show it alone." : "Lists show the first of these instead."}</p>
    <ul class="songs">${answer.copies.map((one) => html`<li key=${one}>
      <div class="names"><button class="plain title" onClick=${() => page.set({ selected: one })}>
        <bdi>${library.ids[one]}</bdi></button></div></li>`)}</ul>
  </section>`;
}

const shown = (value) => (Number.isFinite(value) && !Number.isInteger(value)
  ? value.toLocaleString("en", { maximumSignificantDigits: 4 }) : String(value));

function About({ song }) {
  if (!song) return null;
  const usual = new Set([...SHOWN, "title", "artist", "duration_s", "segments", "size", "claimed_s", "decoder",
    "packet_errors", "extracted_at", "isrc", "musicbrainz_trackid"]);
  const own = Object.keys(song.columns).filter((name) => !usual.has(name));
  const rows = [...SHOWN, ...own].filter((name) => song.columns[name] !== null && song.columns[name] !== undefined);
  return html`<details class="about"><summary>The file</summary><dl>
    ${rows.map((name) => html`<dt>${NAMES[name] || name}</dt><dd><bdi>${said(name, song.columns[name])}</bdi></dd>`)}
  </dl></details>`;
}
