// Requests to the server. The token is taken from the address once and then kept by the browser, for this address alone.

const KEEP = "audiorec-token";
export const OLD = "audiorec-old"; // event: the server no longer serves the rows of this page
const BUSY = 4; // times that a busy server is asked
let edition = ""; // edition of the library that this page shows

export function takeToken() {
  const found = /[#&]token=([\w-]+)/.exec(location.hash);
  if (found) {
    localStorage.setItem(KEEP, found[1]); // a link in a new tab opens the same; the next start of the server has another key
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  return localStorage.getItem(KEEP);
}

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const headers = { Authorization: `Bearer ${localStorage.getItem(KEEP)}`, ...options.headers };
  if (edition) headers["Audiorec-Edition"] = edition;
  let answer;
  try {
    for (let again = 1; again <= BUSY; again++) {
      answer = await fetch(path, { ...options, headers });
      if (answer.status !== 503) break;
      await new Promise((go) => setTimeout(go, 400 * again)); // it is busy
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("audiorec does not respond. Start it again: audiorec browse", 0);
  }
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    if (answer.status === 409) dispatchEvent(new Event(OLD));
    throw new Refused(said.error || `the server answered with status ${answer.status}`, answer.status);
  }
  return answer;
}

export async function getJson(path, signal) {
  return (await ask(path, { signal })).json();
}

export async function getBytes(path, signal) {
  return (await ask(path, { signal })).arrayBuffer();
}

export async function postJson(path, body, signal) {
  const options = {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
    signal,
  };
  return (await ask(path, options)).json();
}

export function setEdition(name) {
  edition = name;
}

// Cache of recent responses about songs.
const known = new Map();
const MOST_KNOWN = 400;

// Row numbers are about to change: clear the cache, and let the next request use the new edition.
export function forget() {
  edition = "";
  known.clear();
}

export function ofSong(row, what = "") {
  const path = `/api/song/${row}${what ? `/${what}` : ""}`;
  if (!known.has(path)) {
    const answer = getJson(path);
    answer.catch(() => known.delete(path));
    known.set(path, answer);
    if (known.size > MOST_KNOWN) known.delete(known.keys().next().value);
  }
  return known.get(path);
}
