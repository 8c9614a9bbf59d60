// Radio: after the queue's last song, play what sounds like the songs heard; a skip counts.

import { postJson } from "./api.js";
import { play, playing, speed } from "./player.js";
import { makeStore, page, say } from "./store.js";

const HEARD = 0.5; // of a song, or HEARD_S seconds: less is a skip
const HEARD_S = 30;
const PREVIEW_HEARD_S = 10;
const MOST_SEEDS = 4; // as many as the server asks by
const TICK = 500; // milliseconds
const AHEAD = 2; // songs that are to follow the current one
export const radio = makeStore({ isOn: false, seeds: [], skipped: [], failure: "" });
let last = { row: -1, heard: 0 }; // the current song, and for how many seconds it has been heard
let isAsking = false;

// Go on from a song, or from several: of many, a few from the whole of them are enough.
export function startRadio(rows) {
  const seeds = rows.filter((_, at) => at % Math.ceil(rows.length / MOST_SEEDS) === 0);
  radio.set({ isOn: true, seeds, skipped: [], failure: "" });
  last = { row: -1, heard: 0 };
  play(seeds[0], { queue: [seeds[0]] });
  say(`Radio from ${page.get().library.title(seeds[0])}`);
}

export function stopRadio() {
  radio.set({ isOn: false });
}

// In a reloaded library songs have other rows.
export function moveRadio(moved) {
  const there = (rows) => rows.map(moved).filter((row) => row >= 0);
  const { seeds, skipped } = radio.get();
  radio.set({ seeds: there(seeds), skipped: there(skipped) });
  last = { ...last, row: moved(last.row) };
}

// Whether a song that has ended or was left counts as heard, after so many seconds of it.
export function isHeard(seconds, length) {
  const enough = playing.get().isPreview ? PREVIEW_HEARD_S : HEARD_S;
  return seconds >= Math.min(enough, HEARD * (length || Infinity));
}

async function follow({ row, queue }) {
  if (!radio.get().isOn) return;
  if (!queue.includes(row) || row < 0) return;
  if (row !== last.row) {
    const left = last;
    last = { row, heard: 0 }; // before a change of the queue leads here again
    if (left.row >= 0) {
      const { seeds, skipped } = radio.get();
      const heard = isHeard(left.heard, page.get().library.length(left.row));
      if (heard) radio.set({ seeds: [...seeds.filter((one) => one !== left.row), left.row] });
      else if (!seeds.includes(left.row)) radio.set({ skipped: [...skipped, left.row] });
      // What was to follow a skipped song is chosen anew.
      if (!heard) playing.set({ queue: queue.slice(0, queue.indexOf(row) + 1) });
    }
  }
  const { queue: songs } = playing.get();
  if (isAsking || songs.length - songs.indexOf(row) > AHEAD) return;
  isAsking = true;
  try {
    const { seeds, skipped } = radio.get();
    const answer = await postJson("/api/radio", { seeds, skipped, played: songs.slice(-1000) });
    const now_ = playing.get();
    const fresh = answer.rows.filter((one) => !now_.queue.includes(one));
    radio.set(fresh.length ? { failure: "" } : { isOn: false, failure: "Nothing else here sounds like it." });
    if (fresh.length) playing.set({ queue: [...now_.queue, ...fresh] });
  } catch (error) {
    radio.set({ failure: error.message });
  }
  isAsking = false;
}

playing.listen(follow);
let before = performance.now();
setInterval(() => {
  const passed = (performance.now() - before) / 1000; // a tab in the background has longer ticks
  before += 1000 * passed;
  const { row, isPaused, isLoading } = playing.get();
  if (last.row === row && !isPaused && !isLoading) last.heard += passed * speed();
}, TICK);
