// The waveform, coloured by the most likely class, and every class over time, with a playhead.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { ofSong } from "./api.js";
import { amountColour, groupColour, onTheme, rest } from "./colours.js";
import { clock } from "./library.js";
import { now, play, playing } from "./player.js";
import { page, useAnswer } from "./store.js";

const WAVE = 56; // pixels
const LINE = 15;

export function Scores({ row, song, compact = false }) {
  const library = page.get().library;
  const length = library.length(row);
  const canPlay = Boolean(song?.sound.url);
  const [scores, error] = useAnswer(() => ofSong(row, "scores"), [row]);
  const [wave, waveError] = useAnswer(() => canPlay && !compact && ofSong(row, "wave"), [row, canPlay]);
  const [hover, setHover] = useState(null);
  const box = useRef(null);
  const total = wave?.duration_s || length || 1;
  const has = scores && !scores.why;
  // Before the song's facts have arrived nobody knows; then the player finds out, so that no click is lost.
  const jump = (at) => (canPlay || !song) && play(row, { at: Math.max(0, at), queue: playing.get().row === row ? undefined : [...page.get().rows] });
  const placeOf = (event) => {
    const area = box.current.getBoundingClientRect();
    return ((event.clientX - area.left) / area.width) * total;
  };
  const onKey = (event) => {
    const by = { ArrowLeft: -3, ArrowRight: 3, PageDown: -30, PageUp: 30 }[event.key];
    if (by) jump(Math.min(total - 1, (playing.get().row === row ? now() : 0) + by));
    else if (/^\d$/.test(event.key)) jump((total * Number(event.key)) / 10);
    else if (event.key === "Home") jump(0);
    else if (event.key === "Enter" || event.key === " ") jump(playing.get().row === row ? now() : 0);
    else return;
    event.preventDefault();
  };
  const said = has && hover !== null ? momentWords(scores, hover) : "";
  return html`<section class="scores" aria-labelledby=${`scores-${row}`}>
    <h3 id=${`scores-${row}`} class=${compact ? "hidden" : ""}>${compact ? `${library.title(row)} over time` : "Over time"}</h3>
    <div class="timeline">
      <div class="labels" aria-hidden="true">
        ${!compact && html`<span class="wave-label"></span>`}
        ${has && scores.words.map((word, at) => html`<span key=${at}><bdi>${word}</bdi></span>`)}
      </div>
      <div class=${`area ${canPlay ? "can-play" : ""}`} ref=${box} role="slider" tabindex="0" aria-valuemin="0"
        aria-valuemax=${Math.round(total)} aria-valuenow="0" aria-valuetext=${said || overallWords(library, row)}
        aria-label=${`${library.title(row)} over time: choose a position to play`} onKeyDown=${onKey}
        onClick=${(e) => jump(placeOf(e))} onPointerMove=${(e) => setHover(placeOf(e))} onPointerLeave=${() => setHover(null)}>
        ${!compact && html`<${Wave} wave=${wave} scores=${has ? scores : null} library=${library} />`}
        ${has && html`<${Strips} scores=${scores} total=${total} />`}
        <${Playhead} row=${row} total=${total} />
      </div>
    </div>
    <p class="moment quiet" aria-live="off">${said || (has && canPlay ? "Click to play from there." : "\u00a0")}</p>
    ${error && html`<p class="failure" role="alert">${error.message}</p>`}
    ${waveError && html`<p class="note">No waveform: ${waveError.message}</p>`}
    ${scores?.why && html`<p class="note">There are no scores over time for this song. To store them: <code>${scores.command}</code></p>`}
  </section>`;
}

function Playhead({ row, total }) {
  const line = useRef(null);
  useEffect(() => {
    let frame = 0;
    const follow = () => {
      const isHere = playing.get().row === row;
      if (line.current) {
        line.current.hidden = !isHere;
        if (isHere) line.current.style.left = `${Math.min(100, (100 * now()) / total)}%`;
      }
      frame = requestAnimationFrame(follow);
    };
    follow();
    return () => cancelAnimationFrame(frame);
  }, [row, total]);
  return html`<div class="playhead" ref=${line} hidden></div>`;
}

function useDrawn(draw, keys) {
  const canvas = useRef(null);
  useEffect(() => {
    const again = () => {
      const element = canvas.current;
      const ratio = window.devicePixelRatio || 1;
      const { clientWidth, clientHeight } = element;
      element.width = Math.round(clientWidth * ratio);
      element.height = Math.round(clientHeight * ratio);
      const context = element.getContext("2d");
      context.scale(ratio, ratio);
      draw(context, clientWidth, clientHeight);
    };
    again();
    const seen = new ResizeObserver(again);
    seen.observe(canvas.current);
    const stop = onTheme(again);
    return () => { seen.disconnect(); stop(); };
  }, keys);
  return canvas;
}

function Wave({ wave, scores, library }) {
  const canvas = useDrawn((context, width, height) => {
    if (!wave) return;
    const winners = scores ? winningClasses(scores, library) : null;
    const n = wave.high.length;
    for (let left = 0; left < width; left++) {
      const start = Math.floor((left / width) * n);
      const stop = Math.max(start + 1, Math.floor(((left + 1) / width) * n));
      let high = 0;
      for (let at = start; at < stop; at++) high = Math.max(high, wave.high[at], -wave.low[at]);
      const tall = Math.max(1, (high / 127) * height);
      context.fillStyle = winners ? winners.colour((left / width) * wave.duration_s) : rest();
      context.fillRect(left, (height - tall) / 2, 1, tall);
    }
  }, [wave, scores]);
  return html`<canvas ref=${canvas} class="wave" style=${{ height: `${WAVE}px` }} aria-hidden="true"></canvas>`;
}

function Strips({ scores, total }) {
  const lines = scores.classes.length;
  const canvas = useDrawn((context, width) => {
    const { start_s: starts } = scores;
    for (let at = 0; at < starts.length; at++) {
      const left = (starts[at] / total) * width;
      const right = ((at + 1 < starts.length ? starts[at + 1] : total) / total) * width;
      for (let line = 0; line < lines; line++) {
        context.fillStyle = amountColour(scores.scores[at][line] / 1000);
        context.fillRect(left, line * LINE + 1, Math.max(1, right - left + 0.5), LINE - 2);
      }
    }
  }, [scores, total]);
  return html`<canvas ref=${canvas} class="strips" style=${{ height: `${lines * LINE}px` }} aria-hidden="true"></canvas>`;
}

// The most likely class of the genre head, or else of the first head, at each moment.
function winningClasses(scores, library) {
  const heads = Object.keys(library.about.heads);
  const head = heads.includes("genre") ? "genre" : heads[0];
  const places = scores.classes.map((name, at) => [name, at]).filter(([name]) => name.startsWith(`${head}/`)).map(([, at]) => at);
  return {
    colour(time) {
      const line = scores.scores[segmentAt(scores, time)];
      let best = 0;
      places.forEach((place, at) => { if (line[place] > line[places[best]]) best = at; });
      return groupColour(best, -1);
    },
  };
}

function segmentAt(scores, time) {
  let at = 0;
  while (at + 1 < scores.start_s.length && scores.start_s[at + 1] <= time) at++;
  return at;
}

function momentWords(scores, time) {
  const line = scores.scores[segmentAt(scores, time)];
  const order = line.map((value, at) => [value, at]).sort((a, b) => b[0] - a[0]).slice(0, 3);
  return `${clock(time)}: ${order.map(([value, at]) => `${scores.words[at]} ${Math.round(value / 10)} %`).join(", ")}`;
}

function overallWords(library, row) {
  const parts = Object.keys(library.about.heads).map((head) => library.best(head, row)).filter(Boolean);
  return parts.reverse().join(", ") || "nothing certain";
}
