// A song's face: its own picture, or one drawn from its sound by fixed constants, so that it never changes as the
// library grows. Time runs outward in rings; a ring has the colour of its genre, and a band of the second one.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { postJson } from "./api.js";
import { genreColour, mixed } from "./colours.js";
import { useLibrary } from "./store.js";

const [FEWEST, MOST, RING_S] = [6, 11, 25]; // rings, and seconds of a song for each
const STEPS = 64; // corners of a ring
const KEPT = 600; // drawn pictures
const TOGETHER = 60; // faces that are asked for at once
const SHARP = new Set(["C#", "Eb", "D#", "F#", "G#", "Ab", "A#", "Bb", "Db", "Gb"]);

const faces = new Map(); // row: { rings, cover }
const asked = new Map(); // row: promise of it
const drawn = new Map(); // row, size and form: canvas
let batch = null;

export function forgetFaces() {
  for (const kept of [faces, asked, drawn]) kept.clear();
}

// The rings of a song and the address of its own picture; asked for in batches.
export function faceOf(row) {
  if (!asked.has(row)) {
    if (!batch) {
      batch = { rows: [], answer: null };
      const mine = batch;
      mine.answer = new Promise((resolve) => setTimeout(() => {
        batch = null;
        resolve(fetched(mine.rows));
      }, 16));
    }
    const mine = batch;
    const at = mine.rows.push(row) - 1;
    const answer = mine.answer.then((found) => {
      faces.set(row, found[at] || { rings: null, cover: null });
      return faces.get(row);
    });
    asked.set(row, answer);
    if (mine.rows.length >= TOGETHER) batch = null;
  }
  return asked.get(row);
}

const fetched = (rows) => postJson("/api/faces", { rows }).then((answer) => answer.faces);

const ringsFor = (seconds) => Math.min(MOST, Math.max(FEWEST, Math.round((seconds || 0) / RING_S)));

// What a face is drawn from; without scores over time, the means of the whole song stand for every ring.
function factsOf(library, row, face) {
  const rings = face?.rings;
  const { classes, heads } = library.about;
  const mean = (name) => { const at = classes.indexOf(name); return at < 0 || !library.numbers.means ? 0 : library.mean(at, row); };
  const genres = heads.genre || ["none"];
  const known = genres.map((name, code) => [mean(`genre/${name}`), code]).sort((a, b) => b[0] - a[0]);
  const voice = mean("version/vocal") + mean("version/vocal_accompaniment");
  const whole = known.reduce((sum, [value]) => sum + value, 0) || 1;
  const [across, down] = face?.at || [0, 0];
  const loud = Math.min(1, Math.max(0, ((library.numbers.loudness?.[row] ?? -14) + 26) / 18)) || 0.5;
  const bpm = library.numbers["own:bpm"]?.[row] || 120;
  const key = library.texts["own:key"] ? library.text("own:key", row) : "";
  const n = ringsFor(library.length(row));
  const [one, two = one] = known;
  return {
    x: 0.5 + 0.3 * across, y: 0.5 + 0.3 * down, loud,
    waves: Math.min(7, Math.max(2, Math.round(bpm / 30))), turn: key ? (Math.PI * 2 * (key.charCodeAt(0) - 65 + (SHARP.has(key) ? 0.5 : 0))) / 7 : 1,
    isMajor: !library.texts["own:scale"] || library.text("own:scale", row) !== "minor", sings: voice > 0.5, genres,
    rings: rings || Array.from({ length: n }, (_, at) => [one[1], two[1], at % 2 ? 0 : Math.round((60 * two[0]) / (one[0] + two[0] || 1)), Math.round(100 * voice)]),
  };
}

// Draw facts into a square of some pixels; the second palette of covers is never used: pictures are dark in both modes.
export function paint(context, size, { x, y, loud, waves, turn, isMajor, sings, genres, rings }) {
  const [left, top] = [x * size, y * size];
  const far = Math.hypot(Math.max(left, size - left), Math.max(top, size - top)) * 1.04;
  const near = size * 0.05;
  const swing = 0.02 + 0.06 * loud;
  const colour = (code) => genreColour(genres[code], true);
  const path = (radius, at) => {
    const phase = turn + 0.09 * at;
    context.beginPath();
    for (let step = 0; step < STEPS; step++) {
      const angle = (2 * Math.PI * step) / STEPS;
      const wave = Math.sin(waves * angle + phase) + 0.45 * Math.sin(2 * angle - phase);
      const long = radius * (1 + swing * wave);
      context.lineTo(left + long * Math.cos(angle), top + long * Math.sin(angle));
    }
    context.closePath();
  };
  const n = rings.length;
  const reach = (at) => near + (far - near) * ((at + 1) / n) ** 1.15;
  for (let at = n - 1; at >= 0; at--) {
    const [first, second, share, voice] = rings[at];
    const light = (isMajor ? 1 - at / n : at / n) - 0.5;
    const tone = (one) => (light > 0 ? mixed(one, "#fffaf0", 0.55 * light) : mixed(one, "#07070a", -0.85 * light));
    const [outer, inner] = [reach(at), at ? reach(at - 1) : near];
    path(outer, at);
    if (size > 90) {
      context.shadowColor = "rgb(0 0 0 / 0.5)";
      context.shadowBlur = size * 0.03;
    }
    context.fillStyle = tone(colour(first));
    context.fill();
    context.shadowBlur = 0;
    context.lineWidth = Math.max(0.6, size * 0.004);
    context.strokeStyle = "rgb(0 0 0 / 0.22)";
    context.stroke();
    if (second !== first && share > 12) { // a band as wide as the second genre is likely
      const band = (outer - inner) * Math.min(0.55, share / 100);
      path(inner + (outer - inner) * 0.62, at);
      context.lineWidth = Math.max(1, band);
      context.strokeStyle = tone(colour(second));
      context.stroke();
    }
    if (voice > 50 && size > 60) {
      path(inner + (outer - inner) * 0.22, at);
      context.setLineDash([size * 0.006, size * 0.016]);
      context.lineCap = "round";
      context.lineWidth = size * 0.009;
      context.strokeStyle = "rgb(255 250 235 / 0.85)";
      context.stroke();
      context.setLineDash([]);
      context.lineCap = "butt";
    }
  }
  context.beginPath();
  context.arc(left, top, near * (sings ? 1.25 : 0.62), 0, 2 * Math.PI);
  context.fillStyle = sings ? "#fdf6e6" : "#222126";
  context.fill();
}

// A canvas with the face of some songs: one song, or an album or artist with a ring for each of them.
export function picture(library, rows, size, known) {
  const name = `${rows.slice(0, MOST).join(" ")} ${size}`;
  const kept = drawn.get(name);
  if (kept) return kept;
  const facts = factsOf(library, rows[0], known[0]);
  if (rows.length > 1) {
    const own = rows.slice(0, MOST).map((row, at) => factsOf(library, row, known[at]));
    facts.rings = own.flatMap((one) => [one.rings[Math.floor(one.rings.length / 3)], ...(own.length < 4 ? one.rings.slice(-2) : [])]);
    facts.x = own.reduce((sum, one) => sum + one.x, 0) / own.length;
    facts.y = own.reduce((sum, one) => sum + one.y, 0) / own.length;
  }
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  paint(canvas.getContext("2d"), size, facts);
  if (drawn.size > KEPT) drawn.delete(drawn.keys().next().value);
  drawn.set(name, canvas);
  return canvas;
}

// The picture of a song now, or null; `then` is called when one that is not there yet has come.
export function faceNow(library, row, size, then) {
  const face = faces.get(row);
  if (face) return picture(library, [row], size, [face]);
  faceOf(row).then(then, () => {});
  return null;
}

// The cover of a song, or of several. Beside it stands what it is, so it says nothing itself.
export function Cover({ rows, size = 48, round = false, className = "" }) {
  const library = useLibrary();
  const box = useRef(null);
  const [own, setOwn] = useState(null);
  const name = rows.slice(0, MOST).join(" ");
  useEffect(() => {
    let isOver = false;
    setOwn(null);
    const look = async () => {
      const found = await Promise.all(rows.slice(0, MOST).map((row) => faceOf(row).catch(() => null)));
      if (isOver || !box.current) return;
      const cover = found.find((one) => one?.cover)?.cover;
      if (cover) setOwn(cover);
      const pixels = Math.round(size * Math.min(2, window.devicePixelRatio || 1));
      const canvas = box.current;
      canvas.width = canvas.height = pixels;
      canvas.getContext("2d").drawImage(picture(library, rows, pixels, found), 0, 0);
    };
    const seen = new IntersectionObserver((all) => {
      if (!all.some((one) => one.isIntersecting)) return;
      seen.disconnect();
      look();
    }, { rootMargin: "200px" });
    seen.observe(box.current);
    return () => { isOver = true; seen.disconnect(); };
  }, [library, name, size]);
  return html`<span class=${`cover ${round ? "round" : ""} ${className}`} style=${{ width: `${size}px`, height: `${size}px` }} aria-hidden="true">
    <canvas ref=${box}></canvas>${own && html`<img src=${own} alt="" loading="lazy" onError=${() => setOwn(null)} />`}</span>`;
}
