// The player bar: the current song, its position, and the controls.

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { Icon } from "./icons.js";
import { clock } from "./library.js";
import { now, playing, seek, setVolume, step, toggle } from "./player.js";
import { page, use } from "./store.js";

export function PlayerBar() {
  const { row, queue, isPaused, isLoading, failure, decoded, length, volume } = use((s) => s, playing);
  const library = use((s) => s.library);
  const [at, setAt] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setAt(now()), 250);
    return () => clearInterval(timer);
  }, []);
  const place = queue.indexOf(row);
  const title = row >= 0 ? library.title(row) : "Nothing playing";
  const open = () => page.set({ selected: row, view: "library", pane: "song" });
  return html`<footer class="player" aria-label="Player">
    <div class="transport">
      <button class="icon" title="Previous song" disabled=${place <= 0} onClick=${() => step(-1)}>
        <${Icon} name="before" /></button>
      <button class="icon play" title=${isPaused ? "Play" : "Pause"} onClick=${toggle}>
        <${Icon} name=${isPaused ? "play" : "pause"} /></button>
      <button class="icon" title="Next song" disabled=${place < 0 || place >= queue.length - 1}
        onClick=${() => step(1)}><${Icon} name="next" /></button>
    </div>
    <div class="playing">
      <button class="plain title" disabled=${row < 0} onClick=${open}><bdi>${title}</bdi></button>
      <span class="quiet"><bdi>${row >= 0 ? library.artist(row) : ""}</bdi>
        ${decoded && html` <span class="badge" title="Your browser does not play this format, so audiorec decodes it">
          decoded from ${decoded}</span>`}</span>
      ${failure && html`<p class="failure" role="alert">${failure}</p>`}
    </div>
    <div class="seek">
      <span class="time">${clock(at)}</span>
      <input type="range" min="0" max=${Math.max(length, 0.1)} step="0.1" value=${at}
        aria-label="Position in the song" aria-valuetext=${`${clock(at)} of ${clock(length)}`}
        disabled=${row < 0} onInput=${(e) => { seek(Number(e.target.value)); setAt(now()); }} />
      <span class="time">${isLoading ? "…" : clock(length)}</span>
    </div>
    <label class="volume"><span class="hidden">Volume</span>
      <input type="range" min="0" max="1" step="0.05" value=${volume}
        onInput=${(e) => setVolume(Number(e.target.value))} /></label>
  </footer>`;
}
