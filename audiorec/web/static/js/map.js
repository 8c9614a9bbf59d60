// The map: every song is a dot, drawn into one image in memory. 100,000 dots take a few milliseconds.

import { accent, faint, groupColour, ink, packed, paper } from "./colours.js";

const NEAR = 14; // pixels: a dot within this distance of the pointer is picked
const SPAN = 2.4; // units of the map that are seen at zoom 1, across and down
const EDGE = 20; // pixels: a chosen song is at least so far from the edge
const FONT = "600 13px system-ui, sans-serif";
const WORD_HEIGHT = 22; // pixels
const MOST_WORDS = 300; // kept as pictures
const TOOLS = 56; // pixels: what is above lies beside or behind the buttons of the map
const ROOM = 1.3; // around songs that are fitted
const FEW = 300; // songs beside which a name of a region stands, instead of upon them
const STILL = 120; // milliseconds without a movement, after which names are placed anew

export class SongMap {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: true });
    this.view = { x: 0, y: 0, zoom: 1 };
    this.size = { width: 1, height: 1, ratio: 1 };
    this.waiting = 0;
    this.lastMs = 0;
    this.songs = null;
    this.names = [];
    this.placing = 0;
    this.words = new Map();
  }

  set(change) {
    this.songs = { ...this.songs, ...change };
    this.later();
    this.placeLater();
  }

  // Names are placed when the map rests; while it moves, they move along.
  placeLater() {
    clearTimeout(this.placing);
    this.placing = setTimeout(() => {
      this.names = this.songs?.names && !this.songs.marks ? this.songs.names(this) : [];
      this.later();
    }, STILL);
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
  fit(mask) {
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
    return this.look({ x: (low[0] + high[0]) / 2, y: (low[1] + high[1]) / 2, zoom: Math.max(1, SPAN / wide) });
  }

  // Scroll a song into view if it is outside.
  show(row) {
    const place = this.toScreen(this.songs.x[row], this.songs.y[row]);
    const [dx, dy] = [this.size.width, this.size.height].map((size, axis) => {
      const inside = Math.min(Math.max(place[axis], EDGE), size - EDGE);
      return inside - place[axis];
    });
    if (dx || dy) this.pan(dx || 0, dy || 0); // a song without a place gives NaN
    this.later();
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
    const { x, y, colours, mask, marks } = this.songs;
    this.dots.fill(0);
    const far = packed(faint());
    const disc = makeDisc(this.radius);
    const small = makeDisc(Math.max(0.8, this.radius * 0.7));
    if (marks) {
      for (let row = 0; row < x.length; row++) if (!marks.has(row)) this.dot(x[row], y[row], far, small);
      const large = makeDisc(Math.max(this.radius * 1.4, 4 * this.size.ratio));
      for (const [row, group] of marks) this.dot(x[row], y[row], packed(groupColour(group, -1)), large);
    } else {
      for (let row = 0; row < x.length; row++) if (!mask[row]) this.dot(x[row], y[row], far, small);
      for (let row = 0; row < x.length; row++) if (mask[row]) this.dot(x[row], y[row], colours[row], disc);
    }
    this.context.putImageData(this.picture, 0, 0);
    this.drawRings();
    this.lastMs = performance.now() - started;
  }

  dot(x, y, colour, disc) {
    const { width, height } = this.canvas;
    const ratio = this.size.ratio;
    const [across, down] = this.scale;
    const left = Math.round(width / 2 + (x - this.view.x) * across * ratio);
    const top = Math.round(height / 2 - (y - this.view.y) * down * ratio);
    const reach = disc.length >> 1;
    if (!(left >= reach && top >= reach && left < width - reach && top < height - reach)) return;
    for (let line = 0; line < disc.length; line++) {
      const half = disc[line];
      if (half < 0) continue;
      const start = (top + line - reach) * width + left;
      for (let at = start - half; at <= start + half; at++) this.dots[at] = colour;
    }
  }

  drawRings() {
    const { selected, playing, other, lasso } = this.songs;
    const context = this.context;
    context.save();
    context.scale(this.size.ratio, this.size.ratio);
    context.strokeStyle = ink();
    this.drawNear(context);
    this.drawRoute(context);
    this.drawNames();
    context.lineWidth = 2;
    const reach = this.radius / this.size.ratio + 4;
    const ring = (row, radius, dash = []) => {
      if (row === undefined || row < 0 || !(this.songs.x[row] === this.songs.x[row])) return;
      const [left, top] = this.toScreen(this.songs.x[row], this.songs.y[row]);
      context.setLineDash(dash);
      context.beginPath();
      context.arc(left, top, radius, 0, 2 * Math.PI);
      context.stroke();
    };
    ring(selected, reach);
    ring(other, reach, [3, 3]);
    ring(playing, reach + 4, [2, 3]);
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

  // A word in a colour, drawn once.
  word(text, colour) {
    const key = `${colour} ${paper()} ${this.size.ratio} ${text}`;
    if (!this.words.has(key)) {
      if (this.words.size >= MOST_WORDS) this.words.clear();
      this.words.set(key, drawnWord(text, colour, this.size.ratio));
    }
    return this.words.get(key);
  }

  put({ canvas, width }, left, top) {
    this.context.drawImage(canvas, left - width / 2, top - WORD_HEIGHT / 2, width, WORD_HEIGHT);
  }

  // A list in playing order: a line through its songs, with the titles of the first and the last.
  drawRoute(context) {
    const { route, x, y, titles } = this.songs;
    const rows = route?.filter((row) => x[row] === x[row]) || [];
    if (!rows.length) return;
    const places = rows.map((row) => this.toScreen(x[row], y[row]));
    for (const [width, colour] of [[6, paper()], [2.5, accent()]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      places.forEach((place, at) => context[at ? "lineTo" : "moveTo"](...place));
      context.stroke();
    }
    context.fillStyle = accent();
    for (const place of places) {
      context.beginPath();
      context.arc(...place, 4.5, 0, 2 * Math.PI);
      context.fill();
    }
    const ends = places.length > 1 ? [0, places.length - 1] : [0];
    for (const at of ends) {
      const [left, top] = places[at];
      const word = this.word(titles(rows[at]), accent());
      const inside = Math.max(word.width / 2, Math.min(this.size.width - word.width / 2, left));
      this.put(word, inside, top < TOOLS ? top + 16 : top - 16);
    }
    context.strokeStyle = ink();
  }

  // Names of regions; one that would cover another is left out. Among few songs it stands beside them.
  drawNames() {
    const taken = [];
    const songs = this.songs.x.length > FEW ? [] : Array.from(this.songs.x, (x, row) => this.toScreen(x, this.songs.y[row]));
    for (const { name, x, y, group } of this.names) {
      const word = this.word(name, group < 0 ? ink() : groupColour(group, -1));
      const half = word.width / 2;
      const [left, middle] = this.toScreen(x, y);
      const isClear = (at) => !songs.some(([across, down]) => Math.abs(across - left) < half && Math.abs(down - at) < 12);
      const top = [0, -18, 18, -30, 30].map((aside) => middle + aside).find(isClear) ?? middle;
      const box = [left - half, top - 10, left + half, top + 10];
      const isFree = taken.every((one) => box[0] > one[2] || box[2] < one[0] || box[1] > one[3] || box[3] < one[1]);
      if (!isFree || box[0] < 0 || box[2] > this.size.width) continue;
      taken.push(box);
      this.put(word, left, top);
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

// A word that is legible on dots and lines, as a picture: outlining letters in each frame is slow.
function drawnWord(text, colour, ratio) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  context.font = FONT;
  const width = Math.ceil(context.measureText(text).width) + 10;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(WORD_HEIGHT * ratio);
  context.scale(ratio, ratio);
  context.font = FONT;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = paper();
  context.strokeText(text, width / 2, WORD_HEIGHT / 2);
  context.fillStyle = colour;
  context.fillText(text, width / 2, WORD_HEIGHT / 2);
  return { canvas, width };
}

const bounded = (value) => Math.min(1.3, Math.max(-1.3, value));

// Half the width of each row of a disc; -1 for an empty row.
function makeDisc(radius) {
  const reach = Math.floor(radius);
  return Int32Array.from({ length: 2 * reach + 1 }, (_, line) => {
    const rest = radius ** 2 - (line - reach) ** 2;
    return rest < 0 ? -1 : Math.floor(Math.sqrt(rest));
  });
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
