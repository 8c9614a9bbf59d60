// Icons, drawn as paths; the text is beside them or in their button's title.

import { html } from "../vendor/htm-preact.js";

const PATHS = {
  play: "M7 4v16l13-8z",
  pause: "M7 4h4v16H7zM14 4h4v16h-4z",
  next: "M5 4v16l10-8zM16 4h3v16h-3z",
  before: "M19 4v16L9 12zM5 4h3v16H5z",
  plus: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  minus: "M5 11h14v2H5z",
  close: "M6 4.6 4.6 6l6 6-6 6L6 19.4l6-6 6 6 1.4-1.4-6-6 6-6L18 4.6l-6 6z",
  up: "M12 6l7 8H5z",
  down: "M12 18l7-8H5z",
  lock: "M7 10V8a5 5 0 0 1 10 0v2h1v10H6V10zm2 0h6V8a3 3 0 0 0-6 0z",
  open: "M7 10V8a5 5 0 0 1 9.6-2l-1.9.7A3 3 0 0 0 9 8v2h9v10H6V10z",
  home: "M12 4 4 11h2v8h5v-5h2v5h5v-8h2z",
  circle: "M12 4c5 0 8 3 8 7s-3 7-8 7c-1 0-2 0-3-.3L6 20l.5-3.2C5 15.500 4 13.400 4 11c0-4 3-7 8-7zm0 2c-4 0-6 2.200-6 5s2 5 6 5 6-2.200 6-5-2-5-6-5z",
};

export function Icon({ name }) {
  return html`<svg class="glyph" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}
