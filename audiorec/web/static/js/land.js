// The land of a map: where songs are dense it rises, in the colours of their genres, with lines of equal height.

import { ink, isDark } from "./colours.js";

const CELL = 6; // pixels of a cell, in which songs are counted
const PAD = 14; // cells around what is seen: their songs reach into it
const STEP = Math.log(1.75); // from one line to the next
const SHORE = 0.16; // of what one song alone makes: the outermost line
const LINES = 7;
const SEA = -6;

function blurred(values, width, height, reach) {
  const line = new Float32Array(Math.max(width, height));
  const pass = (start, step, n) => {
    let sum = 0;
    for (let at = -reach; at < n; at++) {
      const inn = at + reach;
      if (inn < n) sum += values[start + inn * step];
      if (at >= 0) {
        line[at] = sum / (2 * reach + 1);
        const out = at - reach;
        if (out >= 0) sum -= values[start + out * step];
      }
    }
    for (let at = 0; at < n; at++) values[start + at * step] = line[at];
  };
  for (let time = 0; time < 3; time++) {
    for (let row = 0; row < height; row++) pass(row * width, 1, width);
    for (let column = 0; column < width; column++) pass(column, width, height);
  }
}

// Draw land into a canvas of a size in pixels. `place(row)` is where a song is on it, `colours` are packed, `reach` in
// pixels is how far a song makes land; of a hundred thousand songs it takes some tens of milliseconds, once for each rest.
export function drawLand(canvas, { width, height, n, place, colours, reach = 0, isThere = null }) {
  canvas.width = width;
  canvas.height = height;
  const [across, down] = [Math.ceil(width / CELL) + 2 * PAD + 1, Math.ceil(height / CELL) + 2 * PAD + 1];
  const [many, red, green, blue] = Array.from({ length: 4 }, () => new Float32Array(across * down));
  let seen = 0;
  for (let row = 0; row < n; row++) {
    if (isThere && !isThere[row]) continue;
    const [left, top] = place(row);
    const [column, line] = [Math.round(left / CELL) + PAD, Math.round(top / CELL) + PAD];
    if (!(column >= 0 && line >= 0 && column < across && line < down)) continue;
    const at = line * across + column;
    many[at] += 1;
    red[at] += colours[row] & 255;
    green[at] += (colours[row] >> 8) & 255;
    blue[at] += (colours[row] >> 16) & 255;
    seen++;
  }
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  if (!seen) return;
  const wide = reach || Math.min(44, Math.max(12, 0.5 * Math.sqrt((width * height) / seen)));
  const cells = Math.max(1, Math.min(PAD - 2, Math.round(wide / CELL)));
  for (const channel of [many, red, green, blue]) blurred(channel, across, down, cells);
  const alone = 0.42 / (2 * cells + 1) ** 2; // the height of one song after three passes
  const base = Math.log(SHORE * alone * Math.max(1, Math.min(40, seen / 400)));
  const tall = new Float32Array(many.length);
  for (let at = 0; at < many.length; at++) {
    tall[at] = many[at] > 1e-9 ? Math.max(SEA, (Math.log(many[at]) - base) / STEP) : SEA;
    const sum = many[at] || 1;
    red[at] /= sum; green[at] /= sum; blue[at] /= sum;
  }
  const image = context.createImageData(width, height);
  const pixels = image.data;
  const dark = isDark();
  const [lr, lg, lb] = [1, 3, 5].map((at) => parseInt(ink().slice(at, at + 2), 16));
  for (let y = 0; y < height; y++) {
    const v = y / CELL + PAD;
    const top = Math.floor(v);
    const fy = v - top;
    for (let x = 0; x < width; x++) {
      const u = x / CELL + PAD;
      const left = Math.floor(u);
      const fx = u - left;
      const at = top * across + left;
      const below = at + across;
      const [a, b, c, d] = [tall[at], tall[at + 1], tall[below], tall[below + 1]];
      if (a < -0.5 && b < -0.5 && c < -0.5 && d < -0.5) continue;
      const high = (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy;
      const slopeX = ((b - a) * (1 - fy) + (d - c) * fy) / CELL;
      const slopeY = ((c - a) * (1 - fx) + (d - b) * fx) / CELL;
      const slope = Math.sqrt(slopeX * slopeX + slopeY * slopeY) + 1e-4;
      const nearest = Math.round(high);
      let line = nearest >= 0 && nearest <= LINES ? Math.max(0, 1 - Math.abs(high - nearest) / (slope * 0.85)) : 0;
      line *= nearest === 0 ? 0.42 : 0.17;
      const fill = high <= 0 ? 0 : Math.min(1, high / 3) * (dark ? 0.34 : 0.26);
      if (!fill && !line) continue;
      const mix = (channel) => (channel[at] * (1 - fx) + channel[at + 1] * fx) * (1 - fy) + (channel[below] * (1 - fx) + channel[below + 1] * fx) * fy;
      const alpha = fill + line * (1 - fill);
      const put = 4 * (y * width + x);
      pixels[put] = (mix(red) * fill + lr * line * (1 - fill)) / alpha;
      pixels[put + 1] = (mix(green) * fill + lg * line * (1 - fill)) / alpha;
      pixels[put + 2] = (mix(blue) * fill + lb * line * (1 - fill)) / alpha;
      pixels[put + 3] = 255 * alpha;
    }
  }
  context.putImageData(image, 0, 0);
}
