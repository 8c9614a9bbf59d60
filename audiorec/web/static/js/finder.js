// Search for songs: by words, and by conditions in the syntax of the command line, with a builder.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { getBytes } from "./api.js";
import { label } from "./library.js";
import { page, use } from "./store.js";

const WAIT = 180; // milliseconds after the last letter

export function Finder() {
  const library = use((s) => s.library);
  const text = use((s) => s.text);
  const only = use((s) => s.only);
  const failure = use((s) => s.onlyError);
  const typed = use((s) => s.typed);
  const written = use((s) => s.written);
  const [isOpen, setOpen] = useState(false);
  const shown = written ?? only;
  const box = useRef(null);
  useEffect(() => { // a click elsewhere, or Escape, closes it
    if (!isOpen) return undefined;
    const away = (event) => {
      if (event.key === "Escape" || (event.type === "pointerdown" && !box.current.contains(event.target))) setOpen(false);
    };
    addEventListener("pointerdown", away);
    addEventListener("keydown", away);
    return () => { removeEventListener("pointerdown", away); removeEventListener("keydown", away); };
  }, [isOpen]);
  return html`<div class="finder" role="search" ref=${box}>
    <label class="words"><span class="hidden">Find songs</span>
      <input id="find" type="search" placeholder="Find title, artist, album…" value=${typed ?? text} autocomplete="off" spellcheck=${false}
        onInput=${(e) => find(e.target.value)} /></label>
    <button aria-expanded=${isOpen} aria-controls="conditions" onClick=${() => setOpen(!isOpen)}>
      Conditions${only ? " (on)" : ""}</button>
    ${isOpen && html`<div id="conditions" class="conditions">
      <label>Only songs with
        <input type="text" value=${shown} spellcheck=${false} autocomplete="off" placeholder="genre=jazz, duration<4:00"
          aria-invalid=${Boolean(failure)} aria-describedby="conditions-help" onInput=${(e) => ask(e.target.value)} /></label>
      <p id="conditions-help" class=${failure ? "failure" : "quiet"} role=${failure ? "alert" : undefined}>${failure ||
        "All conditions must hold. The same syntax works on the command line: audiorec similar --only"}</p>
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
  later("typed", wish, () => page.set({ text: wish, typed: null }));
}

function ask(wish) {
  later("written", wish, () => filter(wish));
}

export function showAll() {
  filter("");
  page.set({ text: "", typed: null, hidden: new Set(), lasso: null });
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
