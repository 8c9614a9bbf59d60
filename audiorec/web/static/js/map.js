// The map: every song is a dot, drawn into one image in memory. 100,000 dots take a few milliseconds. The land lies on a
// canvas below: it moves along, and is drawn anew when the map rests.

import { faint, groupColour, ink, packed, paper } from "./colours.js";
import { dotter, makeDisc } from "./dots.js";
import { drawLand } from "./land.js";
import { drawWay, overlap, putFace, putName } from "./mini-map.js";

const NEAR = 14; // pixels: a dot within this distance of the pointer is picked
const SPAN = 2.7; // units of the map that are seen at zoom 1, across and down
const TITLE = "600 13px 'Instrument Sans', system-ui, sans-serif";
const PLACE = "italic 23px 'Instrument Serif', Georgia, serif";
const LINE = "13px 'Instrument Sans', system-ui, sans-serif";
const COVERED = 60; // songs in view: of fewer, the dots become covers
const ROOM = 1.3; // around songs that are fitted
const RIMMED = 3000; // songs, of which each dot has a rim
const STILL = 120; // milliseconds without a movement, after which names are placed anew

export class SongMap {
  constructor(canvas, land) {
    this.canvas = canvas;
    this.land = land;
    this.landView = null;
    this.context = canvas.getContext("2d", { alpha: true });
    this.view = { x: 0, y: 0, zoom: 1 };
    this.size = { width: 1, height: 1, ratio: 1 };
    this.waiting = 0;
    this.lastMs = 0;
    this.songs = null;
    this.covers = [];
    this.placing = 0;
  }

  set(change) {
    this.songs = { ...this.songs, ...change };
    this.later();
    this.placeLater();
  }

  // Land and covers are drawn when the map rests; while it moves, they move along.
  placeLater() {
    clearTimeout(this.placing);
    this.placing = setTimeout(() => this.rest(), STILL);
  }

  rest() {
    if (!this.songs?.x || this.size.width < 2) return;
    const { x, y, mask, colours, faces } = this.songs;
    const { width, height } = this.size;
    const place = (row) => this.toScreen(x[row], y[row]);
    drawLand(this.land, { width, height, n: x.length, place, colours, isThere: mask });
    this.landView = { ...this.view };
    this.land.style.transform = "";
    const seen = [];
    for (let row = 0; row < x.length && seen.length <= COVERED; row++) {
      if (mask && !mask[row]) continue;
      const [left, top] = place(row);
      if (left > 0 && top > 0 && left < width && top < height) seen.push(row);
    }
    this.covers = faces && seen.length <= COVERED ? seen : [];
    this.onRest?.(this.view);
    this.later();
  }

  moveLand() {
    if (!this.landView) return;
    const { x, y, zoom } = this.landView;
    const [across, down] = this.scale;
    const scale = this.view.zoom / zoom;
    const [left, top] = [(x - this.view.x) * across, (this.view.y - y) * down];
    this.land.style.transform = scale === 1 && !left && !top ? "" : `translate(${left}px, ${top}px) scale(${scale})`;
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    if (!width || !height) return;
    if (width !== this.canvas.width || height !== this.canvas.height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.picture = this.context.createImageData(width, height);
      this.dots = new Uint32Array(this.picture.data.buffer);
    }
    this.size = { width: clientWidth, height: clientHeight, ratio };
    this.later();
    this.placeLater();
  }

  // Pixels per unit of the map, across and down: the songs fill the space there is.
  get scale() {
    const { width, height } = this.size;
    return [(width / SPAN) * this.view.zoom, (height / SPAN) * this.view.zoom];
  }

  toScreen(x, y) {
    const { width, height } = this.size;
    const [across, down] = this.scale;
    return [width / 2 + (x - this.view.x) * across, height / 2 - (y - this.view.y) * down];
  }

  toMap(left, top) {
    const { width, height } = this.size;
    const [across, down] = this.scale;
    return [this.view.x + (left - width / 2) / across, this.view.y - (top - height / 2) / down];
  }

  pan(dx, dy) {
    const [across, down] = this.scale;
    this.look({ x: this.view.x - dx / across, y: this.view.y + dy / down });
  }

  look(change) {
    const { x, y, zoom } = { ...this.view, ...change };
    this.view = { x: bounded(x), y: bounded(y), zoom: Math.min(400, Math.max(0.8, zoom)) };
    this.later();
    this.placeLater();
  }

  zoomAt(factor, left = this.size.width / 2, top = this.size.height / 2) {
    const [x, y] = this.toMap(left, top);
    this.look({ zoom: this.view.zoom * factor });
    const [u, v] = this.toMap(left, top);
    this.look({ x: this.view.x + x - u, y: this.view.y + y - v });
  }

  reset() {
    this.look({ x: 0, y: 0, zoom: 1 });
  }

  // Show the songs of a mask, as large as they fit; all of them if there are none.
  fit(mask, most = 400) {
    const { x, y } = this.songs;
    const [low, high] = [[Infinity, Infinity], [-Infinity, -Infinity]];
    for (let row = 0; row < x.length; row++) {
      if (!mask[row] || x[row] !== x[row]) continue;
      [x[row], y[row]].forEach((value, at) => {
        low[at] = Math.min(low[at], value);
        high[at] = Math.max(high[at], value);
      });
    }
    if (low[0] > high[0]) return this.reset();
    const wide = Math.max(high[0] - low[0], high[1] - low[1], 0.2) * ROOM;
    return this.look({ x: (low[0] + high[0]) / 2, y: (low[1] + high[1]) / 2, zoom: Math.min(most, Math.max(1, SPAN / wide)) });
  }

  later() {
    if (!this.waiting) {
      this.waiting = requestAnimationFrame(() => {
        this.waiting = 0;
        this.draw();
      });
    }
  }

  get radius() {
    const n = this.songs.x.length;
    const base = n > 50_000 ? 1 : n > 8_000 ? 1.6 : n > 1_000 ? 2.6 : 4.5;
    return Math.min(7, base * Math.sqrt(this.view.zoom) ** 0.7) * this.size.ratio;
  }

  draw() {
    if (!this.songs || !this.dots) return;
    const started = performance.now();
    const { x, y, colours, mask, marks, kinds } = this.songs;
    this.dots.fill(0);
    const dot = this.pen();
    const far = packed(faint());
    const disc = makeDisc(this.radius);
    const small = makeDisc(Math.max(0.8, this.radius * 0.7));
    if (marks) {
      for (let row = 0; row < x.length; row++) if (!marks.has(row)) dot(x[row], y[row], far, small);
      const large = makeDisc(Math.max(this.radius * 1.4, 4 * this.size.ratio));
      for (const [row, group] of marks) dot(x[row], y[row], packed(groupColour(group, -1)), large);
    } else {
      for (let row = 0; row < x.length; row++) if (!mask[row]) dot(x[row], y[row], far, small);
      const shapes = kinds && makeShapes(Math.max(4 * this.size.ratio, this.radius * 1.25));
      if (x.length < RIMMED && !shapes) {
        const [rim, behind] = [makeDisc(this.radius + this.size.ratio), packed(paper())];
        for (let row = 0; row < x.length; row++) if (mask[row]) dot(x[row], y[row], behind, rim);
      }
      for (let row = 0; row < x.length; row++) if (mask[row]) dot(x[row], y[row], colours[row], shapes ? shapes[kinds[row]] : disc);
    }
    this.context.putImageData(this.picture, 0, 0);
    this.moveLand();
    this.drawRings();
    this.lastMs = performance.now() - started;
  }

  // What draws a dot at a place of the map. Sizes are read once: a hundred thousand times they cost half of a frame.
  pen() {
    const { width, height } = this.canvas;
    const put = dotter(this.dots, width, height);
    const [across, down] = this.scale.map((one) => one * this.size.ratio);
    const [middle, centre] = [width / 2 - this.view.x * across, height / 2 + this.view.y * down];
    return (x, y, colour, disc) => put(Math.round(middle + x * across), Math.round(centre - y * down), colour, disc);
  }

  drawRings() {
    const { playing, lasso } = this.songs;
    const context = this.context;
    context.save();
    context.scale(this.size.ratio, this.size.ratio);
    context.strokeStyle = ink();
    this.drawNear(context);
    this.drawRoute(context);
    const taken = this.drawCovers(context);
    this.drawNames(context, taken);
    context.strokeStyle = ink();
    context.lineWidth = 2;
    if (playing >= 0 && this.songs.x[playing] === this.songs.x[playing]) {
      context.setLineDash([2, 3]);
      context.beginPath();
      context.arc(...this.toScreen(this.songs.x[playing], this.songs.y[playing]), 26, 0, 2 * Math.PI);
      context.stroke();
    }
    if (lasso?.length > 1) {
      context.setLineDash([5, 4]);
      context.beginPath();
      lasso.forEach(([x, y], at) => context[at ? "lineTo" : "moveTo"](...this.toScreen(x, y)));
      context.closePath();
      context.stroke();
    }
    context.restore();
  }

  // Lines from the chosen song to those that sound like it, each with its dot on top.
  drawNear(context) {
    const { selected, near, x, y } = this.songs;
    if (selected < 0 || !near?.length || x[selected] !== x[selected]) return;
    const from = this.toScreen(x[selected], y[selected]);
    context.lineWidth = 1;
    for (const row of near) {
      if (x[row] !== x[row]) continue;
      const to = this.toScreen(x[row], y[row]);
      context.globalAlpha = 0.45;
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
      context.globalAlpha = 1;
      context.beginPath();
      context.arc(...to, this.radius / this.size.ratio + 1.5, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  // A list in playing order: a smooth line through its songs, with their covers.
  drawRoute(context) {
    const { route, x, y } = this.songs;
    const rows = route?.filter((row) => x[row] === x[row]) || [];
    if (!rows.length) return;
    if (rows.length > 1) drawWay(context, rows.map((row) => this.toScreen(x[row], y[row])));
    context.strokeStyle = ink();
  }

  // Covers of the chosen song, of those on a way, and of all where few are in view; none covers another.
  drawCovers(context) {
    const { selected, route, x, y, faces, titles, playing } = this.songs;
    const taken = [];
    if (!faces) return taken;
    const isThere = (row) => row >= 0 && x[row] === x[row];
    const wanted = [selected, ...(route || []), playing, ...this.covers];
    const done = new Set();
    for (const row of wanted) {
      if (!isThere(row) || done.has(row)) continue;
      done.add(row);
      const isWay = route?.includes(row);
      const size = row === selected ? (this.covers.length ? 76 : 48) : isWay || row === playing ? 40 : 44;
      const [left, top] = this.toScreen(x[row], y[row]);
      const box = [left - size / 2 - 2, top - size / 2 - 2, left + size / 2 + 2, top + size / 2 + 2];
      if (!isWay && row !== selected && row !== playing && taken.some((one) => overlap(one, box))) continue;
      const face = faces(row, Math.round(size * this.size.ratio), () => this.later());
      if (!face && row !== selected) continue;
      putFace(context, face, left, top, size, isWay || !this.covers.length);
      taken.push(box);
      if (isWay || this.covers.length) putName(context, shortened(titles(row)), left, top + size / 2 + 13, TITLE, taken, [0, 0, this.size.width, this.size.height]);
    }
    return taken;
  }

  // Names of places; one that would cover another is left out.
  drawNames(context, taken) {
    const { width, height } = this.size;
    for (const { name, line, x, y } of this.songs.places || []) {
      const [left, top] = this.toScreen(x, y);
      if (left < 0 || top < 0 || left > width || top > height) continue;
      const before = taken.length;
      if (putName(context, name, left, top, PLACE, taken, [0, 0, width, height]) && this.view.zoom < 3) {
        const [a, , b, low] = taken[before];
        context.globalAlpha = 0.85;
        putName(context, line, (a + b) / 2, low + 6, LINE, [], [0, 0, width, height + 20]);
        taken.push([a, low, b, low + 14]);
        context.globalAlpha = 1;
      }
    }
  }

  // The song under the pointer, or -1.
  pick(left, top) {
    const { x, y, mask, marks } = this.songs;
    const [u, v] = this.toMap(left, top);
    const [across, down] = this.scale;
    let best = -1;
    let least = NEAR ** 2;
    for (let row = 0; row < x.length; row++) {
      const far = ((x[row] - u) * across) ** 2 + ((y[row] - v) * down) ** 2;
      if (far < least && (marks ? marks.has(row) : mask[row])) {
        least = far;
        best = row;
      }
    }
    return best;
  }

  // Mask of the songs inside a closed line.
  inside(line) {
    const { x, y } = this.songs;
    const found = new Uint8Array(x.length);
    for (let row = 0; row < x.length; row++) found[row] = isInside(x[row], y[row], line) ? 1 : 0;
    return found;
  }
}

const shortened = (text) => (text.length > 26 ? `${text.slice(0, 25)}…` : text);

const bounded = (value) => Math.min(1.3, Math.max(-1.3, value));

// For eyes that do not tell colours apart, each group has a shape: half its width at a height from -1, the top, to 1.
export const SHAPES = [
  (t) => Math.sqrt(1 - t * t), () => 0.85, (t) => (t + 1) / 2, (t) => 1 - Math.abs(t), (t) => (1 - t) / 2, // disc, square, triangle, diamond, triangle
  (t) => (Math.abs(t) < 0.34 ? 1 : 0.34), (t) => (t > 0 ? Math.sqrt(1 - t * t) : 0), (t) => (Math.abs(t) < 0.36 ? 1 : 0), // cross, half a disc, bar
  (t) => 0.15 + 0.85 * Math.abs(t), (t) => (t < -0.3 ? 1 : 0.3), // hourglass, T
];
const makeShapes = (radius) => SHAPES.map((shape) => {
  const reach = Math.ceil(radius);
  return Int32Array.from({ length: 2 * reach + 1 }, (_, line) => Math.round(reach * shape((line - reach) / reach)) || -1);
});

// The same shape, as a browser cuts it out of a swatch.
export function cutOut(place) {
  const shape = SHAPES[place % SHAPES.length];
  const at = (side) => (_, n) => { const t = n / 10 - 1; return `${50 + side * 50 * shape(t)}% ${50 + 50 * t}%`; };
  return `polygon(${[...Array.from({ length: 21 }, at(1)), ...Array.from({ length: 21 }, at(-1)).reverse()].join(", ")})`;
}

function isInside(x, y, line) {
  let inside = false;
  for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
    const [ax, ay] = line[i];
    const [bx, by] = line[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}
