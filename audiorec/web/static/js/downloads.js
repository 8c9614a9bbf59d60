// Lists that the browser keeps as files: for players, spreadsheets and scripts.

import { html, useState } from "../vendor/htm-preact.js";

export const KINDS = {
  m3u8: { words: "Playlist (M3U8)", type: "audio/x-mpegurl", ending: "m3u8" },
  csv: { words: "Table (CSV)", type: "text/csv", ending: "csv" },
  script: { words: "Script that removes copies", type: "text/x-shellscript", ending: "sh" },
  paths: { words: "Paths", type: "text/plain", ending: "txt" },
};

function keep(text, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// Buttons for some kinds; `ask` fetches the text of one, `name` is that of the file without its ending.
export function Downloads({ kinds, name, ask, isEmpty }) {
  const [said, setSaid] = useState(null);
  const get = async (kind) => {
    const { type, ending } = KINDS[kind];
    try {
      const { text, left_out: leftOut } = await ask(kind);
      keep(text, `${name}.${ending}`, type);
      setSaid({ words: `Downloaded ${name}.${ending}${leftOut ? `; ${leftOut} names could not be written` : ""}` });
    } catch (error) {
      setSaid({ failure: error.message });
    }
  };
  return html`<div class="downloads" role="group" aria-label="Download"><span class="quiet">Download:</span>
    ${kinds.map((kind) => html`<button type="button" class="small" disabled=${isEmpty} onClick=${() => get(kind)}>${KINDS[kind].words}</button>`)}
    ${said?.words && html`<span class="quiet" role="status"><bdi>${said.words}</bdi></span>`}
    ${said?.failure && html`<span class="failure" role="alert">${said.failure}</span>`}</div>`;
}
