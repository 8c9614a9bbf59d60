// The page: opens the library, and shows one of the views above the player.

import { html, render, useEffect } from "../vendor/htm-preact.js";
import { takeToken } from "./api.js";
import { CopiesView } from "./copies-view.js";
import { Finder } from "./finder.js";
import { takeDropped } from "./given.js";
import { loadLibrary } from "./library.js";
import { list } from "./list-state.js";
import { ListView } from "./list-view.js";
import { ListsView } from "./lists-view.js";
import { MapView } from "./map-view.js";
import { toggle } from "./player.js";
import { PlayerBar } from "./player-bar.js";
import { RecommendView } from "./recommend-view.js";
import { ReportsView } from "./reports-view.js";
import { Changed, take, watchLibrary } from "./renew.js";
import { SongPanel } from "./song-panel.js";
import { StateView } from "./state-view.js";
import { page, use } from "./store.js";

const VIEWS = [["library", "Library"], ["lists", "Your list"], ["copies", "Duplicates"], ["recommend", "Recommendations"], ["reports", "Reports"],
  ["state", "State"]];
const OF_A_RUN = new Set(["recommend", "reports"]);
const PANES = [["map", "Map"], ["list", "List"], ["song", "Song"]];

function Page() {
  const view = use((s) => s.view);
  const library = use((s) => s.library);
  const failure = use((s) => s.failure);
  if (failure) return html`<main class="opening"><h1>audiorec</h1><p role="alert">${failure}</p></main>`;
  if (!library) return html`<main class="opening"><h1>audiorec</h1><p role="status">Opening the library…</p></main>`;
  return html`<div class="frame" key=${library.about.edition}>
    <header class="top">
      <h1><img src="/icon.svg" alt="" width="22" height="22" /> <span class="name">audiorec</span></h1>
      <${Views} view=${view} />
      ${view === "library" && html`<${Finder} />`}
    </header>
    <main class=${`view view-${view}`} id="main">
      ${view === "library" && html`<${LibraryView} />`}
      ${view === "lists" && html`<${ListsView} />`}
      ${view === "copies" && html`<${CopiesView} />`}
      ${view === "recommend" && html`<${RecommendView} />`}
      ${view === "reports" && html`<${ReportsView} />`}
      ${view === "state" && html`<${StateView} />`}
    </main>
    <${PlayerBar} />
    <${Changed} />
    <${Said} />
  </div>`;
}

function Views({ view }) {
  const library = use((s) => s.library);
  const n = use((s) => s.songs.length, list);
  return html`<nav class="views" aria-label="Views">${VIEWS.map(([name, words]) =>
    (!OF_A_RUN.has(name) || library.about.recall) && html`<button aria-current=${view === name ? "page" : undefined}
      onClick=${() => page.set({ view: name })}>${words}${name === "lists" && n ? ` (${n})` : ""}</button>`)}</nav>`;
}

function LibraryView() {
  const pane = use((s) => s.pane);
  return html`<div class="panes" data-pane=${pane}>
    <div class="tabs" role="group" aria-label="Parts of the library">${PANES.map(([name, words]) =>
      html`<button aria-pressed=${pane === name} onClick=${() => page.set({ pane: name })}>${words}</button>`)}</div>
    <div class="left"><${MapView} /><${ListView} /></div>
    <aside class="right" aria-label="The chosen song"><${SongPanel} /></aside>
  </div>`;
}

function Said() {
  const said = use((s) => s.said);
  return html`<p class="hidden" role="status" aria-live="polite">${said}</p>`;
}

// Recompute the listed rows when a filter or the sort order changes.
function keepRows() {
  let before = {};
  const look = (state) => {
    const { library, heard, sort } = state;
    if (!library) return;
    const isNew = (names) => names.some((name) => before[name] !== state[name]);
    const masks = isNew(["library", "text", "byWords", "heard", "onlyBits", "hidden", "lasso", "colour"]);
    if (!masks && !isNew(["sort"])) return;
    before = state;
    const mask = masks ? library.mask(state) : state.mask;
    const rows = sort.by === "heard" ? Uint32Array.from((heard?.rows || []).filter((row) => mask[row])) : library.order(mask, sort);
    page.set({ mask, rows });
  };
  page.listen(look);
}

function keys() {
  addEventListener("keydown", (event) => {
    const inText = event.target.closest?.("input, textarea, select");
    if (event.key === "/" && !inText) {
      document.getElementById("find")?.focus();
      event.preventDefault();
    } else if (event.key === " " && !inText && !event.target.closest?.("button, summary, [role=slider]")) {
      toggle();
      event.preventDefault();
    } else if (event.key === "Escape" && !inText) {
      page.set({ lasso: null, other: -1 });
    }
  });
}

async function open() {
  render(html`<${Page} />`, document.getElementById("page"));
  if (!takeToken()) {
    page.set({ failure: "Open the full address that audiorec browse printed: its last part is the key to your library." });
    return;
  }
  try {
    take(await loadLibrary());
    watchLibrary();
  } catch (error) {
    page.set({ failure: error.status === 401
      ? "This address is no longer valid: audiorec has been restarted. Open the new one that it printed."
      : error.message });
  }
}

keepRows();
keys();
takeDropped();
document.getElementById("page").replaceChildren();
open();
