// Search for songs: by words, and by conditions in the syntax of the command line, with a builder.

import { html, useRef, useState } from "../vendor/htm-preact.js";
import { getBytes, postJson } from "./api.js";
import { NARROW } from "./columns.js";
import { label } from "./library.js";
import { useAway } from "./popup.js";
import { page, use } from "./store.js";

const WAIT = 180; // milliseconds after the last letter

export function Finder() {
  const library = use((s) => s.library);
  const text = use((s) => s.text);
  const only = use((s) => s.only);
  const failure = use((s) => s.onlyError);
  const typed = use((s) => s.typed);
  const written = use((s) => s.written);
  const byWords = use((s) => s.byWords);
  const [isOpen, setOpen] = useState(false);
  const shown = written ?? only;
  const box = useRef(null);
  useAway(box, isOpen, () => setOpen(false));
  return html`<div class=${`finder ${byWords ? "by-sound" : ""}`} role="search" ref=${box}>
    <label class="words"><span class="hidden">Find songs</span>
      <input id="find" type="search" placeholder=${byWords ? "calm piano, no drums" : matchMedia(NARROW).matches ? "Find…" : "Find title, artist, album…"} value=${typed ?? text} autocomplete="off" spellcheck=${false}
        onInput=${(e) => find(e.target.value)} /></label>
    <button aria-pressed=${byWords} title="Find songs by a description of what they sound like" onClick=${flipWords}>By sound</button>
    <button aria-expanded=${isOpen} aria-controls="conditions" onClick=${() => setOpen(!isOpen)}>
      Conditions${only ? " (on)" : ""}</button>
    ${isOpen && html`<div id="conditions" class="popup conditions">
      <label>Only songs with
        <input type="text" value=${shown} spellcheck=${false} autocomplete="off" placeholder="genre=jazz, duration<4:00"
          aria-invalid=${Boolean(failure)} aria-describedby="conditions-help" onInput=${(e) => ask(e.target.value)} /></label>
      <p id="conditions-help" class=${failure ? "failure" : "quiet"} role=${failure ? "alert" : undefined}>${failure ||
        "Several are separated by commas; all of them must hold."}</p>
      <${Helper} library=${library} add=${(one) => ask([shown.trim(), one].filter(Boolean).join(", "))} clear=${() => ask("")} />
    </div>`}
  </div>`;
}

function Helper({ library, add, clear }) {
  const heads = Object.entries(library.about.heads);
  const choices = heads.map(([head, names]) => [label(head), names.map((name) => [`${head}=${name}`, library.words(head, name)])]);
  const lengths = [["duration<2:00", "under 2 minutes"], ["duration<4:00", "under 4 minutes"], ["duration>6:00", "over 6 minutes"]];
  const status = library.texts.status.values.map((name) => [`status=${name}`, name.replaceAll("_", " ")]);
  const all = [...choices, ["Length", lengths], ["Status", status]];
  return html`<div class="helper">${all.map(([name, values]) => html`<label>${name}
    <select value="" onChange=${(e) => { if (e.target.value) add(e.target.value); e.target.value = ""; }}>
      <option value="">any</option>
      ${values.map(([condition, words]) => html`<option value=${condition}>${words}</option>`)}
    </select></label>`)}
    <button class="small" onClick=${clear}>Clear</button></div>`;
}

const timers = {};

// Keep what is typed in the state at once, and act on it unless something else came after it.
function later(field, wish, act) {
  page.set({ [field]: wish });
  clearTimeout(timers[field]);
  timers[field] = setTimeout(() => { if (page.get()[field] === wish) act(); }, WAIT);
}

function find(wish) {
  later("typed", wish, () => {
    page.set({ text: wish, typed: null });
    if (page.get().byWords) describe(wish);
  });
}

export function searchBySound() {
  if (!page.get().byWords) flipWords();
  document.getElementById("find")?.focus();
}

function flipWords() {
  const { byWords, text } = page.get();
  forgetHeard({ byWords: !byWords });
  if (!byWords) describe(text);
  document.getElementById("find")?.focus();
}

// Ask for the songs that a sentence describes, unless another was typed meanwhile.
export async function describe(text) {
  if (!text.trim()) {
    forgetHeard();
    return;
  }
  const isLate = () => page.get().text !== text || !page.get().byWords;
  try {
    const answer = await postJson("/api/words", { text });
    const bits = new Uint8Array(page.get().library.n);
    for (const row of answer.rows) bits[row] = 1;
    if (!isLate()) page.set({ heard: { text, bits, ...answer }, sort: { by: "heard", down: false } });
  } catch (error) {
    if (!isLate()) forgetHeard({ heard: { text, failure: error.message } });
  }
}

function forgetHeard(change = {}) {
  const { sort } = page.get();
  page.set({ heard: null, sort: sort.by === "heard" ? { by: "artist", down: false } : sort, ...change });
}

function ask(wish) {
  later("written", wish, () => filter(wish));
}

export function showAll() {
  filter("");
  forgetHeard({ text: "", typed: null, hidden: new Set(), lasso: null });
}

let asked = 0;
export async function filter(wish) {
  const mine = ++asked;
  if (!wish.trim()) {
    page.set({ only: "", written: null, onlyBits: null, onlyError: "" });
    return;
  }
  const { written } = page.get();
  const isLate = () => mine !== asked || page.get().written !== written; // more was asked or typed
  try {
    const bits = new Uint8Array(await getBytes(`/api/find?only=${encodeURIComponent(wish)}`));
    if (!isLate()) page.set({ only: wish, written: null, onlyBits: bits, onlyError: "" });
  } catch (error) {
    if (!isLate()) page.set({ written: wish, onlyError: error.message });
  }
}
