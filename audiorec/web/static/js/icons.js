// Icons, drawn as paths; the text is beside them or in their button's title.

import { html } from "../vendor/htm-preact.js";

const FILLED = {
  play: "M7 4v16l13-8z", pause: "M6 4h4v16H6zM14 4h4v16h-4z", next: "M5 4v16l10-8zM16 4h3v16h-3z", before: "M19 4v16L9 12zM5 4h3v16H5z",
  up: "M12 6l7 8H5z", down: "M12 18l7-8H5z", mark: "M12 12m-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0",
};
const LINES = {
  plus: "M12 5v14M5 12h14", minus: "M5 12h14", close: "M6 6l12 12M18 6L6 18", lock: "M8 11V8a4 4 0 0 1 8 0v3M6 11h12v9H6z", open: "M8 11V8a4 4 0 0 1 7.6-1.6M6 11h12v9H6z",
  home: "M4 11l8-7 8 7v9h-5v-6H9v6H4z", map: "M4 6l5-2 6 2 5-2v14l-5 2-6-2-5 2zM9 4v14M15 6v14", songs: "M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0a2.5 2.5 0 1 1 5 0M19 16a2.5 2.5 0 1 1-5 0a2.5 2.5 0 1 1 5 0",
  albums: "M4 4h16v16H4zM12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8", artists: "M12 4a4 4 0 1 0 0 8a4 4 0 1 0 0-8M5 20c0-4 3-6 7-6s7 2 7 6", tidy: "M4 4h11v11H4zM9 15v5h11V9h-5",
  library: "M5 20V10M10 20V4M15 20v-8M20 20V7", search: "M11 4a7 7 0 1 0 0 14a7 7 0 1 0 0-14M16 16l4.5 4.5", radio: "M8 8a5.5 5.5 0 0 0 0 8M16 8a5.5 5.5 0 0 1 0 8M5 5a10 10 0 0 0 0 14M19 5a10 10 0 0 1 0 14M12 10.5v3",
  path: "M5 19a2 2 0 1 0 .1 0M19 5a2 2 0 1 0 .1 0M7 19c6 0 3-7 5-9s3-3 5-3", circle: "M12 5c5 0 8 2.5 8 5.5S17 16 12 16c-1 0-2-.1-3-.3L6 19l.5-4C5 14 4 12.5 4 10.5C4 7.5 7 5 12 5z",
  back: "M14 5l-7 7 7 7", forward: "M10 5l7 7-7 7", queue: "M4 7h16M4 12h16M4 17h9", heart: "M12 20S4 15 4 9.5A4 4 0 0 1 12 8a4 4 0 0 1 8 1.5C20 15 12 20 12 20z", swap: "M4 9h14l-3-3M20 15H6l3 3", people: "M9 4a4 4 0 1 0 0 8a4 4 0 1 0 0-8M3 20c0-4 2.5-6 6-6s6 2 6 6M16 5a3.5 3.5 0 0 1 0 7M18 14.5c2 .7 3 2.5 3 5.5",
};

export function Icon({ name }) {
  const isLine = name in LINES;
  return html`<svg class=${`glyph ${isLine ? "line" : ""}`} viewBox="0 0 24 24" aria-hidden="true"><path d=${LINES[name] || FILLED[name]} /></svg>`;
}
