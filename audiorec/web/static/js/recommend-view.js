// Recommendations: for a listener of the log, or for your list, with reasons; which channel proposed what.

import { html, useState } from "../vendor/htm-preact.js";
import { getJson, postJson } from "./api.js";
import { Cover } from "./covers.js";
import { Icon } from "./icons.js";
import { count, stem } from "./library.js";
import { list, listOf } from "./list-state.js";
import { Failed } from "./parts.js";
import { play } from "./player.js";
import { go, songPath } from "./route.js";
import { makeStore, page, use, useAnswer, useLibrary } from "./store.js";

const asking = makeStore({ user: null, songs: null }); // kept while another view is shown

export function RecommendView() {
  const about = use((s) => s.library.about.recall);
  const nights = use((s) => s.nights); // how often another one has come
  const { user, songs } = use((s) => s, asking);
  if (!about) return html`<div class="sheet"><p class="quiet">There are no recommendations here.</p></div>`;
  return html`<div class="recommend"><section class="card who" aria-labelledby="who-title"><h1 id="who-title">For whom?</h1><${Who} about=${about} key=${nights} /></section>
    ${user || songs ? html`<${Answers} key=${`${nights} ${user || "own"}`} user=${user} songs=${songs} />`
      : html`<section class="card fused"><h2>Recommendations</h2><p class="quiet empty">Choose a listener, or use your list.</p></section>`}</div>`;
}

function Who({ about }) {
  const { user } = use((s) => s, asking);
  const mine = use((s) => s.songs, list);
  const { ids } = useLibrary();
  const [text, setText] = useState("");
  const [answer, error] = useAnswer(() => getJson(`/api/users?find=${encodeURIComponent(text)}`), [text]);
  return html`<label>Find a listener <input type="search" value=${text} onInput=${(e) => setText(e.target.value)} /></label>
    <${Failed} of=${error} />
    <ul class="users">${answer?.users.slice(0, 30).map((one) => html`<li key=${one}><button class="plain" aria-pressed=${one === user} onClick=${() => asking.set({ user: one, songs: null })}><bdi>${one}</bdi></button></li>`)}</ul>
    ${answer && answer.total > 30 && html`<p class="quiet">${count(answer.total, "listener")}; the first 30 are shown.</p>`}
    ${about.models.length > 0 && html`<button disabled=${!mine.length} onClick=${() => asking.set({ user: null, songs: mine.map((row) => ids[row]) })}>Use your list (${mine.length})</button>`}`;
}

const asked = (user, songs) => (user ? getJson(`/api/user?id=${encodeURIComponent(user)}`) : postJson("/api/ask", { songs }));

function Answers({ user, songs }) {
  const [lists, error] = useAnswer(() => asked(user, songs), [user, songs]);
  const showOnMap = () => {
    const marks = new Map();
    lists.channels.forEach((one, at) => one.songs.forEach((song) => { if (song.row !== null) marks.set(song.row, song.interest ?? at); }));
    page.set({ marks });
    go("/map");
  };
  return html`<section class="card fused" aria-labelledby="fused-title"><h2 id="fused-title">For <bdi>${user || "your list"}</bdi></h2>
      <${Failed} of=${error} />
      ${!lists && !error && html`<p class="quiet" role="status">One moment…</p>`}
      ${lists && html`<ol class="songs ranked">${lists.fused.map((song) => html`<${Proposed} key=${song.id} song=${song} channel=${song.channel} />`)}</ol>
        ${!lists.fused.length && html`<p class="quiet">Nothing left to recommend.</p>`}${lists.lists?.length > 0 && html`<${Ranked} lists=${lists.lists} />`}`}
      ${lists?.notes?.map((note) => html`<p class="note">${note}</p>`)}</section>
    ${lists && html`<section class="card channels" aria-labelledby="channels-title"><div class="above"><h2 id="channels-title">Candidates of each channel</h2><button onClick=${showOnMap}>Show on the map</button></div>
      <div class="columns" tabindex="0" role="region" aria-label="Channels side by side">${lists.channels.map((one) => html`<div class="channel" key=${one.channel}><h3>${one.channel}</h3>
        ${!one.songs.length && html`<p class="quiet">nothing</p>`}<ol class="songs">${one.songs.slice(0, 20).map((song) => html`<${Proposed} key=${song.id} song=${song} />`)}</ol></div>`)}</div></section>`}`;
}

// Playlists that other people made.
function Ranked({ lists }) {
  return html`<h3 id="ranked-title">Playlists by others</h3><ol class="songs" aria-labelledby="ranked-title">${lists.map((one) => html`<li key=${one.list_id}>
    <button class="icon" disabled=${!one.rows.length} title=${`Play ${one.list_id}`} onClick=${() => play(one.rows[0], { queue: one.rows })}><${Icon} name="play" /></button>
    <div class="names"><button class="plain title" disabled=${!one.rows.length} onClick=${() => listOf(one.rows)}><bdi>${one.list_id}</bdi></button>
      <span class="why">${count(one.songs, "song")}: ${one.known} played before, ${one.proposed} proposed</span></div></li>`)}</ol>`;
}

function Proposed({ song, channel }) {
  const library = useLibrary();
  const { row } = song;
  const isThere = row !== null && row !== undefined;
  const name = isThere ? library.title(row) : stem(song.id);
  return html`<li><button class="plain cover-button" disabled=${!isThere} title=${`Play ${name}`} onClick=${() => play(row)}>${isThere && html`<${Cover} rows=${[row]} size=${40} />`}<${Icon} name="play" /></button>
    <div class="names">${isThere ? html`<a class="title" href=${songPath(library, row)}><bdi>${name}</bdi></a>` : html`<span class="title"><bdi>${name}</bdi></span>`}
      <span class="why"><bdi>${song.why}</bdi>${channel && html` <span class="badge">${channel}</span>`}</span></div></li>`;
}
