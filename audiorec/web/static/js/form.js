// Inputs for the options of a question, as the library declares them; what is not set has its default.

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { More } from "./parts.js";

const WAIT = 300; // milliseconds after the last letter

export function Form({ fields, values, change }) {
  const set = (name) => (value) => {
    const { [name]: _, ...others } = values;
    change(value === undefined ? others : { ...others, [name]: value });
  };
  const shown = (isAdvanced) => fields.filter((one) => one.advanced === isAdvanced)
    .map((one) => html`<${Field} key=${one.name} field=${one} value=${values[one.name]} set=${set(one.name)} />`);
  const isOpen = fields.some((one) => one.advanced && one.name in values);
  return html`<div class="fields options">${shown(false)}</div>
    ${fields.some((one) => one.advanced) && html`<details class="advanced" open=${isOpen}><summary>More options</summary>
      <div class="fields options">${shown(true)}</div></details>`}`;
}

function Field({ field, value, set }) {
  const { label, description, default: usual, items } = field;
  if (field.type === "array") {
    const chosen = value || [];
    const flip = (one) => (chosen.includes(one) ? chosen.filter((other) => other !== one) : [...chosen, one]);
    return html`<div role="group" aria-label=${label} title=${description}>${label} ${items.enum.map((one) => html`<label key=${one}>
      <input type="checkbox" checked=${chosen.includes(one)} onChange=${() => set(some(flip(one)))} /> ${one}</label> `)}
      <small class="quiet">${description}</small></div>`;
  }
  return html`<label class=${field.type === "string" && !field.enum ? "wide" : ""} title=${description}>${field.type === "boolean"
    ? html`<input type="checkbox" checked=${value ?? usual} onChange=${(e) => set(e.target.checked)} /> ${label}`
    : html`${label} <${Input} field=${field} value=${value ?? usual ?? ""} set=${set} />`}
    ${!description.startsWith(label) && html`<small class="quiet">${description}</small>`}</label>`;
}

function Input({ field, value, set }) {
  if (field.enum) {
    return html`<select value=${value} onChange=${(e) => set(e.target.value)}>
      ${field.enum.map((one) => html`<option value=${one}>${one}</option>`)}</select>`;
  }
  if (field.type === "string") {
    return html`<input type="text" value=${value} spellcheck=${false} autocomplete="off" placeholder=${field.example} onInput=${(e) => set(e.target.value || undefined)} />`;
  }
  if (field.type === "number" && field.maximum <= 2) {
    return html`<input type="range" min=${field.minimum} max=${field.maximum} step="0.05" value=${value} onInput=${(e) => set(Number(e.target.value))} />`;
  }
  return html`<input type="number" min=${field.minimum} max=${field.maximum} step=${field.type === "integer" ? 1 : "any"} value=${value}
    onInput=${(e) => set(e.target.value === "" ? undefined : Number(e.target.value))} />`;
}

const some = (values) => (values.length ? values : undefined);

// The values of a form that other forms share, as far as it has them.
export function valuesOf(fields, values) {
  const names = new Set(fields.map((one) => one.name));
  return Object.fromEntries(Object.entries(values).filter(([name]) => names.has(name)));
}

export function query(values) {
  return new URLSearchParams(Object.entries(values).flatMap(([name, value]) => [value].flat().map((one) => [name, one]))).toString();
}

// A value once it has not changed for a while.
export function useSettled(value) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), WAIT);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
