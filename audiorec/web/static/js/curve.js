// Editor for a curve, drawn with the mouse or point by point with the keyboard.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { groupColour, ink, rest } from "./colours.js";
import { useDrawn } from "./wave.js";

export const POINTS = 13;
export const SHAPES = {
  Rise: (t) => 0.1 + 0.8 * t,
  Fall: (t) => 0.9 - 0.8 * t,
  Arc: (t) => 0.1 + 0.8 * Math.sin(Math.PI * t),
  Dip: (t) => 0.9 - 0.8 * Math.sin(Math.PI * t),
};
export const shaped = (name) => Array.from({ length: POINTS }, (_, at) => SHAPES[name](at / (POINTS - 1)));

export function Curve({ points, onDraw, scores, words, range }) {
  const drawing = useRef(null);
  const [at, setAt] = useState(0);
  const [shown, setShown] = useState(points);
  useEffect(() => setShown(points), [points]);
  const canvas = useDrawn((context, width, height) => draw(context, width, height, shown, scores, at), [shown, scores, at]);

  const put = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const place = Math.round(((event.clientX - box.left) / box.width) * (POINTS - 1));
    const value = Math.min(1, Math.max(0, 1 - (event.clientY - box.top) / box.height));
    const next = [...(drawing.current || shown)];
    const bounded = Math.min(POINTS - 1, Math.max(0, place));
    const from = drawing.current ? drawing.current.last : bounded;
    const start = next[from];
    for (const point of between(from, bounded)) { // a fast stroke skips points
      const share = from === bounded ? 1 : (point - from) / (bounded - from);
      next[point] = start + (value - start) * share;
    }
    next.last = bounded;
    drawing.current = next;
    setShown([...next]);
    setAt(bounded);
  };
  const onKey = (event) => {
    const step = { ArrowUp: 0.05, ArrowDown: -0.05, PageUp: 0.2, PageDown: -0.2 }[event.key];
    if (step) {
      const next = [...shown];
      next[at] = Math.min(1, Math.max(0, next[at] + step));
      setShown(next);
      onDraw(next);
    } else if (event.key === "ArrowLeft") setAt(Math.max(0, at - 1));
    else if (event.key === "ArrowRight") setAt(Math.min(POINTS - 1, at + 1));
    else return;
    event.preventDefault();
  };
  const over = () => {
    if (!drawing.current) return;
    onDraw([...drawing.current]);
    drawing.current = null;
  };
  return html`<div class="curve">
    <canvas ref=${canvas} tabindex="0" role="slider" aria-label=${`Curve of ${words}: left and right choose a point, up and down move it`}
      aria-orientation="vertical" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(100 * shown[at])}
      aria-valuetext=${`point ${at + 1} of ${POINTS}: ${Math.round(100 * shown[at])} %`} onKeyDown=${onKey}
      onPointerDown=${(e) => { e.currentTarget.setPointerCapture(e.pointerId); put(e); }}
      onPointerMove=${(e) => drawing.current && put(e)} onPointerUp=${over} onPointerCancel=${over}></canvas>
    <p class="reach quiet" aria-hidden="true"><span>${range[1]}</span><span>${range[0]}</span></p>
    <p class="axis quiet"><span>beginning</span><span>draw a line</span><span>end</span></p>
    <div class="buttons">${Object.keys(SHAPES).map((name) => html`<button class="small" onClick=${() => onDraw(shaped(name))}>${name}</button>`)}</div>
  </div>`;
}

function between(one, other) {
  const [low, high] = one < other ? [one, other] : [other, one];
  return Array.from({ length: high - low + 1 }, (_, at) => low + at);
}

// Draw the requested curve, and the songs of the list as dots.
function draw(context, width, height, points, scores, at) {
  const y = (value) => height - 4 - value * (height - 8);
  context.strokeStyle = rest();
  context.lineWidth = 1;
  for (const level of [0, 0.5, 1]) {
    context.beginPath();
    context.moveTo(0, y(level));
    context.lineTo(width, y(level));
    context.stroke();
  }
  context.fillStyle = groupColour(6, -1);
  scores?.forEach(({ part, score }) => {
    context.beginPath();
    context.arc(part * width, y(score), 4, 0, 2 * Math.PI);
    context.fill();
  });
  context.strokeStyle = ink();
  context.lineWidth = 2.5;
  context.beginPath();
  points.forEach((value, place) => context[place ? "lineTo" : "moveTo"]((place / (points.length - 1)) * width, y(value)));
  context.stroke();
  if (document.activeElement === context.canvas) {
    context.beginPath();
    context.arc((at / (points.length - 1)) * width, y(points[at]), 6, 0, 2 * Math.PI);
    context.stroke();
  }
}
