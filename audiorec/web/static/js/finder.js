// The search: titles, artists and albums that have the words, and songs that sound as a sentence says. Words such as
// genre=jazz or duration<4:00 are conditions, as on the command line.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { getBytes, postJson } from "./api.js";
import { Icon } from "./icons.js";
import { count } from "./library.js";
import { listOf } from "./list-state.js";
import { MiniMap } from "./mini-map.js";
import { Failed, IconButton, More, PlayAll, Radio, SongLine } from "./parts.js";
import { called, given, placeOf } from "./places.js";
import { findPath, go, route } from "./route.js";
import { use, useAnswer, useLibrary } from "./store.js";

const WAIT = 200; // milliseconds after the last letter
const PIECE = 40; // songs drawn at a time
const MOST_PARTS = 4; // of a sentence, which have bars of their own
const NAMED = 6; // songs by name that stand above those by sound
const CONDITION = /[=<>~]/;
const SAYINGS = ["calm piano", "no singing, slow", "loud and fast", "sad and acoustic", "music for working"];

export function SearchBox() {
  const { view, query } = use((s) => s, route);
  const isHere = view === "find";
  const [typed, setTyped] = useState(isHere ? query.get("q") || "" : "");
  const timer = useRef(0);
  const path = use((s) => s.path, route);
  useEffect(() => { clearTimeout(timer.current); setTyped(isHere ? query.get("q") || "" : ""); }, [path]);
  const find = (text) => {
    setTyped(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => go(text.trim() ? findPath(text) : "/find", { replace: route.get().view === "find" }), WAIT);
  };
  const now = (event) => {
    event.preventDefault();
    clearTimeout(timer.current);
    if (typed.trim()) go(findPath(typed), { replace: route.get().view === "find" });
  };
  return html`<form class="search" role="search" onSubmit=${now}><${Icon} name="search" />
    <label class="hidden" for="find">Search, or say what you want to hear</label>
    <input id="find" type="search" placeholder="Search, or say what you want to hear" value=${typed} autocomplete="off" spellcheck=${false} enterkeyhint="search"
      onInput=${(e) => find(e.target.value)} /><kbd aria-hidden="true">/</kbd></form>`;
}

// Songs whose names have all of the words, those that begin so first.
function byName(library, text) {
  const words = text.toLowerCase().split(/[\s,]+/).filter(Boolean);
  if (!words.length) return [];
  const { haystack } = library;
  const found = [];
  for (let row = 0; row < library.n; row++) if (words.every((word) => haystack[row].includes(word))) found.push(row);
  return found.sort((a, b) => Number(haystack[b].startsWith(words[0])) - Number(haystack[a].startsWith(words[0])) || library.collator.compare(library.title(a), library.title(b)));
}

async function byCondition(library, text) {
  const clauses = text.split(",").map((one) => one.trim()).filter(Boolean);
  const bits = new Uint8Array(await getBytes(`/api/find?only=${encodeURIComponent(clauses.filter((one) => CONDITION.test(one)).join(", "))}`));
  const words = clauses.filter((one) => !CONDITION.test(one)).join(" ");
  const kept = words ? new Set(byName(library, words)) : null;
  return Array.from({ length: library.n }, (_, row) => row).filter((row) => (bits[row >> 3] >> (row & 7)) & 1 && (!kept || kept.has(row)));
}

async function answered(library, text) {
  if (!text.trim()) return null;
  if (CONDITION.test(text)) return { named: await byCondition(library, text), isCondition: true };
  const named = byName(library, text);
  try {
    return { named, heard: await postJson("/api/words", { text }) };
  } catch (error) {
    return { named, failure: error.message };
  }
}

export function FindView() {
  const library = useLibrary();
  const text = use((s) => s.query.get("q") || "", route);
  use((s) => s, given);
  const [answer, error, isLoading] = useAnswer(() => answered(library, text), [library, text]);
  if (!text.trim()) return html`<${Nothing} />`;
  if (error) return html`<div class="sheet"><${Failed} of=${error} /></div>`;
  if (!answer) return html`<div class="sheet"><p class="quiet" role="status">${isLoading ? "One moment…" : ""}</p></div>`;
  const { named, heard, failure, isCondition } = answer;
  const rows = heard?.rows || [];
  const weak = heard?.fits === 0 && heard.fit.some((one) => one !== null);
  return html`<div class="sheet found" key=${text}><h1 class="hidden">Search</h1>
    ${heard && html`<${Chips} heard=${heard} text=${text} />`}
    <div class="beside"><div>
      ${named.length > 0 && html`<${Named} rows=${named} text=${text} isCondition=${isCondition} isShort=${rows.length > 0} />`}
      ${isCondition && !named.length && html`<${Poor} title="Nothing has all of that" line="Take a condition away, or loosen it." />`}
      ${failure && !named.length && html`<${Poor} title="Nothing here fits" line=${failure} />`}
      ${heard && (weak ? html`<${Weak} heard=${heard} text=${text} />` : rows.length > 0 && html`<${Heard} heard=${heard} rows=${rows} />`)}
    </div>
    <aside class="aside"><${MiniMap} rows=${rows.length ? rows : named} />
      <div class="buttons"><${Act} rows=${rows.length ? rows : named} /></div>
      <h3>Say it differently</h3><${Sayings} of=${SAYINGS.filter((one) => one !== text).slice(0, 4)} /></aside></div>
  </div>`;
}

function Act({ rows }) {
  if (!rows.length) return null;
  return html`<${PlayAll} rows=${rows} />
    <button onClick=${() => listOf(rows)}>Make a list</button>
    <${Radio} rows=${rows} />`;
}

const Sayings = ({ of }) => html`<ul class="sayings">${of.map((one) => html`<li><a class="place-name" href=${findPath(one)}>${one}</a></li>`)}</ul>`;

function Nothing() {
  return html`<div class="sheet"><h1>Say what you want to hear</h1><p class="quiet">A title or a name, or a sentence about the sound. Guesses are marked as such.</p>
    <${Sayings} of=${SAYINGS} />
    <p class="quiet">Conditions work too: <code>${"genre=jazz, duration<4:00"}</code></p></div>`;
}

const Poor = ({ title, line }) => html`<h1 class="place-name large">${title}</h1><p class="quiet">${line}</p>`;

// What was understood of a sentence, what was guessed, and what is left out; each can be taken away.
function Chips({ heard, text }) {
  const chips = [...heard.understood.map((one) => ({ text: one, kind: "understood" })), ...heard.unknown.map((one) => ({ text: one, reads: "audiorec does not hear this, left out", kind: "left_out" }))];
  const away = (word) => { const rest = shorter(text, word); go(rest && rest !== text ? findPath(rest) : "/find"); };
  return html`<ul class="chips" aria-label="What was understood" role="status">${chips.map((one) => html`<li class=${`chip ${one.kind}`}>
    <span><strong><bdi>${one.text}</bdi></strong>${one.reads && html`<small class="quiet"><bdi>${one.reads}</bdi></small>`}</span>
    ${text.toLowerCase().includes(one.text.toLowerCase()) && html`<${IconButton} name="close" title=${`Without ${one.text}`} onClick=${() => away(one.text)} />`}</li>`)}</ul>`;
}

function Named({ rows, text, isCondition, isShort }) {
  const [most, setMost] = useState(isShort ? NAMED : PIECE);
  return html`<section aria-labelledby="named-title"><div class="above"><h2 id="named-title">${count(rows.length, "song")} <span class="quiet">${isCondition ? "with all of that" : `with “${text}” in ${rows.length === 1 ? "its" : "their"} names`}</span></h2></div>
    <ol class="songs lines">${rows.slice(0, most).map((row) => html`<${SongLine} key=${row} row=${row} queue=${rows}><${Place} row=${row} /><//>`)}</ol>
    <${More} left=${rows.length - most} show=${() => setMost(most + PIECE)} /></section>`;
}

function Place({ row }) {
  const library = useLibrary();
  const place = placeOf(library, row);
  return html`<span class="place-name in-line"><bdi>${place ? called(place) : ""}</bdi></span>`;
}

export function Bars({ n, label }) {
  return html`<span class="bars" role="img" aria-label=${`${label}: ${n} of 5`}>${[1, 2, 3, 4, 5].map((at) => html`<i class=${at <= n ? "full" : ""}></i>`)}</span>`;
}

// Bars of how likely a song fits: three from "somewhat" on; none where nothing of the sentence is heard.
const level = (fit) => (fit >= 0.9 ? 5 : fit >= 0.75 ? 4 : fit >= 0.45 ? 3 : fit >= 0.25 ? 2 : 1);

function Heard({ heard, rows, title }) {
  const [most, setMost] = useState(PIECE);
  const { fits, fit } = heard;
  const isKnown = fit?.some((one) => one !== null);
  const parts = Object.entries(heard.parts || {}).filter(([, one]) => one.some((value) => value >= 0)).slice(0, MOST_PARTS);
  const bars = parts.length > 1 ? parts : isKnown ? [["Fits", fit.map((one) => one ?? -1)]] : [];
  return html`<section aria-labelledby="heard-title" class="heard">
    <div class="above"><h2 id="heard-title">${title || (isKnown && fits ? `${count(fits, "song")} ${fits === 1 ? "fits" : "fit"}` : "By sound")} <span class="quiet">best first</span></h2></div>
    <ol class="songs lines">${rows.slice(0, most).map((row, at) => html`<${SongLine} key=${row} row=${row} queue=${rows}>
      <span class=${`fits of-${bars.length}`}>${bars.map(([name, one]) => html`<span><small class="quiet" aria-hidden="true">${name}</small><${Bars} n=${one[at] < 0 ? 0 : level(one[at])} label=${name} /></span>`)}</span><${Place} row=${row} /><//>`)}</ol>
    <${More} left=${rows.length - most} show=${() => setMost(most + PIECE)} /></section>`;
}

// No song has enough of the sentence: say so, and offer to take a word away.
function Weak({ heard, text }) {
  const words = heard.understood.length > 1 ? heard.understood.filter((one) => text.toLowerCase().includes(one.toLowerCase())) : [];
  return html`<h1 class="place-name large">Nothing here fits well</h1><p class="quiet">No song has enough of ${words.length > 1 ? "all of it" : "it"}.</p>
    ${words.length > 0 && html`<h3>Take one word away</h3><p class="buttons">${words.map((one) => html`<a class="button" href=${findPath(shorter(text, one))}>without ${one}</a>`)}</p>`}
    <${Heard} heard=${heard} rows=${heard.rows.slice(0, 10)} title="The nearest, all weak" />`;
}

// A sentence without one of its words, and without what led to it.
const shorter = (text, word) => text.replace(new RegExp(`(?:\\b(?:and|or|with|for)\\s+)?${word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}[,;]?\\s*`, "i"), "").replace(/[\s,;]+$/, "").trim();
