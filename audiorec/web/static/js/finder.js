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
  const [isOpen, setOpen] = useState(false);
  const [typed, setTyped] = useState(text);
  const [written, setWritten] = useState(only);
  const timer = useRef(0);
  const sent = useRef({ text, only });
  useEffect(() => { if (text !== sent.current.text) setTyped(text); }, [text]); // changed elsewhere
  useEffect(() => { if (only !== sent.current.only) setWritten(only); }, [only]);
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
  const later = (act) => { clearTimeout(timer.current); timer.current = setTimeout(act, WAIT); };
  const find = (wish) => { sent.current.text = wish; setTyped(wish); later(() => page.set({ text: wish })); };
  const ask = (wish) => { sent.current.only = wish; setWritten(wish); later(() => filter(wish)); };
  return html`<div class="finder" role="search" ref=${box}>
    <label class="words"><span class="hidden">Find songs</span>
      <input id="find" type="search" placeholder="Find title, artist, album…" value=${typed} autocomplete="off" spellcheck=${false}
        onInput=${(e) => find(e.target.value)} /></label>
    <button aria-expanded=${isOpen} aria-controls="conditions" onClick=${() => setOpen(!isOpen)}>
      Conditions${only ? " (on)" : ""}</button>
    ${isOpen && html`<div id="conditions" class="conditions">
      <label>Only songs with
        <input type="text" value=${written} spellcheck=${false} autocomplete="off" placeholder="genre=jazz, duration<4:00"
          aria-invalid=${Boolean(failure)} aria-describedby="conditions-help" onInput=${(e) => ask(e.target.value)} /></label>
      <p id="conditions-help" class=${failure ? "failure" : "quiet"} role=${failure ? "alert" : undefined}>${failure ||
        "All conditions must hold. The same syntax works on the command line: audiorec similar --only"}</p>
      <${Helper} library=${library} add=${(one) => ask([written.trim(), one].filter(Boolean).join(", "))} clear=${() => ask("")} />
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

let asked = 0;
export async function filter(wish) {
  const mine = ++asked;
  if (!wish.trim()) {
    page.set({ only: "", onlyBits: null, onlyError: "" });
    return;
  }
  try {
    const bits = new Uint8Array(await getBytes(`/api/find?only=${encodeURIComponent(wish)}`));
    if (mine === asked) page.set({ only: wish, onlyBits: bits, onlyError: "" });
  } catch (error) {
    if (mine === asked) page.set({ onlyError: error.message });
  }
}
