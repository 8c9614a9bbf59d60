// What was played here, kept by this browser alone: where to continue, and what was not heard for long.

import { remember, remembered } from "./store.js";

const MOST = 400; // songs that are remembered
const HEARD_S = 20; // a song that was left earlier was not heard

const plays = remembered("plays") || {};

export function heard(id, at, length) {
  if (at < Math.min(HEARD_S, length / 2)) return;
  plays[id] = { at: at > length - 15 ? 0 : Math.round(at), when: Date.now(), times: (plays[id]?.times || 0) + (plays[id]?.when > Date.now() - 6e5 ? 0 : 1) };
  const ids = Object.keys(plays);
  if (ids.length > MOST) delete plays[ids.reduce((old, one) => (plays[one].when < plays[old].when ? one : old))];
  remember("plays", plays);
}

// [row, play] of songs of a library, newest first.
export function played(library) {
  return Object.entries(plays).map(([id, one]) => [library.row(id), one]).filter(([row]) => row !== undefined).sort((a, b) => b[1].when - a[1].when);
}
