// The page: opens the library, and shows the view of its address above the player.

import { html, render, useEffect } from "../vendor/htm-preact.js";
import { AlbumsView, ArtistsView } from "./albums.js";
import { takeToken } from "./api.js";
import { genreColour } from "./colours.js";
import { FindView, SearchBox } from "./finder.js";
import { takeDropped } from "./given.js";
import { HomeView } from "./home.js";
import { Icon } from "./icons.js";
import { LibraryView } from "./library-view.js";
import { count, loadLibrary } from "./library.js";
import { kept, list, openKept } from "./list-state.js";
import { ListView } from "./list-view.js";
import { ListsView } from "./lists-view.js";
import { MapView } from "./map-view.js";
import { IconButton } from "./parts.js";
import { PlayerBar } from "./player-bar.js";
import { playing, step, toggle } from "./player.js";
import { startRadio } from "./radio.js";
import { RecommendView } from "./recommend-view.js";
import { take, Unreadable, watchLibrary } from "./renew.js";
import { go, route, watchRoute } from "./route.js";
import { SongView } from "./song.js";
import { page, use, useLibrary } from "./store.js";
import { TidyView } from "./tidy-view.js";

// Each view by the first word of its address, and the entry of the menu that it belongs to.
const VIEWS = {
  __proto__: null,
  home: [HomeView, "/"], map: [MapView, "/map"], songs: [ListView, "/songs"], song: [SongView, "/songs"], find: [FindView, "/find"],
  albums: [AlbumsView, "/albums"], album: [AlbumsView, "/albums"], artists: [ArtistsView, "/artists"], artist: [ArtistsView, "/artists"],
  tidy: [TidyView, "/tidy"], library: [LibraryView, "/library"], list: [ListsView, "/list"], recommend: [RecommendView, "/recommend"],
};
const MENU = [["/", "home", "Home"], ["/map", "map", "Map"], null, ["/songs", "songs", "Songs"], ["/albums", "albums", "Albums"], ["/artists", "artists", "Artists"], null,
  ["/tidy", "tidy", "Tidy up"], ["/library", "library", "Your library"]];
const PHONE = [["/", "home", "Home"], ["/map", "map", "Map"], ["/albums", "albums", "Library"], ["/find", "search", "Search"]];
const IN_LIBRARY = [["/songs", "Songs"], ["/albums", "Albums"], ["/artists", "Artists"], ["/list", "Lists"], ["/tidy", "Tidy up"], ["/library", "At a glance"]];
const KEYS = [["/", "search"], ["Space", "play, pause"], ["J", "next song, K the one before"], ["G", "then H, M, A, S: home, map, albums, songs"], ["R", "radio from here"], ["N", "not right? correct it"], ["?", "all keys"]];

function Page() {
  const library = useLibrary();
  const failure = use((s) => s.failure);
  const { view, rest } = use((s) => s, route);
  if (failure) return html`<main class="opening"><h1>audiorec</h1><p role="alert">${failure}</p></main>`;
  if (!library) return html`<main class="opening"><p role="status">Opening the library…</p></main>`;
  const [View, entry] = VIEWS[view] || [Lost, ""];
  return html`<div class=${`frame view-is-${view}`}>
    <${Light} />
    <header class="side"><a class="brand" href="/"><img src="/icon.svg" alt="" width="22" height="22" /> audiorec</a><${Menu} entry=${entry} /></header>
    <div class="top"><${IconButton} name="back" title="Back" onClick=${() => history.back()} /><${IconButton} name="forward" title="Forward" onClick=${() => history.forward()} />
      <${SearchBox} /><${New} /><${Keys} /></div>
    ${IN_LIBRARY.some(([path]) => path === entry) && html`<nav class="in-library" aria-label="Library">${IN_LIBRARY.map(([path, words]) => html`<a href=${path} aria-current=${path === entry ? "page" : undefined}>${words}</a>`)}</nav>`}
    <main class=${`view view-${view}`} id="main" key=${view === "list" ? rest[0] : view}><${View} key=${library.about.edition} /></main>
    <${PlayerBar} />
    <nav class="thumbs" aria-label="Main">${PHONE.map(([path, icon, words]) => html`<a href=${path} aria-current=${path === entry || (icon === "albums" && IN_LIBRARY.some(([one]) => one === entry)) ? "page" : undefined}><${Icon} name=${icon} /> ${words}</a>`)}</nav>
    <${Unreadable} /><${Said} />
  </div>`;
}

const Lost = () => html`<div class="sheet"><h1 class="place-name large">There is nothing here</h1><p><a href="/">Home</a></p></div>`;

function Menu({ entry }) {
  const library = useLibrary();
  const lists = use((s) => s.lists, kept);
  const n = use((s) => s.songs.length, list);
  const growing = use((s) => s.growing);
  const copies = library.numbers.copies ? library.numbers.copies.reduce((sum, one) => sum + (one > 0 ? 1 / (one + 1) : 0), 0) : 0;
  const link = ([path, icon, words]) => html`<a href=${path} aria-current=${path === entry ? "page" : undefined}><${Icon} name=${icon} /> ${words}${path === "/tidy" && copies > 0.5 && html` <span class="quiet">${Math.round(copies)}</span>`}</a>`;
  const isHearing = growing && growing.done < growing.total;
  return html`<nav class="menu-side" aria-label="Views">${MENU.map((one) => (one ? link(one) : html`<hr aria-hidden="true" />`))}
      ${library.about.recall && link(["/recommend", "people", "Recommendations"])}
      <h2>Lists</h2>${Object.keys(lists).map((name) => html`<a href=${`/list/${encodeURIComponent(name)}`} onClick=${() => openKept(name)}><bdi>${name}</bdi></a>`)}
      <a href="/list" aria-current=${entry === "/list" ? "page" : undefined}><${Icon} name="plus" /> ${n ? `Your list (${n})` : "New list"}</a></nav>
    <p class=${`heard-state ${isHearing ? "is-hearing" : ""}`} role="status">${isHearing ? `${growing.done} of ${growing.total} heard` : `${count(library.n, "song")}, all heard`}</p>`;
}

function New() {
  const library = useLibrary();
  use((s) => s.homes);
  const n = library.home?.added?.week;
  return n ? html`<a class="button new" href="/">${n} new this week</a>` : html`<span class="gap"></span>`;
}

function Keys() {
  const isOpen = use((s) => s.keys);
  return html`<div class="menu"><button class="icon key-help" title="All keys" aria-expanded=${Boolean(isOpen)} onClick=${() => page.set({ keys: !isOpen })}>?</button>
    ${isOpen && html`<dl class="popup all-keys">${KEYS.map(([key, words]) => html`<dt><kbd>${key}</kbd></dt><dd>${words}</dd>`)}</dl>`}</div>`;
}

// The page takes a little light from the song that plays.
function Light() {
  const library = useLibrary();
  const row = use((s) => s.row, playing);
  const genre = row >= 0 ? library.about.heads.genre?.[library.numbers["head:genre"]?.[row]] : null;
  useEffect(() => document.documentElement.style.setProperty("--light", genre ? genreColour(genre, true) : "transparent"), [genre]);
  return html`<div class="light" aria-hidden="true"></div>`;
}

function Said() {
  const said = use((s) => s.said);
  return html`<p class="hidden" role="status" aria-live="polite">${said}</p>`;
}

// Recompute the listed rows when a filter or the sort order changes.
function keepRows() {
  let before = {};
  const look = (state) => {
    const { library, sort } = state;
    if (!library) return;
    const isNew = (names) => names.some((name) => before[name] !== state[name]);
    const masks = isNew(["library", "hidden", "lasso", "colour"]);
    if (!masks && !isNew(["sort"])) return;
    before = state;
    const mask = masks ? library.mask(state) : state.mask;
    page.set({ mask, rows: library.order(mask, sort) });
  };
  page.listen(look);
}

function keys() {
  let isGoing = false;
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !page.get().library) return;
    const inText = event.target.closest?.("input:not([type=range]):not([type=checkbox]), textarea, select");
    const key = (event.key || "").toLowerCase();
    if (event.key === "Escape") {
      page.set({ lasso: null, keys: false });
      if (inText) event.target.blur();
      return;
    }
    if (inText) return;
    const { row } = playing.get();
    const here = page.get().selected;
    const paths = { h: "/", m: "/map", a: "/albums", s: "/songs" };
    if (isGoing && paths[key]) { go(paths[key]); isGoing = false; } else if (key === "/") document.getElementById("find")?.focus();
    else if (key === " " && !event.target.closest?.("button, summary, [role=slider], a, input")) toggle();
    else if (key === "j") step(1);
    else if (key === "k") step(-1);
    else if (key === "g") { isGoing = true; setTimeout(() => { isGoing = false; }, 1500); } else if (key === "r" && (here >= 0 || row >= 0)) startRadio([here >= 0 ? here : row]);
    else if (key === "n") document.querySelector(".not-right button")?.focus();
    else if (key === "?") page.set({ keys: !page.get().keys });
    else return;
    event.preventDefault();
  });
}

async function open() {
  render(html`<${Page} />`, document.getElementById("page"));
  if (!takeToken()) {
    page.set({ failure: "Open the full address that audiorec printed: its last part is the key to your library." });
    return;
  }
  try {
    take(await loadLibrary());
    const { view, rest } = route.get();
    if (view === "list" && rest[0]) openKept(rest[0]);
    watchLibrary();
  } catch (error) {
    page.set({ failure: error.status === 401
      ? "This address is no longer valid: audiorec has been restarted. Open the new one that it printed."
      : error.message });
  }
}

keepRows();
keys();
watchRoute();
takeDropped();
document.getElementById("page").replaceChildren();
open();
