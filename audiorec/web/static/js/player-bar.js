// The player: the current song, its wave as the seek bar, and the controls; on a phone also as a page of its own.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { Cover } from "./covers.js";
import { Icon } from "./icons.js";
import { clock } from "./library.js";
import { useMoves } from "./moves.js";
import { Heart, IconButton } from "./parts.js";
import { flipPreview, moveQueued, now, play, playing, setVolume, step, toggle, unqueue } from "./player.js";
import { heard } from "./plays.js";
import { useAway } from "./popup.js";
import { radio, startRadio, stopRadio } from "./radio.js";
import { artistPath, route, songPath } from "./route.js";
import { page, use, useLibrary } from "./store.js";
import { Wave } from "./wave.js";

const KEEP_S = 5; // seconds between notes of where a song is

export function PlayerBar() {
  const { row, queue, isPaused, isLoading, failure, decoded, length, volume, isPreview } = use((s) => s, playing);
  const library = useLibrary();
  const { isOn: isRadio, failure: radioFailure } = use((s) => s, radio);
  const [at, setAt] = useState(0);
  const [isOpen, setOpen] = useState(false);
  const [isLarge, setLarge] = useState(false);
  const { path } = use((s) => s, route);
  const box = useRef(null);
  useAway(box, isOpen, () => setOpen(false));
  useAway(box, isLarge, () => setLarge(false));
  useEffect(() => setLarge(false), [path]);
  useEffect(() => {
    let ticks = 0;
    const timer = setInterval(() => {
      setAt(now());
      const state = playing.get();
      if (state.row >= 0 && !state.isPaused && ++ticks % (4 * KEEP_S) === 0) heard(page.get().library.ids[state.row], now(), state.length);
    }, 250);
    return () => clearInterval(timer);
  }, []);
  const place = queue.indexOf(row);
  const isThere = row >= 0;
  return html`<footer class=${`player ${isThere ? "" : "idle"} ${isLarge ? "large-player" : ""}`} aria-label="Player" ref=${box}>
    <div class="playing">
      ${isThere ? html`<button class="plain" title=${isLarge ? "Small player" : "Large player"} aria-expanded=${isLarge} onClick=${() => setLarge(!isLarge)}><${Cover} rows=${[row]} size=${isLarge ? 480 : 56} /></button>` : html`<span class="cover blank"></span>`}
      <div class="names">${isThere ? html`<a class="title" href=${songPath(library, row)}><bdi>${library.title(row)}</bdi></a>` : html`<span class="title">Nothing playing</span>`}
      <span class="quiet">${isThere && library.artist(row) && html`<a href=${artistPath(library.artist(row))}><bdi>${library.artist(row)}</bdi></a>`}
        ${decoded && html` <span class="badge" title="Your browser does not play this format, so audiorec decodes it">
          decoded from ${decoded}</span>`}</span></div>
      ${isThere && html`<${Heart} row=${row} />`}
    </div>
    <div class="transport">
      <${IconButton} name="before" title="Previous song" disabled=${place <= 0} onClick=${() => step(-1)} />
      <button class="icon play" title=${isPaused ? "Play" : "Pause"} onClick=${toggle}><${Icon} name=${isPaused ? "play" : "pause"} /></button>
      <${IconButton} name="next" title="Next song" disabled=${place < 0 || place >= queue.length - 1} onClick=${() => step(1)} />
    </div>
    <div class="seek"><span class="time">${clock(at)}</span>
      <${Wave} row=${row} height=${isLarge ? 96 : 42} label="Position in the song" />
      <span class="time">${isLoading ? "…" : clock(isThere ? length : NaN)}</span></div>
    <div class="more">
      ${isRadio ? html`<button class="icon" aria-pressed="true" title="Stop radio" onClick=${stopRadio}><${Icon} name="radio" /></button>`
        : html`<${IconButton} name="radio" title="Radio: go on with what sounds like this song" disabled=${!isThere} onClick=${() => startRadio([row])} />`}
      <${IconButton} name="queue" title="Up next" aria-expanded=${isOpen} disabled=${!isThere} onClick=${() => setOpen(!isOpen)} />
      <label class="volume"><span class="hidden">Volume</span>
        <input type="range" min="0" max="1" step="0.05" value=${volume} onInput=${(e) => setVolume(Number(e.target.value))} /></label>
    </div>
    ${isLarge && html`<button class="icon shut" title="Close the large player" onClick=${() => setLarge(false)}><${Icon} name="close" /></button>`}
    ${(failure || radioFailure) && html`<p class="failure" role="alert">${failure || radioFailure}</p>`}
    ${isOpen && isThere && html`<section class="popup up-next" aria-label="Up next">
      <label class="switch"><input type="checkbox" checked=${isPreview} onChange=${flipPreview} /> Only the twenty seconds in which each song is most itself</label>
      <${Next} rows=${queue.slice(place + 1)} library=${library} queue=${queue} /></section>`}
  </footer>`;
}

const MOST = 50; // songs of the queue that are drawn

function Next({ rows, library, queue }) {
  const { box, dragged, item, handle } = useMoves(rows, moveQueued);
  return html`${!rows.length && html`<p class="quiet">Nothing follows this song.</p>`}
    <ol class="songs" ref=${box}>${rows.slice(0, MOST).map((row, at) => html`<li key=${row} ...${item(at)} class=${at === dragged ? "dragged" : ""}>
      <${IconButton} name="play" title=${`Play ${library.title(row)}`} onClick=${() => play(row, { queue })} />
      <div class="names"><span class="title"><bdi>${library.title(row)}</bdi></span> <span class="quiet"><bdi>${library.artist(row)}</bdi></span></div>
      ${handle(at)}
      <${IconButton} name="close" title=${`Do not play ${library.title(row)}`} onClick=${() => unqueue(row)} /></li>`)}</ol>
    ${rows.length > MOST && html`<p class="quiet">and ${(rows.length - MOST).toLocaleString("en")} more</p>`}`;
}
