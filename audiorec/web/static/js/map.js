// The map: every song is a dot, drawn into one image in memory. 100,000 dots take a few milliseconds.

import { faint, groupColour, ink, packed } from "./colours.js";

const NEAR = 14; // pixels: a dot within this distance of the pointer is picked

export class SongMap {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: true });
    this.view = { x: 0, y: 0, zoom: 1 };
    this.size = { width: 1, height: 1, ratio: 1 };
    this.waiting = 0;
    this.lastMs = 0;
    this.songs = null;
  }

  set(change) {
    this.songs = { ...this.songs, ...change };
    this.later();
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
  }

  // Pixels per unit of the map.
  get scale() {
    return (Math.min(this.size.width, this.size.height) / 2.25) * this.view.zoom;
  }

  toScreen(x, y) {
    const { width, height } = this.size;
    return [width / 2 + (x - this.view.x) * this.scale, height / 2 - (y - this.view.y) * this.scale];
  }

  toMap(left, top) {
    const { width, height } = this.size;
    return [this.view.x + (left - width / 2) / this.scale, this.view.y - (top - height / 2) / this.scale];
  }

  pan(dx, dy) {
    this.view.x = bounded(this.view.x - dx / this.scale);
    this.view.y = bounded(this.view.y + dy / this.scale);
    this.later();
  }

  zoomAt(factor, left = this.size.width / 2, top = this.size.height / 2) {
    const [x, y] = this.toMap(left, top);
    this.view.zoom = Math.min(400, Math.max(0.8, this.view.zoom * factor));
    const [u, v] = this.toMap(left, top);
    this.view.x = bounded(this.view.x + x - u);
    this.view.y = bounded(this.view.y + y - v);
    this.later();
  }

  reset() {
    this.view = { x: 0, y: 0, zoom: 1 };
    this.later();
  }

  // Scroll a song into view if it is outside.
  show(row) {
    const [x, y] = [this.songs.x[row], this.songs.y[row]];
    const [left, top] = this.toScreen(x, y);
    const { width, height } = this.size;
    if (!(left > 20 && left < width - 20 && top > 20 && top < height - 20) && x === x) {
      this.view.x = x;
      this.view.y = y;
    }
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
    const scale = this.scale * ratio;
    const left = Math.round(width / 2 + (x - this.view.x) * scale);
    const top = Math.round(height / 2 - (y - this.view.y) * scale);
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
    context.lineWidth = 2;
    context.strokeStyle = ink();
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

  // The song under the pointer, or -1.
  pick(left, top) {
    const { x, y, mask, marks } = this.songs;
    const [u, v] = this.toMap(left, top);
    let best = -1;
    let least = (NEAR / this.scale) ** 2;
    for (let row = 0; row < x.length; row++) {
      const far = (x[row] - u) ** 2 + (y[row] - v) ** 2;
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
