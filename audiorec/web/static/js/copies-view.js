// Recordings that the library holds more than once: their copies side by side, the best one first.

import { html, useState } from "../vendor/htm-preact.js";
import { getJson, postJson } from "./api.js";
import { Downloads } from "./downloads.js";
import { Icon } from "./icons.js";
import { clock, count } from "./library.js";
import { play, playing } from "./player.js";
import { page, use, useAnswer } from "./store.js";

const VERDICTS = { identical: "the same audio", likely: "probably the same recording" };
const CERTAIN = [["likely", "all"], ["identical", "the same audio, bit for bit"]];
const PIECE = 50; // recordings drawn at a time
const STATUSES = { __proto__: null, damaged: "parts are missing", truncated: "cut off at the end" };

export function CopiesView() {
  const [answer, error, isLoading] = useAnswer(() => getJson("/api/copies"), []);
  const [least, setLeast] = useState("likely");
  const [most, setMost] = useState(PIECE);
  if (error) return html`<p class="failure" role="alert">${error.message}</p>`;
  if (isLoading && !answer) return html`<p class="empty" role="status">Comparing the songs…</p>`;
  const order = Object.keys(VERDICTS);
  const verdicts = order.slice(0, order.indexOf(least) + 1);
  const groups = answer.groups.filter((one) => verdicts.includes(one.verdict));
  const surplus = groups.reduce((sum, one) => sum + one.songs.length - 1, 0);
  const gain = groups.reduce((sum, one) => sum + one.gain, 0);
  if (!answer.groups.length) {
    return html`<div class="copies"><h2>Duplicates</h2>
      <p>No recording is here twice. Songs are compared by their sound, so other formats, levels and names do not hide a copy.</p></div>`;
  }
  return html`<div class="copies">
    <div class="above"><h2>Duplicates <span class="quiet">${`${count(groups.length, "recording")} with ${count(surplus, "surplus copy", "surplus copies")}, ${megabytes(gain)} to gain`}</span></h2>
      <label>Show <select value=${least} onChange=${(e) => { setLeast(e.target.value); setMost(PIECE); }}>
        ${CERTAIN.map(([one, words]) => html`<option value=${one}>${words}</option>`)}</select></label></div>
    <p class="quiet">Lists and recommendations already use the best copy alone. Nothing is deleted here: the playlist and the
      paths hold the surplus copies, the table holds all of them.</p>
    <${Downloads} kinds=${["csv", "m3u8", "paths"]} name="duplicates" isEmpty=${!groups.length}
      ask=${(as) => postJson("/api/copies", { as, verdicts })} />
    ${answer.notes.map((note) => html`<p class="note">${note}</p>`)}
    ${groups.slice(0, most).map((group) => html`<${Recording} key=${group.songs[0].row} group=${group} />`)}
    ${groups.length > most && html`<button onClick=${() => setMost(most + PIECE)}>Show more
      <span class="quiet">${(groups.length - most).toLocaleString("en")} left</span></button>`}
  </div>`;
}

function Recording({ group }) {
  const library = use((s) => s.library);
  const isPlaying = use((s) => s.row, playing);
  const named = group.songs.find(({ row }) => library.text("title", row)) || group.songs[0];
  const title = library.title(named.row);
  const queue = group.songs.map(({ row }) => row);
  return html`<section class="recording" aria-label=${title}>
    <h3><bdi>${title}</bdi> <span class="quiet"><bdi>${library.artist(named.row)}</bdi></span></h3>
    <p class="quiet">${VERDICTS[group.verdict] || group.verdict}; ${megabytes(group.gain)} to gain</p>
    <div class="scroll" role="region" tabindex="0" aria-label=${`Copies of ${title}`}><table class="failures">
      <thead><tr><th scope="col"><span class="hidden">Listen</span></th><th scope="col">File</th><th scope="col">Format</th><th scope="col">Bit rate</th>
        <th scope="col">Length</th><th scope="col">Level</th><th scope="col">Size</th></tr></thead>
      <tbody>${group.songs.map((song, at) => html`<tr class=${song.row === isPlaying ? "plays" : ""}>
        <td><button class="icon" title=${`Play ${song.uri}`} onClick=${() => play(song.row, { queue })}><${Icon} name="play" /></button></td>
        <td class="file-name"><button class="plain title" onClick=${() => page.set({ selected: song.row, view: "library", pane: "song" })}><bdi>${song.uri.slice(song.uri.lastIndexOf("/") + 1)}</bdi></button> ${at === 0 && html`<span class="best">Best${group.why && `: ${group.why}`}</span>`}
          ${STATUSES[song.status] && html` <span class="badge">${STATUSES[song.status]}</span>`}
          <span class="quiet folder"><bdi>${song.uri.slice(0, song.uri.lastIndexOf("/"))}</bdi></span></td>
        <td>${song.codec}</td>
        <td>${song.kbit_s.toLocaleString("en")} kbit/s <span class="quiet rate">${(song.source_rate / 1000).toLocaleString("en")} kHz</span></td>
        <td>${clock(song.duration_s)}</td>
        <td>${song.loudness_lufs === null ? "" : `${song.loudness_lufs.toFixed(1)} LUFS`}</td>
        <td>${megabytes(song.size)}</td></tr>`)}</tbody></table></div>
  </section>`;
}

const megabytes = (bytes) => `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: bytes < 1e8 ? 1 : 0 })} MB`;
