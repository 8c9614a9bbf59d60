// Radio: after the queue's last song, play what sounds like the songs heard; a skip counts.

import { postJson } from "./api.js";
import { now, play, playing } from "./player.js";
import { makeStore, page, say } from "./store.js";

const HEARD = 0.5; // of a song, or HEARD_S seconds: less is a skip
const HEARD_S = 30;
const AHEAD = 2; // songs that are to follow the current one
export const radio = makeStore({ isOn: false, seeds: [], skipped: [], failure: "" });
let last = { row: -1, at: 0 };
let isAsking = false;

export function startRadio(row) {
  radio.set({ isOn: true, seeds: [row], skipped: [], failure: "" });
  last = { row: -1, at: 0 };
  play(row, { queue: [row] });
  say(`Radio from ${page.get().library.title(row)}`);
}

export function stopRadio() {
  radio.set({ isOn: false });
}

// In a reloaded library songs have other rows.
export function moveRadio(moved) {
  const there = (rows) => rows.map(moved).filter((row) => row >= 0);
  const { seeds, skipped } = radio.get();
  radio.set({ seeds: there(seeds), skipped: there(skipped) });
  last = { row: moved(last.row), at: last.at };
}

// Whether a song that has ended or was left counts as heard.
export function isHeard(at, length) {
  return at >= Math.min(HEARD_S, HEARD * (length || Infinity));
}

async function follow({ row, queue }) {
  if (!radio.get().isOn) return;
  if (!queue.includes(row) || row < 0) return;
  if (row !== last.row) {
    const left = last;
    last = { row, at: 0 }; // before a change of the queue leads here again
    if (left.row >= 0) {
      const { seeds, skipped } = radio.get();
      const heard = isHeard(left.at, page.get().library.length(left.row));
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
setInterval(() => {
  if (last.row === playing.get().row) last.at = Math.max(last.at, now());
}, 500);
