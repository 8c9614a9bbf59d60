// The player bar: the current song, its position, and the controls.

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { Icon } from "./icons.js";
import { clock } from "./library.js";
import { radio, stopRadio } from "./radio.js";
import { useMoves } from "./moves.js";
import { flipPreview, moveQueued, now, play, playing, seek, setVolume, step, toggle, unqueue } from "./player.js";
import { page, use } from "./store.js";

export function PlayerBar() {
  const { row, queue, isPaused, isLoading, failure, decoded, length, volume, isPreview } = use((s) => s, playing);
  const library = use((s) => s.library);
  const { isOn: isRadio, failure: radioFailure } = use((s) => s, radio);
  const [at, setAt] = useState(0);
  const [isOpen, setOpen] = useState(false);
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
      ${(failure || radioFailure) && html`<p class="failure" role="alert">${failure || radioFailure}</p>`}
    </div>
    <div class="seek">
      <span class="time">${clock(at)}</span>
      <input type="range" min="0" max=${Math.max(length, 0.1)} step="0.1" value=${at}
        aria-label="Position in the song" aria-valuetext=${`${clock(at)} of ${clock(length)}`}
        disabled=${row < 0} onInput=${(e) => { seek(Number(e.target.value)); setAt(now()); }} />
      <span class="time">${isLoading ? "…" : clock(length)}</span>
    </div>
    <div class="more">
      ${isRadio && html`<button class="small" title="Play no more songs that sound alike" onClick=${stopRadio}>Stop radio</button>`}
      <button class="small" aria-pressed=${isPreview} title="Play only the twenty seconds in which each song is most itself" onClick=${flipPreview}>Previews</button>
      <button class="small" aria-expanded=${isOpen} disabled=${row < 0} onClick=${() => setOpen(!isOpen)}>Up next</button>
    </div>
    ${isOpen && row >= 0 && html`<${Next} rows=${queue.slice(place + 1)} library=${library} queue=${queue} />`}
    <label class="volume"><span class="hidden">Volume</span>
      <input type="range" min="0" max="1" step="0.05" value=${volume}
        onInput=${(e) => setVolume(Number(e.target.value))} /></label>
  </footer>`;
}

const MOST = 50; // songs of the queue that are drawn

function Next({ rows, library, queue }) {
  const { box, dragged, item, handle } = useMoves(rows, moveQueued);
  return html`<section class="popup up-next" aria-label="Up next">
    ${!rows.length && html`<p class="quiet">Nothing follows this song.</p>`}
    <ol class="songs" ref=${box}>${rows.slice(0, MOST).map((row, at) => html`<li key=${row} ...${item(at)} class=${at === dragged ? "dragged" : ""}>
      <button class="icon" title=${`Play ${library.title(row)}`} onClick=${() => play(row, { queue })}><${Icon} name="play" /></button>
      <div class="names"><span class="title"><bdi>${library.title(row)}</bdi></span> <span class="quiet"><bdi>${library.artist(row)}</bdi></span></div>
      ${handle(at)}
      <button class="icon" title=${`Do not play ${library.title(row)}`} onClick=${() => unqueue(row)}><${Icon} name="close" /></button></li>`)}</ol>
    ${rows.length > MOST && html`<p class="quiet">and ${(rows.length - MOST).toLocaleString("en")} more</p>`}
  </section>`;
}
