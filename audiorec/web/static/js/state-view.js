// The state of the store: what it holds, which files failed and why, the last run, a run in progress.

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { getJson } from "./api.js";
import { clock, count } from "./library.js";
import { filter } from "./finder.js";
import { page, use, useAnswer } from "./store.js";

const POLL = 2000; // milliseconds
const REASONS = {
  __proto__: null, // statuses come from files
  unreadable: "cannot be opened", empty: "is empty", not_audio: "is not audio", unsupported: "has an unsupported format",
  drm: "is DRM-protected", no_audio: "contains no audio", too_short: "is too short", too_long: "is too long",
  not_finite: "has NaN or infinite samples", undecodable: "cannot be decoded", crashed: "crashed the decoder",
  timeout: "took too long", oom: "used too much memory",
};
const STATUSES = {
  __proto__: null,
  ok: "good", damaged: "parts are missing", truncated: "cut off at the end", phase_cancelled: "channels cancel out",
  silent: "silent", short: "very short",
};

export function StateView() {
  const library = use((s) => s.library);
  const [answer, error, isLoading] = useAnswer(() => getJson("/api/state"), []);
  if (error) return html`<p class="failure" role="alert">${error.message}</p>`;
  if (isLoading && !answer) return html`<p class="quiet" role="status">Reading the store…</p>`;
  return html`<div class="state">
    <h2>State of the library</h2>
    <${Running} first=${answer.running} />
    <dl class="facts">
      <dt>Songs</dt><dd>${count(answer.songs, "song")}, ${clock(answer.seconds)} of audio</dd>
      <dt>Kept in</dt><dd><bdi>${answer.path}</bdi></dd>
      <dt>Made by</dt><dd><bdi>${answer.created_by}</bdi></dd>
      <dt>Playable folders</dt><dd>${library.about.roots.map((root) => html`<bdi>${root}</bdi> `)}</dd>
      <dt>Kept beside it</dt><dd>${answer.beside.length ? answer.beside.map((one) => html`<span>${one.kind}${one.problem && `: ${one.problem}`} </span>`) : "nothing"}</dd>
    </dl>
    ${answer.notes.map((note) => html`<p class="note">${note}</p>`)}
    <h3>Audio quality</h3>
    <ul class="counts">${Object.entries(answer.statuses).map(([name, n]) => html`<li>
      <button class="plain title" onClick=${() => { filter(`status=${name}`); page.set({ view: "library", pane: "list" }); }}>
        ${STATUSES[name] || name}</button> ${n.toLocaleString("en")}</li>`)}</ul>
    <${Run} run=${answer.run} />
    <${Failures} answer=${answer} />
  </div>`;
}

function Running({ first }) {
  const [state, setState] = useState(first);
  useEffect(() => {
    const timer = setInterval(() => {
      getJson("/api/running").then((answer) => setState(answer.running), () => {});
    }, POLL);
    return () => clearInterval(timer);
  }, []);
  if (!state) return null;
  return html`<p class="note" role="status">${state.working
    ? `A run is in progress: ${count(state.done, "song")} done, ${state.failed} failed.`
    : `A run was stopped: ${count(state.done, "song")} done, ${state.failed} failed. The same audiorec extract command resumes it.`}</p>`;
}

function Run({ run }) {
  if (!run) return html`<h3>The last run</h3><p class="quiet">There is no record of it.</p>`;
  const counts = Object.entries(run.counts).map(([name, n]) => `${name.replaceAll("_", " ")} ${n}`).join(", ");
  return html`<h3>The last run</h3>
    <p>${`${new Date(run.ended_at).toLocaleString("en")}: ${counts || "nothing to do"}; ${clock(run.audio_s)} of audio in ${clock(run.wall_s)}.`}</p>
    <p class="quiet"><code>${run.command.join(" ")}</code></p>`;
}

function Failures({ answer }) {
  const [text, setText] = useState("");
  const { failures, failures_total: total } = answer;
  if (!total) return html`<h3>Files that failed</h3><p class="quiet">None.</p>`;
  const lower = text.toLowerCase();
  const shown = failures.filter((one) => `${one.uri} ${one.status} ${one.message}`.toLowerCase().includes(lower));
  return html`<h3>${count(total, "file")} failed</h3>
    <label>Find among them <input type="search" value=${text} onInput=${(e) => setText(e.target.value)} /></label>
    <div class="scroll" role="region" tabindex="0" aria-label="Files that failed"><table class="failures">
      <thead><tr><th scope="col">File</th><th scope="col">Problem</th><th scope="col">Attempts</th></tr></thead>
      <tbody>${shown.map((one) => html`<tr><td><bdi>${one.uri}</bdi></td>
        <td>${REASONS[one.status] || one.status}: <span class="quiet"><bdi>${one.message}</bdi></span></td>
        <td>${one.attempts}×</td></tr>`)}</tbody>
    </table></div>
    ${total > failures.length && html`<p class="quiet">The first ${failures.length} are shown.</p>`}
    <p class="quiet">To try them again: <code>audiorec extract FOLDER --retry-failed</code></p>`;
}
