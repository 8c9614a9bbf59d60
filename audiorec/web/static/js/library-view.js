// Your library: at a glance, as charts that one can click; which files could not be heard, and why.

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { getJson } from "./api.js";
import { genreColour } from "./colours.js";
import { clock, count, label } from "./library.js";
import { Failed } from "./parts.js";
import { findPath } from "./route.js";
import { useAnswer, useLibrary } from "./store.js";

const POLL = 2000; // milliseconds
const CHARTS = [["genre", "Genres"], ["year", "Years"], ["tempo", "Tempo, beats a minute"], ["length", "Length"], ["artist", "Artists"], ["format", "Formats"]];
const REASONS = {
  __proto__: null, // statuses come from files
  unreadable: "cannot be opened", empty: "is empty", not_audio: "is not sound", unsupported: "has a format that audiorec does not know",
  drm: "is locked by its shop", no_audio: "has no sound in it", too_short: "is too short", too_long: "is too long",
  not_finite: "has broken sound", undecodable: "cannot be played", crashed: "is so broken that it stops a player",
  timeout: "took too long", oom: "is too large to hear",
};
const STATUSES = { __proto__: null, ok: "good", damaged: "parts are missing", truncated: "cut off at the end", phase_cancelled: "channels cancel out", silent: "silent", short: "very short" };

export function LibraryView() {
  const library = useLibrary();
  const [glance, error] = useAnswer(() => getJson("/api/glance"), [library]);
  const [state] = useAnswer(() => getJson("/api/state"), [library]);
  return html`<div class="sheet glance"><h1>Your library</h1>
    <${Failed} of=${error} />
    ${glance && html`<p class="quiet">${[count(glance.songs, "song"), count(Math.round(glance.hours), "hour"), count(glance.artists, "artist"), count(glance.albums, "album")].join(", ")}.
      ${glance.music < glance.songs && html` <a href=${findPath("version=other")}>${count(glance.songs - glance.music, "is", "are")} not music</a>: speech or noise.`} Click a bar for its songs.</p>`}
    ${state && html`<${Running} first=${state.running} />`}
    <div class="charts">${CHARTS.map(([name, title]) => glance?.charts[name]?.length > 1 && html`<${Chart} key=${name} name=${name} title=${title} bars=${glance.charts[name]} />`)}</div>
    ${state && html`<${Heard} state=${state} />`}
  </div>`;
}

function Chart({ name, title, bars }) {
  const most = Math.max(...bars.map((one) => one.songs));
  const wide = Math.min(60, 300 / bars.length);
  const isLine = ["year", "tempo", "length"].includes(name);
  const fill = (one) => (name === "genre" ? { fill: genreColour(one.only.split("=")[1]) } : {});
  const said = (one) => `${one.label}: ${count(one.songs, "song")}`;
  return html`<section class="card chart" aria-labelledby=${`chart-${name}`}><h2 id=${`chart-${name}`}>${title}</h2>
    ${isLine ? html`<svg viewBox="0 0 300 122" role="group" aria-label=${title}>${bars.map((one, at) => { const tall = Math.max(2, (96 * one.songs) / most); return html`<a key=${one.label} href=${findPath(one.only)} aria-label=${said(one)}>
        <title>${said(one)}</title><rect class="hit" x=${at * wide} y="0" width=${wide} height="122" /><rect x=${(at + 0.1) * wide} y=${104 - tall} width=${0.8 * wide} height=${tall} rx="3" />${at % Math.ceil(28 / wide) === 0 && html`<text x=${(at + 0.5) * wide} y="118">${one.label.replace(/ .*/, "")}</text>`}</a>`; })}</svg>`
    : html`<ul>${bars.map((one) => html`<li key=${one.label}><a href=${findPath(one.only)} aria-label=${said(one)}><span class="name"><bdi>${name === "genre" ? label(one.label) : one.label}</bdi></span>
        <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width=${Math.max(1, (100 * one.songs) / most)} height="8" rx="2" style=${fill(one)} /></svg><span class="quiet">${one.songs.toLocaleString("en")}</span></a></li>`)}</ul>`}
  </section>`;
}

function Running({ first }) {
  const [state, setState] = useState(first);
  useEffect(() => {
    const timer = setInterval(() => { getJson("/api/running").then((answer) => setState(answer.running), () => {}); }, POLL);
    return () => clearInterval(timer);
  }, []);
  if (!state) return null;
  return html`<p class="note" role="status">${state.working ? `Listening: ${count(state.done, "song")} heard, ${state.failed} could not be.`
    : `Listening has stopped: ${count(state.done, "song")} heard. The same command goes on where it was.`}</p>`;
}

function Heard({ state }) {
  const library = useLibrary();
  const [text, setText] = useState("");
  const { failures, failures_total: total, run } = state;
  const lower = text.toLowerCase();
  const shown = failures.filter((one) => `${one.uri} ${one.status} ${one.message}`.toLowerCase().includes(lower));
  return html`<section class="card state"><h2>${total ? html`<span class="place-name">${count(total, "file")} could not be heard</span>` : "Every file could be heard"}</h2>
    ${total > 0 && html`<p class="quiet">The other ${state.songs.toLocaleString("en")} are here.</p>
      ${total > 8 && html`<label>Find among them <input type="search" value=${text} onInput=${(e) => setText(e.target.value)} /></label>`}
      <div class="scroll" role="region" tabindex="0" aria-label="Files that could not be heard"><table class="failures"><thead class="hidden"><tr><th scope="col">File</th><th scope="col">Why</th></tr></thead><tbody>${shown.map((one) => html`<tr><td><bdi>${one.uri}</bdi></td>
        <td>${REASONS[one.status] || one.status}<span class="quiet"><bdi>${one.message && `: ${one.message}`}</bdi></span></td></tr>`)}</tbody></table></div>`}
    ${state.notes.map((note) => html`<p class="note">${note}</p>`)}
    <p class="quiet">Quality: ${Object.entries(state.statuses).map(([name, n]) => html`<a href=${findPath(`status=${name}`)}>${STATUSES[name] || name}</a> ${n.toLocaleString("en")} `)}</p>
    <details><summary>Where it is kept</summary><dl class="facts"><dt>Folders</dt><dd>${library.about.roots.map((root) => html`<bdi>${root}</bdi> `)}</dd>
      <dt>What was heard</dt><dd><bdi>${state.path}</bdi>, ${clock(state.seconds)} of sound</dd>      ${run && html`<dt>Last listened</dt><dd>${new Date(run.ended_at).toLocaleString("en")}: ${clock(run.audio_s)} of sound in ${clock(run.wall_s)}</dd>`}</dl></details></section>`;
}
