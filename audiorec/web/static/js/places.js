// Places on the map: what lies together, under a name that a person would give. The server names them by fixed rules;
// one may give another name, which the browser keeps.

import { getJson } from "./api.js";
import { makeStore, page, remember, remembered } from "./store.js";

export const given = makeStore({ names: remembered("places") || {} });

export function rename(place, name) {
  const names = { ...given.get().names, [place.name]: name.trim() || undefined };
  given.set({ names });
  remember("places", names);
}

export const called = (place) => given.get().names[place.name] || place.name;

// What one sees first; asked for once for each edition of the library.
export async function askHome(library) {
  const home = await getJson("/api/home").catch(() => null);
  if (!home || page.get().library !== library) return;
  library.home = home;
  given.set({ names: { ...given.get().names } }); // those who show places look again
  page.set((state) => ({ homes: state.homes + 1 }));
}

const memo = new WeakMap();
// The places, most songs first, each with its middle on the map that is shown now.
export function placesOf(library) {
  const { x, y } = library.numbers;
  const before = memo.get(library);
  if (before?.x === x && before.home === library.home) return before.places;
  const places = (library.home?.places || []).map((place) => {
    const rows = place.rows.filter((row) => x[row] === x[row]);
    const middle = (values) => rows.map((row) => values[row]).sort((a, b) => a - b)[rows.length >> 1];
    return { ...place, x: middle(x), y: middle(y) };
  }).filter((place) => place.x === place.x && place.name);
  memo.set(library, { x, home: library.home, places });
  return places;
}

// The place whose middle is the nearest to a song.
export function placeOf(library, row) {
  const { x, y } = library.numbers;
  let [best, least] = [undefined, Infinity];
  for (const place of placesOf(library)) {
    const away = (x[row] - place.x) ** 2 + (y[row] - place.y) ** 2;
    if (away < least) [best, least] = [place, away];
  }
  return best;
}
