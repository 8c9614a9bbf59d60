// Shared state of the page; components render again when the part they use changes.

import { useEffect, useState } from "../vendor/htm-preact.js";

// What this browser keeps; nothing where one forbids it.
export function remembered(name) {
  try { return JSON.parse(localStorage.getItem(`audiorec-${name}`)); } catch { return null; }
}

export function remember(name, value) {
  try { localStorage.setItem(`audiorec-${name}`, JSON.stringify(value)); } catch { /* then it is forgotten */ }
}

export function makeStore(state) {
  const listeners = new Set();
  const store = {
    get: () => state,
    set(change) {
      const next = typeof change === "function" ? change(state) : change;
      state = { ...state, ...next };
      for (const listener of [...listeners]) listener(state);
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return store;
}

export const page = makeStore({
  library: null,
  failure: null,
  hidden: new Set(), // classes of the colour that are switched off
  lasso: null, // Uint8Array: songs inside
  sort: { by: "artist", down: false },
  colour: "",
  rows: new Uint32Array(0), // what is listed, in order
  mask: null, // Uint8Array: what is listed
  maps: 0, // how often songs were given new places
  homes: 0, // how often what one sees first has come
  selected: -1,
  shapes: Boolean(remembered("shapes")), // whether dots also differ by shape
  marks: null, // Map of row to a number of a group: shown on the map
  growing: null, // { done, total, now, left_s } while songs are heard
  unreadable: "", // why the library as it is on disk now is not shown
  nights: 0, // how often another night was shown
  givenFailure: "", // why a file that one gave is no list
  said: "", // the last thing that happened, for those who listen to the page
});

export function use(choose, store = page) {
  const [value, setValue] = useState(() => choose(store.get()));
  useEffect(() => {
    const look = (state) => setValue(() => choose(state));
    look(store.get());
    return store.listen(look);
  }, []);
  return value;
}

export const useLibrary = () => use((s) => s.library);

export function say(text) {
  page.set({ said: text });
}

// Fetch a value, again whenever its keys change: [value, error, isLoading].
export function useAnswer(question, keys) {
  const [state, setState] = useState([null, null, true]);
  useEffect(() => {
    let isOver = false;
    const given = question();
    if (!given) {
      setState([null, null, false]);
      return undefined;
    }
    setState((before) => [before[0], null, true]);
    given.then(
      (value) => isOver || setState([value, null, false]),
      (error) => isOver || setState([null, error, false]),
    );
    return () => {
      isOver = true;
    };
  }, keys);
  return state;
}
