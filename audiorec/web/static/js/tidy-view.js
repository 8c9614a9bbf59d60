// Recordings that the library holds more than once: side by side, which one is kept and why. Nothing is moved or deleted.

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { getJson, postJson } from "./api.js";
import { Cover } from "./covers.js";
import { Downloads } from "./downloads.js";
import { Icon } from "./icons.js";
import { clock, count } from "./library.js";
import { Failed, More, Names } from "./parts.js";
import { now, play, playing, toggle } from "./player.js";
import { route, songPath } from "./route.js";
import { use, useAnswer, useLibrary } from "./store.js";
import { Wave } from "./wave.js";

const VERDICTS = { identical: "the same sound, bit for bit", likely: "probably the same recording" };
const CERTAIN = [["likely", "all"], ["identical", "the same, bit for bit"]];
const PIECE = 50; // recordings drawn at a time
const STATUSES = { __proto__: null, damaged: "parts are missing", truncated: "cut off at the end" };

export function TidyView() {
  const library = useLibrary();
  const at = use((s) => Number(s.rest[0] || 1), route);
  const [answer, error, isLoading] = useAnswer(() => getJson("/api/copies"), [library]);
  const [least, setLeast] = useState("likely");
  const [most, setMost] = useState(PIECE);
  if (error) return html`<div class="sheet"><${Failed} of=${error} /></div>`;
  if (isLoading && !answer) return html`<div class="sheet"><h1>Tidy up</h1><p class="quiet" role="status">Comparing the songs…</p></div>`;
  if (!answer.groups.length) {
    return html`<div class="sheet copies"><h1>Nothing is here twice</h1>
      <p class="quiet">Songs are compared by their sound, so other formats, levels and names do not hide a copy.</p></div>`;
  }
  const order = Object.keys(VERDICTS);
  const verdicts = order.slice(0, order.indexOf(least) + 1);
  const groups = answer.groups.filter((one) => verdicts.includes(one.verdict));
  const gain = groups.reduce((sum, one) => sum + one.gain, 0);
  const open = groups[at - 1] || groups[0];
  return html`<div class="sheet copies"><div class="above"><div><h1>You have ${count(groups.length, "recording")} twice</h1>
      <p class="quiet">Mixes and searches already use one of each. Nothing is moved or deleted here: take the paths as a file or a script, ${megabytes(gain)} to gain.</p></div>
      <label class="quiet">Show <select class="pill" value=${least} onChange=${(e) => { setLeast(e.target.value); setMost(PIECE); }}>${CERTAIN.map(([one, words]) => html`<option value=${one}>${words}</option>`)}</select></label></div>
    <${Downloads} kinds=${["script", "paths", "m3u8", "csv"]} name="twice" isEmpty=${!groups.length} ask=${(as) => postJson("/api/copies", { as, verdicts })} />
    ${answer.notes.map((note) => html`<p class="note">${note}</p>`)}
    ${open && html`<${Pair} key=${open.songs[0].row} group=${open} />`}
    <ol class="songs lines">${groups.slice(0, most).map((group, place) => group !== open && html`<${Recording} key=${group.songs[0].row} group=${group} number=${place + 1} />`)}</ol>
    <${More} left=${groups.length - most} show=${() => setMost(most + PIECE)} />
  </div>`;
}

const named = (library, group) => (group.songs.find(({ row }) => library.text("title", row)) || group.songs[0]).row;

function Recording({ group, number }) {
  const library = useLibrary();
  const row = named(library, group);
  return html`<li class="song-line"><${Cover} rows=${[row]} size=${44} /><${Names} row=${row} href=${`/tidy/${number}`} />
    <span class="quiet">${count(group.songs.length, "file")}, ${VERDICTS[group.verdict] || group.verdict}</span><span>${group.why || "keep the first"}</span><span class="time quiet">${megabytes(group.gain)}</span>
    <a class="button small" href=${`/tidy/${number}`}>Look</a></li>`;
}

// The copies of one recording, the one to keep first; X changes between them at the same moment.
function Pair({ group }) {
  const library = useLibrary();
  const current = use((s) => s.row, playing);
  const row = named(library, group);
  const rows = group.songs.map((one) => one.row);
  const change = () => { const next = rows[(rows.indexOf(playing.get().row) + 1) % rows.length]; play(next, { at: rows.includes(playing.get().row) ? now() : 0, queue: rows }); };
  useEffect(() => {
    const onKey = (event) => { if ((event.key || "").toLowerCase() === "x" && !event.target.closest?.("input, textarea, select") && !event.ctrlKey && !event.metaKey) change(); };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [group]);
  return html`<section class="card recording" aria-label=${library.title(row)}>
    <div class="line"><${Cover} rows=${[row]} size=${56} /><div class="names"><h2><a href=${songPath(library, row)}><bdi>${library.title(row)}</bdi></a></h2><span class="quiet"><bdi>${[library.artist(row), VERDICTS[group.verdict] || group.verdict].filter(Boolean).join(", ")}</bdi></span></div>
      <button onClick=${change}><${Icon} name="swap" /> Switch at the same moment <kbd>X</kbd></button></div>
    ${group.songs.map((song, at) => html`<div class=${`copy ${song.row === current ? "plays" : ""}`} key=${song.row}>
      <div><p><span class=${song.surplus ? "fate" : "fate keep"}>${song.surplus ? "A copy" : group.why && at ? "Original unknown" : "Keep"}</span> ${STATUSES[song.status] && html`<span class="badge">${STATUSES[song.status]}</span>`}</p>
        <p class="file-name"><bdi>${song.uri.slice(song.uri.lastIndexOf("/") + 1)}</bdi></p>
        <p class="quiet">${song.codec}, ${megabytes(song.size)}, ${song.kbit_s.toLocaleString("en")} kbit/s, ${clock(song.duration_s)}</p>
        <p class="quiet folder"><bdi>${song.uri.slice(0, song.uri.lastIndexOf("/"))}</bdi></p>
        ${(song.surplus || group.why) && html`<p>${song.surplus || group.why}</p>`}
        <button class="small" onClick=${() => (current === song.row ? toggle() : play(song.row, { queue: rows }))}><${Icon} name="play" /> Play</button></div>
      <${Wave} row=${song.row} height=${84} label=${`${song.uri.slice(song.uri.lastIndexOf("/") + 1)} over time`} /></div>`)}
    <div class="buttons">${group.gain > 0 && html`<span class="quiet">${megabytes(group.gain)} to gain</span>`}
      <${Downloads} kinds=${["script", "paths"]} name="twice" ask=${(as) => postJson("/api/copies", { as, verdicts: Object.keys(VERDICTS), rows })} /></div></section>`;
}

const megabytes = (bytes) => `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: bytes < 1e8 ? 1 : 0 })} MB`;

