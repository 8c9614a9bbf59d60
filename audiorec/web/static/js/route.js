// Addresses: every view has one. Back and Forward return to the same scroll; the key to the library is in none.

import { makeStore } from "./store.js";

export const route = makeStore(parsed());
const scrolls = new Map(); // by the number of an entry of the history

function parsed() {
  const [view = "", ...rest] = location.pathname.split("/").filter(Boolean).map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  return { view: view || "home", rest, query: new URLSearchParams(location.search), path: location.pathname + location.search, key: history.state?.key || 0 };
}

const scroller = () => document.getElementById("main");
const keepScroll = () => { const box = scroller(); if (box) scrolls.set(route.get().key, box.scrollTop); };

// Go to an address; `replace` where the old one is not worth a step back, such as each letter of a search.
export function go(path, { replace = false } = {}) {
  const { path: now, key } = route.get();
  if (path === now) return;
  keepScroll();
  const next = replace ? key : Date.now() + Math.random();
  history[replace ? "replaceState" : "pushState"]({ key: next }, "", path);
  route.set(parsed());
  if (!replace) scroller()?.scrollTo(0, 0);
}

// Change the address without a new view: a map that is moved.
export function note(path) {
  history.replaceState({ key: route.get().key }, "", path);
}

export function watchRoute() {
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => {
    keepScroll();
    route.set(parsed());
    const at = scrolls.get(route.get().key) || 0;
    let tries = 0;
    const restore = () => { // what is listed may be drawn a little later
      const box = scroller();
      if (!box || tries++ > 20) return;
      box.scrollTop = at;
      if (Math.abs(box.scrollTop - at) > 2) setTimeout(restore, 50);
    };
    requestAnimationFrame(restore);
  });
  addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='/']");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  });
}

const slug = (text) => text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60);

// A short number of a song, of its id: the same for as long as the file has its name.
export function short(id = "") {
  let [a, b] = [0x811c9dc5, 0x1000193];
  for (let at = 0; at < id.length; at++) {
    a = Math.imul(a ^ id.charCodeAt(at), 0x01000193);
    b = Math.imul(b ^ id.charCodeAt(at), 0x5bd1e995);
  }
  return ((a >>> 0) * 1024 + ((b >>> 0) % 1024)).toString(36);
}

const shorts = new WeakMap(); // by library: short number to row
export function rowOf(library, name) {
  if (!shorts.has(library)) shorts.set(library, new Map(library.ids.map((id, row) => [short(id), row])));
  return shorts.get(library).get(name) ?? -1;
}

export const songPath = (library, row) => `/song/${short(library.ids[row])}/${slug(library.title(row)) || "song"}`;
export const mapPath = (library, row) => `/map?song=${short(library.ids[row])}`;
export const artistPath = (name) => `/artist/${encodeURIComponent(name)}`;
export const albumPath = (name) => `/album/${encodeURIComponent(name)}`;
export const findPath = (text) => `/find?q=${encodeURIComponent(text).replaceAll("%20", "+")}`;
