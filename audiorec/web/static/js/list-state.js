// The list being edited: songs in order, some of them locked; every change can be undone.

import { go } from "./route.js";
import { makeStore, page, remember, remembered } from "./store.js";

export const list = makeStore({
  songs: [], // rows, in playing order
  seeds: [], // songs that a list is made from; they stay until they are removed
  isNew: false, // whether the next list has only songs other than those it is made from
  locked: new Set(),
  notes: [],
  scores: null, // score of each song, if the list follows a curve
  curve: null, // { of, points } that the list was made for
  why: {}, // by row, what a song has in common with the one it was found by
  past: [],
});
const MOST_PAST = 50;
const MOST_LISTED = 500;

export function change(next) {
  const { past, ...before } = list.get();
  list.set({ notes: [], scores: null, curve: null, why: {}, ...next, past: [...past.slice(-MOST_PAST), before] });
}

// A list of other songs, and a look at it.
export function listOf(songs) {
  begin(songs);
  go("/list");
}

const begin = (songs) => change({ songs: [...songs].slice(0, MOST_LISTED), seeds: [], locked: new Set() });

export function undo() {
  const { past } = list.get();
  if (past.length) list.set({ ...past[past.length - 1], past: past.slice(0, -1) });
}

// Map songs to their rows in a reloaded library; songs that it lacks are dropped.
export function moveList(moved) {
  const there = (rows) => [...rows].map(moved).filter((row) => row >= 0);
  const anew = (state) => {
    const songs = there(state.songs);
    const isWhole = songs.length === state.songs.length;
    return { ...state, songs, seeds: there(state.seeds), locked: new Set(there(state.locked)), scores: isWhole ? state.scores : null, why: {} };
  };
  const { past, ...now } = list.get();
  list.set({ ...anew(now), past: past.map(anew) });
}

export function addToList(rows) {
  const { songs } = list.get();
  const fresh = rows.filter((row) => !songs.includes(row));
  if (fresh.length) change({ songs: [...songs, ...fresh] });
}

export function seedFrom(row) {
  addToList([row]);
  list.set({ seeds: [row] });
}

export function dropSeed(row) {
  list.set({ seeds: list.get().seeds.filter((one) => one !== row) });
}

export function drop(row) {
  const { songs, locked } = list.get();
  const rest = new Set(locked);
  rest.delete(row);
  change({ songs: songs.filter((one) => one !== row), locked: rest });
}

export function move(from, to) {
  const { songs, notes } = list.get();
  if (to < 0 || to >= songs.length || from === to) return;
  const next = [...songs];
  next.splice(to, 0, ...next.splice(from, 1));
  change({ songs: next, notes });
}

export function flipLock(row) {
  const locked = new Set(list.get().locked);
  if (!locked.delete(row)) locked.add(row);
  list.set({ locked });
}

// The new songs, with the locked ones of the old list kept at their positions.
export function withLocked(rows, old, locked) {
  const free = rows.filter((row) => !locked.has(row));
  const kept = old.map((row, place) => [place, row]).filter(([, row]) => locked.has(row));
  for (const [place, row] of kept) free.splice(Math.min(place, free.length), 0, row);
  return free;
}

// Lists that were saved, by name: this browser keeps which songs they have.
export const kept = makeStore({ lists: remembered("lists") || {} });

export const keep = (name, songs) => keepIds(name, songs.map((row) => page.get().library.ids[row]));

function keepIds(name, ids) {
  const { [name]: _, ...lists } = kept.get().lists;
  if (ids.length) lists[name] = ids;
  kept.set({ lists });
  remember("lists", lists);
}

// Songs that one likes are a kept list like any other.
const LIKED = "Songs you like";
export const isLiked = (lists, row) => Boolean(lists[LIKED]?.includes(page.get().library.ids[row]));
export function flipLike(row) {
  const { ids } = page.get().library;
  const { lists } = kept.get();
  const before = lists[LIKED] || [];
  keepIds(LIKED, isLiked(lists, row) ? before.filter((id) => id !== ids[row]) : [ids[row], ...before]);
}

export function openKept(name) {
  const songs = (kept.get().lists[name] || []).map((id) => page.get().library.row(id)).filter((row) => row !== undefined);
  if (songs.length) begin(songs);
}
