// The map as a still picture: the land, all songs, some of them marked, a way through songs, and names of places.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { dotColours, ink, onTheme, paper } from "./colours.js";
import { faceNow } from "./covers.js";
import { dotter, makeDisc } from "./dots.js";
import { drawLand } from "./land.js";
import { called, given, placesOf } from "./places.js";
import { go } from "./route.js";
import { use, useLibrary } from "./store.js";

const FONT = "italic 19px 'Instrument Serif', Georgia, serif";
const SPAN = 2.9; // units of the map across
const MANY = 2000; // songs, of which dots are pixels: nobody sees their edges

// `rows` are marked, or all are; `way` are songs on a line; `window` is [x, y, zoom]; a click goes to the map.
export function MiniMap({ rows = null, way = [], names = false, zoom = [0, 0, 1], left = 0, label = "The map", covers = [], playing = -1, href = null }) {
  const library = useLibrary();
  const maps = use((s) => s.maps);
  use((s) => s, given);
  const canvas = useRef(null);
  const [theme, setTheme] = useState(0);
  const key = [rows?.slice(0, 50).join(" "), way.join(" "), covers.join(" "), zoom.join(" "), playing].join("|");
  useEffect(() => {
    const element = canvas.current;
    const draw = () => element.clientWidth && drawAll(element, library, { rows, way, names, zoom, left, covers, playing, again: () => requestAnimationFrame(draw) });
    if (names) document.fonts?.ready.then(draw);
    const seen = new ResizeObserver(draw); // which draws at once, too
    seen.observe(element);
    const stop = onTheme(() => setTheme((n) => n + 1));
    return () => { seen.disconnect(); stop(); };
  }, [library, maps, key, theme, names]);
  const open = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = (size, along, middle) => (along / size - 0.5) * (SPAN / zoom[2]) + middle;
    const room = box.width * (1 - left);
    go(href || `/map?at=${at(room, event.clientX - box.left - box.width * left, zoom[0]).toFixed(2)},${(2 * zoom[1] - at(box.height, event.clientY - box.top, zoom[1])).toFixed(2)}&z=3`);
  };
  return html`<canvas class="mini-map" ref=${canvas} role=${label ? "img" : undefined} aria-label=${label || undefined} aria-hidden=${label ? undefined : "true"} onClick=${open}></canvas>`;
}

const lands = new Map(); // the last land of a view: it is drawn again only where something of it has changed

function drawAll(canvas, library, { rows, way, names, zoom, left, covers, playing, again }) {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const { x, y } = library.numbers;
  const colours = dotColours(library, library.about.heads.genre ? "head:genre" : library.colours[0][0]);
  const room = width * (1 - left);
  const toScreen = (u, v) => [width * left + room / 2 + ((u - zoom[0]) * zoom[2] * room) / SPAN, height / 2 - ((v - zoom[1]) * zoom[2] * height) / SPAN];
  const place = (row) => toScreen(x[row], y[row]);
  const key = `${width} ${height} ${zoom} ${left} ${ink()} ${library.about.edition} ${library.n}`;
  let land = lands.get(key);
  if (!land || land.x !== x) {
    land = { canvas: document.createElement("canvas"), x };
    drawLand(land.canvas, { width, height, n: library.n, place, colours });
    if (lands.size > 30) lands.delete(lands.keys().next().value);
    lands.set(key, land);
  }
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.drawImage(land.canvas, 0, 0, width, height);
  const marked = rows && rows.length < library.n ? new Set(rows) : null;
  const size = (library.n > 20_000 ? 0.7 : library.n > 2000 ? 1.2 : library.n > 150 ? 2 : 3) * Math.min(1.8, Math.sqrt(zoom[2]));
  const draw = library.n > MANY ? putDots : drawDots;
  const others = [];
  for (let row = 0; row < library.n; row++) if (!marked?.has(row)) others.push(row);
  draw(context, others, place, colours, size, marked ? 0.28 : 0.9, ratio);
  if (marked) draw(context, marked, place, colours, size + 1, 1, ratio);
  if (way.length > 1) drawWay(context, way.map(place));
  for (const row of [...way, ...covers]) {
    const large = row === playing ? 42 : way.length ? 32 : 28;
    const [across, down] = place(row);
    if (across === across) putFace(context, faceNow(library, row, Math.round(large * ratio), again), across, down, large, true);
  }
  if (names) {
    const taken = [...way, ...covers].map(place).map(([across, down]) => [across - 18, down - 18, across + 18, down + 18]);
    for (const one of placesOf(library)) {
      putName(context, called(one), ...toScreen(one.x, one.y), FONT, taken, [width * left, 0, width, height]);
    }
  }
}

function drawDots(context, rows, place, colours, radius, alpha) {
  for (const row of rows) {
    const [across, down] = place(row);
    if (across !== across) continue;
    const colour = colours[row];
    context.fillStyle = `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255} / ${alpha})`;
    context.beginPath();
    context.arc(across, down, radius, 0, 2 * Math.PI);
    context.fill();
  }
}

function putDots(context, rows, place, colours, radius, alpha, ratio) {
  const { width, height } = context.canvas;
  const [image, disc] = [context.createImageData(width, height), makeDisc(radius * ratio)];
  const put = dotter(new Uint32Array(image.data.buffer), width, height);
  for (const row of rows) {
    const [across, down] = place(row);
    put(Math.round(across * ratio), Math.round(down * ratio), colours[row], disc);
  }
  const layer = Object.assign(document.createElement("canvas"), { width, height });
  layer.getContext("2d").putImageData(image, 0, 0);
  context.globalAlpha = alpha;
  context.drawImage(layer, 0, 0, width / ratio, height / ratio);
  context.globalAlpha = 1;
}

export const overlap = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];

// A smooth line through places.
export function drawWay(context, places) {
  context.lineJoin = "round";
  for (const [wide, colour] of [[5, paper()], [2, ink()]]) {
    context.lineWidth = wide;
    context.strokeStyle = colour;
    context.beginPath();
    places.forEach(([u, v], at) => {
      if (!at) return context.moveTo(u, v);
      const before = places[at - 1];
      const [p, q] = [places[at - 2] || before, places[at + 1] || places[at]];
      return context.bezierCurveTo(before[0] + (u - p[0]) / 6, before[1] + (v - p[1]) / 6, u - (q[0] - before[0]) / 6, v - (q[1] - before[1]) / 6, u, v);
    });
    context.stroke();
  }
}

// A face with a rim of ink; round on a way, else with the corners of a cover.
export function putFace(context, face, left, top, size, round) {
  context.save();
  context.beginPath();
  if (round) context.arc(left, top, size / 2, 0, 2 * Math.PI);
  else context.roundRect(left - size / 2, top - size / 2, size, size, 6);
  context.fillStyle = paper();
  context.fill();
  context.clip();
  if (face) context.drawImage(face, left - size / 2, top - size / 2, size, size);
  context.restore();
  context.lineWidth = 2;
  context.strokeStyle = round ? ink() : paper();
  context.stroke();
}

// A name where it covers no other one, or not at all.
export function putName(context, name, left, top, font, taken, [least, up, most, low]) {
  context.font = font;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const half = context.measureText(name).width / 2 + 4;
  const middle = Math.min(Math.max(left, least + half + 2), most - half - 2);
  for (const aside of [0, -20, 20, -38, 38]) {
    const at = Math.min(Math.max(top + aside, up + 14), low - 14);
    const box = [middle - half, at - 11, middle + half, at + 11];
    if (taken.some((one) => overlap(one, box))) continue;
    taken.push(box);
    context.lineWidth = 4;
    context.lineJoin = "round";
    context.strokeStyle = paper();
    context.globalAlpha = 0.75;
    context.strokeText(name, middle, at);
    context.globalAlpha = 1;
    context.fillStyle = ink();
    context.fillText(name, middle, at);
    return true;
  }
  return false;
}
