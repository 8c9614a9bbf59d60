// One player that keeps playing across views. Formats that a browser cannot play arrive as WAV.

import { getJson, ofSong } from "./api.js";
import { makeStore, page, say } from "./store.js";

const audio = new Audio();
audio.preload = "auto";
audio.hidden = true;
document.body.append(audio);
export const playing = makeStore({
  row: -1,
  queue: [],
  isPaused: true,
  isLoading: false,
  failure: "",
  decoded: "", // the format, where the song is decoded for the browser
  length: 0,
  volume: 1,
  heldAt: 0, // seconds: where a song goes on that has to be opened again
  isPreview: false, // whether only the part of each song is played where it is most itself
  until: Infinity, // seconds: where such a part ends
});
const PREVIEW_S = 20; // of a song whose scores are not known
let turn = 0; // number of the newest request; responses to older ones are ignored

export const now = () => audio.currentTime || 0;
export const speed = () => audio.playbackRate;

// Play a song from some second; without one from its beginning or, as a preview, where it is most itself.
export async function play(row, { at, queue } = {}) {
  const mine = ++turn;
  const library = page.get().library;
  const before = playing.get();
  if (row === before.row && audio.src && !before.failure) {
    if (queue) playing.set({ queue });
    const { part } = await ofSong(row);
    if (mine !== turn) return;
    if (at === undefined) jump(previewed(part));
    else seek(at);
    resume();
    return;
  }
  audio.pause();
  playing.set({
    row, failure: "", isLoading: true, decoded: "", isPaused: true, length: library.length(row),
    ...(queue ? { queue } : {}),
  });
  try {
    const song = await ofSong(row);
    if (!song.sound.url) throw new Error(whyNot(song.sound));
    const kind = await getJson(`/api/song/${row}/sound`);
    if (mine !== turn) return;
    const asIs = kind.type && audio.canPlayType(kind.type) !== "";
    await start(song.sound.url, asIs, kind, at ?? previewed(song.part), mine);
    tellSystem(library, row);
    say(`Playing ${library.title(row)}`);
  } catch (error) {
    if (mine === turn) playing.set({ failure: error.message, isLoading: false, isPaused: true });
  }
}

// Where a song begins, which as a preview ends at `until`.
function previewed(part) {
  const { isPreview } = playing.get();
  const { start_s: start, end_s: end } = isPreview ? part || { start_s: 0, end_s: PREVIEW_S } : { start_s: 0, end_s: Infinity };
  playing.set({ until: end });
  return start;
}

export function flipPreview() {
  const { isPreview, row } = playing.get();
  playing.set({ isPreview: !isPreview, until: Infinity });
  if (!isPreview && row >= 0) play(row);
}

export function whyNot(sound) {
  if (sound.folder && sound.why_not.includes("--root")) {
    return `This song is outside the folders that may be played. Start again with: audiorec browse --root "${sound.folder}"`;
  }
  return `This song cannot be played: ${sound.why_not}.`;
}

async function start(url, asIs, kind, at, mine) {
  const wav = `${url}&as=wav`;
  if (!asIs) playing.set({ decoded: kind.codec });
  try {
    await load(asIs ? url : wav, at);
  } catch (error) {
    if (!asIs || mine !== turn || error.name === "NotAllowedError") throw error;
    playing.set({ decoded: kind.codec }); // it said that it could, and cannot
    await load(wav, at);
  }
}

function load(url, at) {
  return new Promise((resolve, reject) => {
    const over = (act) => {
      audio.removeEventListener("loadedmetadata", ready);
      audio.removeEventListener("error", failed);
      act();
    };
    const failed = () => over(() => reject(new Error("The browser cannot play this file.")));
    const ready = () =>
      over(() => {
        if (at > 0) audio.currentTime = at;
        audio.play().then(resolve, reject);
      });
    audio.addEventListener("loadedmetadata", ready);
    audio.addEventListener("error", failed);
    audio.src = url;
  });
}

export function seek(at) {
  playing.set({ until: Infinity }); // who looks for a moment wants to hear on
  jump(at);
}

function jump(at) {
  if (audio.src && Number.isFinite(at)) audio.currentTime = Math.max(0, at);
}

export function resume() {
  if (audio.src) audio.play().catch((error) => playing.set({ failure: error.message }));
}

export function toggle() {
  const { row } = playing.get();
  if (row < 0) {
    const { selected, rows } = page.get();
    const first = selected >= 0 ? selected : rows[0];
    if (first !== undefined) play(first, { queue: [...rows] });
  } else if (!audio.src) {
    play(row, { at: playing.get().heldAt });
  } else if (audio.paused) {
    resume();
  } else {
    audio.pause();
  }
}

export function unqueue(row) {
  playing.set({ queue: playing.get().queue.filter((one) => one !== row) });
}

// Move a song of the queue, which has places after the current one.
export function moveQueued(from, to) {
  const { queue, row } = playing.get();
  const first = queue.indexOf(row) + 1;
  const [songs, rest] = [queue.slice(0, first), queue.slice(first)];
  if (to < 0 || to >= rest.length || from === to) return;
  rest.splice(to, 0, ...rest.splice(from, 1));
  playing.set({ queue: [...songs, ...rest] });
}

export function step(by) {
  const { queue, row } = playing.get();
  const next = queue[queue.indexOf(row) + by];
  if (next !== undefined) play(next);
}

// In a reloaded library songs have other rows and addresses: reopen the current song at its
// position, or stop if it is gone.
export function moveSongs(moved) {
  const { row, queue, isPaused, isLoading } = playing.get();
  if (row < 0) return;
  const at = now();
  const next = moved(row);
  turn += 1;
  audio.pause();
  audio.removeAttribute("src");
  audio.load();
  playing.set({
    row: next, queue: queue.map(moved).filter((one) => one >= 0), isPaused: true, isLoading: false, failure: "", heldAt: at,
  });
  if (next < 0) return;
  if (!isPaused) play(next, { at });
  else if (isLoading) play(next); // it has been chosen, and was about to begin
}

export function setVolume(volume) {
  audio.volume = volume;
  playing.set({ volume });
}

for (const name of ["play", "pause", "ended", "waiting", "playing", "durationchange"]) {
  audio.addEventListener(name, () => {
    const change = { isPaused: audio.paused };
    if (name === "playing") change.isLoading = false;
    if (name === "waiting") change.isLoading = true;
    if (Number.isFinite(audio.duration)) change.length = audio.duration;
    playing.set(change);
    if (name === "ended") step(1);
  });
}

audio.addEventListener("timeupdate", () => {
  const { until, queue, row } = playing.get();
  if (audio.paused || audio.currentTime < until) return;
  playing.set({ until: Infinity });
  if (queue.indexOf(row) < queue.length - 1) step(1);
  else audio.pause();
});

function tellSystem(library, row) {
  if (!("mediaSession" in navigator)) return;
  navigator.mediaSession.metadata = new MediaMetadata({
    title: library.title(row),
    artist: library.artist(row),
    album: library.text("album", row),
  });
  navigator.mediaSession.setActionHandler("nexttrack", () => step(1));
  navigator.mediaSession.setActionHandler("previoustrack", () => step(-1));
}
