// Recommendations: choose a user, see each channel's candidates and why, the fused list, and settings.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { getJson, postJson } from "./api.js";
import { Form } from "./form.js";
import { Icon } from "./icons.js";
import { count, stem } from "./library.js";
import { change, list } from "./list-state.js";
import { play } from "./player.js";
import { makeStore, page, use, useAnswer } from "./store.js";

const WAIT = 120; // milliseconds after a setting was changed
const PLACES = 30; // length of a list without quotas
// The current query: kept while another view is shown.
const asking = makeStore({ user: null, songs: null, left: new Set(), dials: { weights: {}, quotas: null } });

export function RecommendView() {
  const about = use((s) => s.library.about.recall);
  const nights = use((s) => s.nights); // how often another one has come
  const { user, songs } = use((s) => s, asking);
  return html`<div class="recommend">
    <section class="who" aria-labelledby="who-title"><h2 id="who-title">For whom?</h2>
      <${Who} about=${about} key=${nights} /></section>
    ${user || songs ? html`<${Answers} about=${about} key=${`${nights} ${user || "own"}`} />`
      : html`<section class="fused"><h2>Recommendations</h2><p class="quiet empty">Choose a user, or make up a history of songs.</p></section>`}
  </div>`;
}

function Who({ about }) {
  const { user } = use((s) => s, asking);
  const mine = use((s) => s.songs, list);
  const library = use((s) => s.library);
  const [text, setText] = useState("");
  const [pasted, setPasted] = useState("");
  const [unknown, setUnknown] = useState("");
  const [answer, error] = useAnswer(() => getJson(`/api/users?find=${encodeURIComponent(text)}`), [text]);
  const canAsk = about.models.length > 0;
  const ask = (songs) => asking.set({ user: null, songs, left: new Set() });
  const paste = () => {
    const ids = pasted.split("\n").map((line) => line.trim()).filter(Boolean);
    const strange = ids.filter((id) => library.row(id) === undefined);
    setUnknown(strange.length ? `${count(strange.length, "line")} match no song of the library, for example ${strange[0]}` : "");
    if (ids.length > strange.length) ask(ids);
  };
  return html`<label>Find a user <input type="search" value=${text} onInput=${(e) => setText(e.target.value)} /></label>
    ${error && html`<p class="failure" role="alert">${error.message}</p>`}
    <ul class="users">${answer?.users.slice(0, 30).map((one) => html`<li key=${one}><button class="plain" aria-pressed=${one === user}
      onClick=${() => asking.set({ user: one, songs: null, left: new Set() })}><bdi>${one}</bdi></button></li>`)}</ul>
    ${answer && answer.total > 30 && html`<p class="quiet">${count(answer.total, "user")}; the first 30 are shown.</p>`}
    <h3>Or a history of your own</h3>
    ${!canAsk ? html`<p class="quiet">The folder has no trained models.</p>` : html`
      <button disabled=${!mine.length} onClick=${() => ask(mine.map((row) => library.ids[row]))}>Use your list (${mine.length})</button>
      <label>Paste song ids, one per line <textarea rows="3" value=${pasted} onInput=${(e) => setPasted(e.target.value)}></textarea></label>
      <button disabled=${!pasted.trim()} onClick=${paste}>Use these</button>
      ${unknown && html`<p class="note">${unknown}</p>`}`}`;
}

// Query again whenever the settings change; the newest response wins, old lists stay until it arrives.
function useLists(state) {
  const [lists, setLists] = useState(null);
  const [error, setError] = useState(null);
  const timer = useRef(0);
  const turn = useRef(0);
  const { user, songs, left, dials } = state;
  useEffect(() => {
    const mine = ++turn.current;
    clearTimeout(timer.current);
    timer.current = setTimeout(async () => {
      try {
        const found = await asked(user, songs, left, dials);
        if (mine === turn.current) { setLists(found); setError(null); }
      } catch (failure) {
        if (mine === turn.current) setError(failure);
      }
    }, lists ? WAIT : 0);
  }, [user, songs, left, dials]);
  return [lists, error];
}

async function asked(user, songs, left, dials) {
  if (user && !left.size) {
    const [who, fused] = await Promise.all([
      getJson(`/api/user?id=${encodeURIComponent(user)}`),
      postJson("/api/fuse", { user, dials }),
    ]);
    return { ...who, ...fused, notes: [] };
  }
  const history = user ? (await getJson(`/api/user?id=${encodeURIComponent(user)}`)).history.map((one) => one.id) : songs;
  const kept = history.filter((id) => !left.has(id));
  const [answer, before] = await Promise.all([
    postJson("/api/ask", { songs: kept, hidden: [...left], dials }),
    left.size ? postJson("/api/ask", { songs: history, dials }) : null,
  ]);
  return { history: history.map((id) => ({ id })), ...answer, before: before?.fused };
}

function Answers({ about }) {
  const state = use((s) => s, asking);
  const library = use((s) => s.library);
  const [lists, error] = useLists(state);
  const turnTo = (change) => asking.set({ dials: { ...state.dials, ...change } });
  const name = (id) => {
    const row = library.row(id);
    return row === undefined ? stem(id) : library.title(row);
  };
  const leave = (id) => {
    const left = new Set(state.left);
    if (!left.delete(id)) left.add(id);
    asking.set({ left });
  };
  const showOnMap = () => {
    const marks = new Map();
    const interests = lists.channels.some((one) => one.songs.some((song) => song.interest !== null));
    lists.channels.forEach((one, at) => one.songs.forEach((song) => {
      if (song.row === null || (interests && song.interest === null)) return;
      marks.set(song.row, interests ? song.interest : at);
    }));
    page.set({ marks, view: "library", pane: "map" });
  };
  return html`<section class="fused" aria-labelledby="fused-title">
      <h2 id="fused-title">For <bdi>${state.user || "this history"}</bdi></h2>
      ${error && html`<p class="failure" role="alert">${error.message}</p>`}
      ${!lists && !error && html`<p class="quiet" role="status">Querying the channels…</p>`}
      ${lists && html`<${Dials} about=${about} lists=${lists} dials=${state.dials} turnTo=${turnTo} />
        <${Fused} lists=${lists} name=${name} />
        ${lists.lists?.length > 0 && html`<${Ranked} lists=${lists.lists} />`}`}
    </section>
    ${lists && html`<section class="history" aria-labelledby="history-title"><h2 id="history-title">History</h2>
      ${!lists.history?.length ? html`<p class="quiet">${about.has_log ? "No plays." : "To show the history: audiorec browse --interactions LOG"}</p>`
        : html`<p class="quiet">${about.models.length ? "Leave a song out to see what changes." : ""}</p>
        <ul class="heard">${uniqueNewest(lists.history).map((one) => html`<li key=${one.id}>
          <label><input type="checkbox" checked=${!state.left.has(one.id)} disabled=${!about.models.length} onChange=${() => leave(one.id)} />
          <bdi>${name(one.id)}</bdi></label></li>`)}</ul>`}
      ${lists.notes?.map((note) => html`<p class="note">${note}</p>`)}
    </section>
    <section class="channels" aria-labelledby="channels-title"><div class="above"><h2 id="channels-title">Candidates of each channel</h2>
      <button onClick=${showOnMap}>Show on the map</button></div>
      <div class="columns" tabindex="0" role="region" aria-label="Channels side by side">${lists.channels.map((one) => html`
        <div class="channel" key=${one.channel}><h3>${one.channel}</h3>
          ${!one.songs.length && html`<p class="quiet">nothing</p>`}
          <ol class="songs">${one.songs.slice(0, 20).map((song) => html`<${Proposed} key=${song.id} song=${song} name=${name} />`)}</ol></div>`)}</div>
    </section>`}`;
}

function Dials({ about, lists, dials, turnTo }) {
  return html`<div class="dials">
    <${Form} fields=${about.dials} values=${dials} change=${(values) => asking.set({ dials: values })} />
    <details><summary>Weight of each channel</summary><div class="weights" role="group" aria-label="Weight of each channel">${lists.channels.map(({ channel }) => html`<label key=${channel}>${channel}
      <input type="range" min="0" max="3" step="0.25" value=${dials.weights[channel] ?? about.fusion.weights[channel] ?? 1}
        disabled=${!!dials.quotas} onInput=${(e) => turnTo({ weights: { ...dials.weights, [channel]: Number(e.target.value) } })} /></label>`)}</div></details>
    <${Quotas} about=${about} lists=${lists} dials=${dials} turnTo=${turnTo} />
  </div>`;
}

// Places per channel in the list; moving one slider fixes the others at their current values.
function Quotas({ about, lists, dials, turnTo }) {
  const names = lists.channels.map((one) => one.channel);
  const quotas = dials.quotas || usualQuotas(about, names, dials);
  const whole = names.reduce((sum, name) => sum + (quotas[name] || 0), 0);
  return html`<details><summary>Places of each channel</summary><div class="places" role="group" aria-label="Places of each channel">${names.map((name) => html`<label key=${name}>
      <span class="quota">${name} <span class="value" aria-hidden="true">${quotas[name] || 0}</span></span>
      <input type="range" min="0" max=${PLACES} step="1" value=${quotas[name] || 0} aria-valuetext=${count(quotas[name] || 0, "place")}
        onInput=${(e) => turnTo({ quotas: { ...quotas, [name]: Number(e.target.value) } })} /></label>`)}</div>
    <p class="quotas"><button onClick=${() => turnTo({ quotas: null })}>Reset the places</button>
      <span class="quiet">${dials.quotas ? `${count(whole, "place")} in the list; the weights are not used.` : "The weights decide."}</span></p></details>`;
}

// Convert the weights to places per channel. Heard songs have their own share.
function usualQuotas(about, names, dials) {
  const heard = names.includes("replay") ? Math.round(PLACES * (dials.replay_share ?? about.fusion.replay_share ?? 0)) : 0;
  const say = names.map((name) => (name === "replay" ? 0 : dials.weights[name] ?? about.fusion.weights[name] ?? 1));
  const whole = say.reduce((sum, one) => sum + one, 0) || 1;
  let upTo = 0; // cumulative sums are rounded, so that the places add up to the whole list
  return Object.fromEntries(names.map((name, at) => {
    const before = Math.round(((PLACES - heard) * upTo) / whole);
    upTo += say[at];
    return [name, name === "replay" ? heard : Math.round(((PLACES - heard) * upTo) / whole) - before];
  }));
}

function Fused({ lists, name }) {
  const before = useMemo(() => new Map((lists.before || []).map((one) => [one.id, one.rank])), [lists]);
  const gone = lists.before ? lists.before.filter((one) => !lists.fused.some((now) => now.id === one.id)) : [];
  return html`<ol class="songs ranked">${lists.fused.map((song) => html`<${Proposed} key=${song.id} song=${song} name=${name} channel=${song.channel}
      change=${lists.before ? changed(before.get(song.id), song.rank) : ""} />`)}</ol>
    ${!lists.fused.length && html`<p class="quiet">Nothing left to recommend. Loosen a setting.</p>`}
    ${gone.length > 0 && html`<p class="note">No longer recommended: ${gone.map((one) => name(one.id)).join(", ")}</p>`}`;
}

// Playlists that other people made.
function Ranked({ lists }) {
  const open = (rows) => { change({ songs: rows, seeds: [], locked: new Set() }); page.set({ view: "lists" }); };
  return html`<h3 id="ranked-title">Playlists by others</h3><ol class="songs" aria-labelledby="ranked-title">${lists.map((one) => html`<li key=${one.list_id}>
    <button class="icon" disabled=${!one.rows.length} title=${`Play ${one.list_id}`} onClick=${() => play(one.rows[0], { queue: one.rows })}><${Icon} name="play" /></button>
    <div class="names"><button class="plain title" disabled=${!one.rows.length} title=${one.rows.length ? `Open ${one.list_id} as your list` : "Its songs are in the log: audiorec browse --interactions LOG"} onClick=${() => open(one.rows)}><bdi>${one.list_id}</bdi></button>
      <span class="why">${count(one.songs, "song")}: ${one.known} played before, ${one.proposed} proposed</span></div></li>`)}</ol>`;
}

function changed(was, is) {
  if (was === undefined) return "new";
  if (was === is) return "";
  return was > is ? `up ${was - is}` : `down ${is - was}`;
}

function Proposed({ song, name, channel, change }) {
  const inLibrary = song.row !== null && song.row !== undefined;
  return html`<li>
    <button class="icon" disabled=${!inLibrary} title=${`Play ${name(song.id)}`} onClick=${() => play(song.row)}><${Icon} name="play" /></button>
    <div class="names"><button class="plain title" disabled=${!inLibrary} onClick=${() => page.set({ selected: song.row, view: "library", pane: "song" })}>
      <bdi>${name(song.id)}</bdi></button>
      <span class="why"><bdi>${song.why}</bdi>${channel && html` <span class="badge">${channel}</span>`}
        ${change && html` <span class="badge changed">${change}</span>`}</span></div></li>`;
}

function uniqueNewest(history) {
  const seen = new Set();
  return [...history].reverse().filter((one) => !seen.has(one.id) && seen.add(one.id)).slice(0, 100);
}
