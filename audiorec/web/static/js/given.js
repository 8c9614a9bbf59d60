// A playlist or table that one has: chosen, or dropped anywhere, it becomes your list, and what a new one is made from.

import { html } from "../vendor/htm-preact.js";
import { postJson } from "./api.js";
import { count } from "./library.js";
import { change } from "./list-state.js";
import { go } from "./route.js";
import { page, say } from "./store.js";

const LARGEST = 900_000; // bytes: a request has at most a megabyte
const ENDINGS = [".m3u8", ".m3u", ".csv", ".txt"];

async function take(file) {
  let failure = "";
  try {
    if (file.size > LARGEST) throw new Error(`${file.name} is too large for a playlist.`);
    const { rows, missing, examples } = await postJson("/api/given", { text: await file.text() });
    const notes = missing ? [`${count(missing, "song")} of ${file.name} not found in this library, for example ${examples.join("; ")}`] : [];
    change({ songs: rows, seeds: rows, isNew: true, locked: new Set(), notes });
    say(`${count(rows.length, "song")} of ${file.name}`);
  } catch (error) {
    failure = `${file.name}: ${error.message}`;
  }
  page.set({ givenFailure: failure });
  go("/list");
}

export function GivenList({ words = "Take a playlist file" }) {
  const choose = (event) => {
    const [file] = event.target.files;
    if (file) take(file);
    event.target.value = "";
  };
  return html`<label class="file">${words} <input type="file" accept=${ENDINGS.join(",")} onChange=${choose} /></label>`;
}

export function takeDropped() {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files") && !event.target.closest?.("input");
  addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // the browser would leave the page
    const file = [...event.dataTransfer.files].find(({ name }) => ENDINGS.some((ending) => name.toLowerCase().endsWith(ending)));
    if (file && page.get().library) take(file);
  });
}
