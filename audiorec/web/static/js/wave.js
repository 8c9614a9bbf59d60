// The waveform in colours: a bar has the colour of the genre at that moment, its tips that of a second one. It is the
// seek bar, the head of a song, and the line of a track.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { ofSong } from "./api.js";
import { genreColour, onTheme, rest } from "./colours.js";
import { faceOf } from "./covers.js";
import { clock } from "./library.js";
import { now, play, playing } from "./player.js";
import { page, useAnswer, useLibrary } from "./store.js";

const SHARES = 0.36; // of two genres, from which the second one shows at the tips
const [BAR, GAP] = [2, 1]; // pixels

// A canvas that `draw` fills, again when its size, the theme or one of the keys changes.
export function useDrawn(draw, keys) {
  const canvas = useRef(null);
  useEffect(() => {
    const again = () => {
      const element = canvas.current;
      const ratio = window.devicePixelRatio || 1;
      const { clientWidth, clientHeight } = element;
      if (!clientWidth) return;
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

// The two genres at a moment: [first, second, share of the second].
export function genresAt(scores, genres, time) {
  let at = 0;
  while (at + 1 < scores.start_s.length && scores.start_s[at + 1] <= time) at++;
  const line = scores.scores[at];
  const [one, two] = genres.map((name) => [line[scores.classes.indexOf(`genre/${name}`)] || 0, name]).sort((a, b) => b[0] - a[0]);
  return [one[1], two ? two[1] : one[1], two ? two[0] / (one[0] + two[0] || 1) : 0];
}

function bars(context, width, height, tall, genres) {
  const step = BAR + GAP;
  const most = Math.floor(width / step);
  for (let at = 0; at < most; at++) {
    const share = at / most;
    const high = Math.max(2, tall(share, 1 / most) * height);
    const [one, two, part] = genres(share);
    const [left, top] = [at * step, (height - high) / 2];
    context.fillStyle = one ? genreColour(one) : rest();
    context.fillRect(left, top, BAR, high);
    if (part > SHARES && two !== one) {
      const tip = (high * part) / 2;
      context.fillStyle = genreColour(two);
      context.fillRect(left, top, BAR, tip);
      context.fillRect(left, top + high - tip, BAR, tip);
    }
  }
}

// What a song's wave is drawn from: how loud and which genres, each by the share of the song that has passed.
export function useParts(row) {
  const library = useLibrary();
  const [scores] = useAnswer(() => row >= 0 && ofSong(row, "scores"), [row]);
  const [wave, failure] = useAnswer(() => row >= 0 && ofSong(row, "wave"), [row]);
  const total = wave?.duration_s || library.length(Math.max(0, row)) || 1;
  const genres = library.about.heads.genre || [];
  const has = scores && !scores.why && genres.length > 0;
  const tall = (share, width) => {
    if (!wave) return 0.12;
    const n = wave.high.length;
    let high = 0;
    for (let at = Math.floor(share * n), stop = Math.max(at + 1, Math.floor((share + width) * n)); at < stop; at++) high = Math.max(high, wave.high[at], -wave.low[at]);
    return high / 127;
  };
  const at = (share) => (has ? genresAt(scores, genres, share * total) : [null, null, 0]);
  return { library, total, tall, at, scores: has ? scores : null, why: scores?.why ? scores : null, failure, key: [wave, scores] };
}

// A slider with the wave of a song: a click or a key goes there.
export function Wave({ row, height, label }) {
  const { library, total, tall, at, why, failure, key } = useParts(row);
  const [hover, setHover] = useState(null);
  const [time, setTime] = useState(0);
  const box = useRef(null);
  const played = useRef(null);
  const draw = (context, width, tallness) => bars(context, width, tallness, tall, at);
  const below = useDrawn(draw, [...key, row]);
  const above = useDrawn(draw, [...key, row]);
  useEffect(() => {
    let frame = 0;
    let shown = -1;
    const follow = () => {
      const here = playing.get().row === row ? Math.min(1, now() / total) : 0;
      if (here !== shown && played.current) {
        played.current.style.clipPath = `inset(0 ${100 * (1 - here)}% 0 0)`;
        box.current.style.setProperty("--at", `${100 * here}%`);
        if (Math.floor(here * total) !== Math.floor(shown * total)) setTime(here * total);
        shown = here;
      }
      frame = requestAnimationFrame(follow);
    };
    follow();
    return () => cancelAnimationFrame(frame);
  }, [row, total]);
  const jump = (to) => row >= 0 && play(row, { at: Math.min(Math.max(0, to), Math.max(0, total - 0.5)), queue: playing.get().row === row ? undefined : [...page.get().rows] });
  const placeOf = (event) => {
    const area = box.current.getBoundingClientRect();
    return ((event.clientX - area.left) / area.width) * total;
  };
  const onKey = (event) => {
    const by = { ArrowLeft: -3, ArrowRight: 3, ArrowDown: -3, ArrowUp: 3, PageDown: -30, PageUp: 30 }[event.key];
    if (by) jump(time + by);
    else if (/^\d$/.test(event.key)) jump((total * Number(event.key)) / 10);
    else if (event.key === "Home") jump(0);
    else if (event.key === "End") jump(total - 1);
    else if (event.key === "Enter" || event.key === " ") jump(time);
    else return;
    event.preventDefault();
  };
  const spoken = (second) => { const [genre] = at(second / total); return [clock(second), genre && library.words("genre", genre)].filter(Boolean).join(", "); };
  return html`<div class="scores"><div class="area wave-box" ref=${box} role="slider" tabindex=${row < 0 ? -1 : 0} aria-valuemin="0" aria-valuemax=${Math.round(total)}
      aria-valuenow=${Math.round(time)} aria-valuetext=${`${spoken(time)} of ${clock(total)}`} aria-label=${label} aria-disabled=${row < 0} style=${{ height: `${height}px` }}
      onKeyDown=${onKey} onClick=${(e) => jump(placeOf(e))} onPointerMove=${(e) => setHover(placeOf(e))} onPointerLeave=${() => setHover(null)}>
      <canvas class="wave rest" ref=${below}></canvas>
      <span class="played" ref=${played}><canvas class="wave" ref=${above}></canvas></span>
      <span class="playhead" aria-hidden="true" hidden=${!time}></span>
      ${hover !== null && height > 50 && html`<span class="moment" style=${{ left: `${(100 * hover) / total}%` }}>${spoken(hover)}</span>`}</div>
    ${height > 50 && failure && html`<p class="note">No waveform: ${failure.message}</p>`}
    ${height > 100 && why && html`<p class="note">Its moments are not known. To hear them: <code>${why.command}</code></p>`}</div>`;
}

// The colours of a song in a line, without its loudness: of its stored moments alone, so that no song is opened.
export function Ribbon({ row }) {
  const library = useLibrary();
  const [face, setFace] = useState(null);
  useEffect(() => { let isOver = false; faceOf(row).then((one) => isOver || setFace(one), () => {}); return () => { isOver = true; }; }, [row]);
  const genres = library.about.heads.genre || [];
  const canvas = useDrawn((context, width, height) => {
    if (!face?.rings) return;
    const n = face.rings.length;
    bars(context, width, height, () => 0.8, (share) => {
      const [one, two, part] = face.rings[Math.min(n - 1, Math.floor(share * n))];
      return [genres[one], genres[two], part / 100];
    });
  }, [face, library]);
  return html`<canvas class="ribbon" ref=${canvas} aria-hidden="true"></canvas>`;
}

// A song in one sentence: how its genres follow each other.
export function sentenceOf(scores, library) {
  const genres = library.about.heads.genre || [];
  if (!scores || !genres.length || scores.start_s.length < 3) return "";
  const n = scores.start_s.length;
  const runs = [];
  for (let at = 0; at < n; at++) {
    const [genre] = genresAt(scores, genres, scores.start_s[at]);
    if (runs.at(-1)?.genre === genre) runs.at(-1).to = at + 1;
    else runs.push({ genre, from: at, to: at + 1 });
  }
  const long = runs.filter((run) => run.to - run.from >= Math.max(2, n * 0.12));
  const told = long.filter((run, at) => !at || long[at - 1].genre !== run.genre);
  const word = (name) => library.words("genre", name);
  if (!told.length) return "It changes its genre all the time.";
  if (told.length === 1) return `It is ${word(told[0].genre)}${told[0].to - told[0].from > 0.8 * n ? " from beginning to end" : ", with many turns"}.`;
  const where = (run) => { const share = run.from / n; return share < 0.4 ? "early on" : share < 0.6 ? "from the middle on" : "towards the end"; };
  const [first, ...others] = told.slice(0, 3);
  const turns = others.map((run, at) => `${at === others.length - 1 && others.length > 1 ? "and is" : "turns"} ${word(run.genre)}${at === others.length - 1 ? ` ${where(run)}` : ""}`);
  return `It opens as ${word(first.genre)}, ${turns.join(", ")}.`;
}
