// A song as a page: its wave, one sentence, why it is heard so, what sounds like it, and "Not right?".

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { forget, getJson, ofSong, postJson } from "./api.js";
import { genreColour } from "./colours.js";
import { Cover, forgetFaces } from "./covers.js";
import { Form, query, useSettled } from "./form.js";
import { Icon } from "./icons.js";
import { clock, label } from "./library.js";
import { addToList, list, seedFrom } from "./list-state.js";
import { Failed, Heading, Heart, Radio, SongTiles, Tile } from "./parts.js";
import { called, given, placeOf } from "./places.js";
import { play, playing, toggle, whyNot } from "./player.js";
import { albumPath, artistPath, go, mapPath, route, rowOf, songPath } from "./route.js";
import { makeStore, page, say, use, useAnswer, useLibrary } from "./store.js";
import { genresAt, sentenceOf, useParts, Wave } from "./wave.js";

const SHOWN = ["status", "loudness_lufs", "codec", "source_rate", "source_channels", "uri", "song_id"];
// Without a prototype, since they are looked up by names from a store: "constructor" is in none.
const NAMES = { __proto__: null, status: "Quality", loudness_lufs: "Loudness", codec: "Format", source_rate: "Rate", source_channels: "Channels", uri: "File", song_id: "Name here" };
const VOICES = { __proto__: null, instrumental: ["No voice", "instruments only"], vocal_accompaniment: ["Sung", "with instruments"], vocal: ["Voice alone", "nobody plays"], other: ["Not music", "speech, noise or other sound"] };
const PART = 0.5; // of the most likely genre: less is not shown

export function SongView() {
  const library = useLibrary();
  const { rest, query: asked, path } = use((s) => s, route);
  const row = rowOf(library, rest[0]);
  useEffect(() => {
    page.set({ selected: row });
    const at = Number(asked.get("t"));
    if (row >= 0 && at > 0 && playing.get().row < 0) play(row, { at });
  }, [path]);
  if (row < 0) return html`<div class="sheet"><h1 class="place-name large">This song is not here</h1><p class="quiet">Its file was renamed or is gone. <a href="/songs">All songs</a></p></div>`;
  return html`<${Song} row=${row} key=${row} />`;
}

function Song({ row }) {
  const library = useLibrary();
  const [song, error] = useAnswer(() => ofSong(row), [row, library]);
  const { scores } = useParts(row);
  use((s) => s, given);
  const artist = library.artist(row);
  const album = library.text("album", row);
  const place = placeOf(library, row);
  return html`<article class="sheet song" aria-labelledby="song-title">
    <div class="song-head">
      <${Cover} rows=${[row]} size=${216} />
      <div class="about-song">
        <h1 id="song-title" tabindex="-1"><bdi>${library.title(row)}</bdi></h1>
        <p class="by">${artist ? html`<a href=${artistPath(artist)}><bdi>${artist}</bdi></a>` : "unknown artist"}
          ${album && html` <span class="quiet">on</span> <a href=${albumPath(album)}><bdi>${album}</bdi></a>`}
          ${place && html` <span class="quiet">in</span> <a class="place-name" href=${mapPath(library, row)}>${called(place)}</a>`}</p>
        <${Facts} row=${row} song=${song} />
        <${Buttons} row=${row} song=${song} />
        <p class="sentence place-name">${song?.reading?.remark || sentenceOf(scores, library) || "\u00a0"}</p>
      </div>
      <${NotRight} row=${row} song=${song} />
    </div>
    <${Failed} of=${error} />
    ${song?.sound.why_not && html`<p class="note">${whyNot(song.sound)}</p>`}
    <${Wave} row=${row} height=${150} label=${`${library.title(row)} over time: choose a position to play`} />
    <${Legend} scores=${scores} total=${library.length(row)} />
    <div class="two"><${Why} song=${song} library=${library} /><${Near} row=${row} /></div>
    <${Copies} row=${row} />
    <${About} song=${song} />
  </article>`;
}

function Facts({ row, song }) {
  const library = page.get().library;
  const sure = (name) => library.numbers[`own:${name}_confidence`]?.[row] ?? 1;
  const bpm = sure("bpm") < 0.3 ? NaN : library.numbers["own:bpm"]?.[row]; // it has no beat
  const or = library.numbers["own:bpm_other"]?.[row]; // one may tap this as well
  const key = library.texts["own:key"] ? library.say("own:key", row) : "";
  const version = song?.reading?.best?.version || library.about.heads.version?.[library.numbers["head:version"]?.[row]];
  const voice = VOICES[version];
  const genre = library.best("genre", row);
  const facts = [
    genre && [label(genre), "genre"],
    Number.isFinite(bpm) && [`${bpm.toFixed(0)}${or ? ` or ${or.toFixed(0)}` : sure("bpm") < 0.5 ? "?" : ""}`, "beats a minute"], key && [`${key}${sure("key") < 0.5 ? "?" : ""}`, "key"],
    [clock(library.length(row)), "length"], voice,
  ].filter(Boolean);
  return html`<dl class="facts-row">${facts.map(([value, name]) => html`<div><dd>${value}</dd><dt>${name}</dt></div>`)}</dl>`;
}

function Buttons({ row, song }) {
  const isPlaying = use((s) => s.row === row && !s.isPaused, playing);
  const isListed = use((s) => s.songs.includes(row), list);
  const library = page.get().library;
  const start = () => (isPlaying ? toggle() : play(row, { queue: playing.get().queue.includes(row) ? undefined : [...page.get().rows] }));
  const can = song ? Boolean(song.sound.url) : true;
  return html`<div class="buttons">
    <button class="main" disabled=${!can} onClick=${start}><${Icon} name=${isPlaying ? "pause" : "play"} /> ${isPlaying ? "Pause" : "Play"}</button>
    <${Radio} rows=${[row]} words="Radio from here" disabled=${!can} />
    <button disabled=${isListed} onClick=${() => { addToList([row]); say(`${library.title(row)} is in your list`); }}><${Icon} name="plus" /> ${isListed ? "In your list" : "Add to list"}</button>
    <button onClick=${() => { seedFrom(row); go("/list"); }}>Make a list from it</button>
    <a class="button" href=${`${mapPath(library, row)}&path=1`}><${Icon} name="path" /> Path to a song</a><${Heart} row=${row} />
  </div>`;
}

// Where in the song which genre begins.
function Legend({ scores, total }) {
  const library = useLibrary();
  if (!scores) return html`<p class="moments"></p>`;
  const genres = library.about.heads.genre;
  const marks = [];
  scores.start_s.forEach((start, at) => {
    const [genre] = genresAt(scores, genres, start);
    const share = start / (total || 1);
    if (marks.at(-1)?.genre !== genre && (!marks.length || share - marks.at(-1).share > 0.13) && genresAt(scores, genres, scores.start_s[Math.min(at + 2, scores.start_s.length - 1)])[0] === genre) marks.push({ genre, share });
  });
  return html`<p class="moments" aria-hidden="true">${marks.filter((one) => one.share < 0.9).map(({ genre, share }) => html`<span style=${{ left: `${100 * share}%` }}>
    <i class="swatch" style=${{ background: genreColour(genre) }}></i>${library.words("genre", genre)}</span>`)}</p>`;
}

function Why({ song, library }) {
  const scores = Object.entries(song?.reading?.scores?.genre || {}).sort((a, b) => b[1] - a[1]);
  const most = scores[0]?.[1] || 1;
  const shown = scores.filter(([, value]) => value > PART * most * 0.4).slice(0, 5);
  const voiced = song?.reading?.voiced;
  const words = voiced === null || voiced === undefined ? "" : voiced < 0.05 ? "Nobody sings in any part of it." : voiced > 0.9 ? "Someone sings nearly all the time." : `Someone sings in ${Math.round(10 * voiced) || 1} of 10 moments.`;
  return html`<section class="why-it" aria-labelledby="why-title"><div class="above"><h2 id="why-title">Why</h2></div>
    <ul class="shares">${shown.map(([name, value]) => html`<li><span>${label(library.words("genre", name))}</span>
      <span class="track"><i style=${{ width: `${(100 * value) / most}%`, background: genreColour(name) }}></i></span></li>`)}</ul>
    <p class="quiet">${words}</p></section>`;
}

// What is asked for in similar songs: the same for every song.
const asking = makeStore({ values: {} });

function Near({ row }) {
  const library = useLibrary();
  const values = use((s) => s.values, asking);
  const asked = useSettled(query(values));
  const [answer, error, isLoading] = useAnswer(() => ofSong(row, `near?${asked}`), [row, asked, library]);
  return html`<section class="near" aria-labelledby="near-title">
    <div class="above"><h2 id="near-title">Sounds like it <span class="quiet">nearest first</span></h2><a class="quiet" href=${mapPath(library, row)}>Show on the map</a></div>
    <${Failed} of=${error} />
    ${isLoading && !answer && html`<p class="quiet">Listening…</p>`}
    ${answer && !error && !answer.rows.length && html`<p class="quiet">Nothing here sounds like it.</p>`}
    <ul class="tiles">${answer?.rows.map((other, at) => html`<${Tile} key=${other} rows=${[other]} href=${songPath(library, other)} title=${library.title(other)}
      line=${answer.why[at] || library.artist(other)} onPlay=${() => play(other, { queue: answer.rows })} />`)}</ul>
    <details class="asking"><summary>Options${asked && " (on)"}</summary>
      <${Form} fields=${library.about.forms.similar} values=${values} change=${(next) => asking.set({ values: next })} /></details>
  </section>`;
}

function Copies({ row }) {
  const [answer] = useAnswer(() => getJson(`/api/song/${row}/copies`), [row]);
  if (!answer?.copies.length) return null;
  return html`<section><${Heading} title="You have this twice" line=${answer.best ? "this is the one that lists use" : "lists use the first of these"}><a class="quiet" href="/tidy">Tidy up</a><//>
    <${SongTiles} rows=${answer.copies} /></section>`;
}

// Correct what was heard wrong: it holds everywhere at once.
function NotRight({ row, song }) {
  const library = useLibrary();
  const [said, setSaid] = useState(null);
  const [other, setOther] = useState("");
  if (!song || !("corrected" in song)) return null;
  const own = song.corrected || {};
  const correct = async (wish) => {
    try {
      const answer = await postJson(`/api/song/${row}/correct`, wish);
      forget();
      forgetFaces();
      setSaid({ words: answer.said || "Noted." });
      dispatchEvent(new CustomEvent("audiorec-corrected", { detail: answer }));
    } catch (error) {
      setSaid({ failure: error.message });
    }
  };
  const genres = Object.entries(song.reading?.scores?.genre || {}).sort((a, b) => b[1] - a[1]).slice(0, 3).map(([name]) => name);
  const now = own.genre || song.reading?.best?.genre;
  const version = own.version || song.reading?.best?.version;
  const bpm = library.numbers["own:bpm"]?.[row];
  const known = [...new Set([...(library.about.heads.genre || []), ...(library.texts["own:genre"]?.values || [])])];
  return html`<section class="card not-right" aria-labelledby="not-right-title"><h2 id="not-right-title">Not right?</h2>
    <h3>Genre</h3><p class="pills">${[...new Set([now, ...genres])].filter(Boolean).map((name) => html`<button class="pill" aria-pressed=${name === now} onClick=${() => correct({ genre: name })}>
      <i class="swatch" style=${{ background: genreColour(name) }}></i>${label(library.words("genre", name))}</button>`)}
      <form onSubmit=${(e) => { e.preventDefault(); if (other.trim()) correct({ genre: other.trim() }); }}><input class="pill" type="text" list="genres" placeholder="Other" aria-label="Another genre" value=${other} onInput=${(e) => setOther(e.target.value)} />
        <datalist id="genres">${known.map((one) => html`<option value=${one}></option>`)}</datalist></form></p>
    <h3>Voice</h3><p class="pills">${[["instrumental", "None"], ["vocal_accompaniment", "Sung"], ["vocal", "Voice alone"], ["other", "Not music"]].map(([name, words]) => html`
      <button class="pill" aria-pressed=${name === version} onClick=${() => correct({ version: name })}>${words}</button>`)}</p>
    ${Number.isFinite(bpm) && html`<h3>Tempo</h3><p class="pills"><button class="pill" onClick=${() => correct({ bpm: bpm / 2 })}>½: ${(bpm / 2).toFixed(0)}</button><button class="pill" onClick=${() => correct({ bpm: 2 * bpm })}>×2: ${(2 * bpm).toFixed(0)}</button></p>`}
    ${(said?.words || Object.keys(own).length > 0) && html`<p role="status">${said?.words || `You said ${Object.values(own).map((one) => library.words("genre", String(one))).join(", ")}.`} That holds everywhere: map, searches, lists.</p>`}
    ${said?.failure && html`<p class="failure" role="alert">${said.failure}</p>`}
    ${Object.keys(own).length > 0 && html`<button class="link" onClick=${() => correct({ undo: true })}>Undo</button>`}</section>`;
}

const shown = (value) => (Number.isFinite(value) && !Number.isInteger(value) ? value.toLocaleString("en", { maximumSignificantDigits: 4 }) : String(value));
const told = (name, value) => (name === "loudness_lufs" ? `${value.toFixed(1)} LUFS` : shown(value));

function About({ song }) {
  if (!song) return null;
  const usual = new Set([...SHOWN, "title", "artist", "album", "duration_s", "segments", "size", "claimed_s", "decoder", "packet_errors", "extracted_at", "isrc", "musicbrainz_trackid"]);
  const own = Object.keys(song.columns).filter((name) => !usual.has(name));
  const rows = [...SHOWN, ...own].filter((name) => song.columns[name] !== null && song.columns[name] !== undefined);
  return html`<details class="about"><summary>The file</summary><dl>
    ${rows.map((name) => html`<dt>${NAMES[name] || name}</dt><dd><bdi>${told(name, song.columns[name])}</bdi></dd>`)}</dl></details>`;
}
