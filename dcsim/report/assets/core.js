"use strict";
/**
 * `D` is the page's only global name. Its parts: `D.el` and `D.get` for elements, `D.watts` and its
 * neighbours for words, `D.series` (packed loads), `D.plots` (plotly), `D.grid` (tables), and a part
 * for each section, each with a `start`. `D.model` is what dcsim/report/page wrote into the file.
 */
const D = { model: null, onNode: [] };

/** An element with attributes (`onclick` and the like are listeners), and what is inside. */
D.el = (tag, attributes = {}, ...inside) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...inside.filter((part) => part !== null && part !== undefined));
  return element;
};
D.get = (id) => document.getElementById(id);

/** Names come from files: plotly reads a little HTML in its texts. */
D.safe = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

D.UNKNOWN = "–";
D.isUnknown = (value) => value === null || value === undefined || Number.isNaN(value);

/** A value with its unit and the prefix that suits it. */
D.scaled = (value, unit) => {
  if (D.isUnknown(value)) return D.UNKNOWN;
  for (const [size, prefix, more] of [[1e9, "G", 1], [1e6, "M", 1], [1e3, "k", 0]]) {
    if (Math.abs(value) >= 0.99995 * size) {
      const part = value / size;
      return `${part.toFixed((Math.abs(part) < 10 ? 2 : 1) + more)} ${prefix}${unit}`;
    }
  }
  return `${value.toFixed(0)} ${unit}`;
};
D.watts = (value) => D.scaled(value, "W");
D.percent = (share) => (D.isUnknown(share) ? D.UNKNOWN : `${(100 * share).toFixed(1)} %`);
D.count = (value) => value.toLocaleString("en");

/** A length of time. */
D.span = (seconds) => {
  if (D.isUnknown(seconds)) return D.UNKNOWN;
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${+(seconds / size).toFixed(2)} ${unit}`;
  }
  return `${+seconds.toPrecision(3)} s`;
};

/** A figure by its unit (see `Unit` of dcsim/report/charts/model.py), as people read it. */
D.format = (unit, value) => {
  if (D.isUnknown(value)) return D.UNKNOWN;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  switch (unit) {
    case "w": return D.watts(value);
    case "kw": return D.watts(1e3 * value);
    case "wh": return D.scaled(value, "Wh");
    case "va": return D.scaled(value, "VA");
    case "s": return size > 0 && size < 1 ? `${(1e3 * value).toFixed(0)} ms` : D.span(value);
    case "share": return size > 0 && size < 5e-4 ? `${(100 * value).toPrecision(2)} %` : D.percent(value);
    default: return value.toLocaleString("en", Number.isInteger(value) ? {} : { maximumSignificantDigits: 5 });
  }
};

/** A round figure beside an axis. */
D.tick = (unit, value) => {
  if (unit === "share") return `${+(100 * value).toPrecision(3)} %`;
  if (unit === "s") return value < 1 ? `${+(1e3 * value).toPrecision(3)} ms` : `${value} s`;
  return D.count(value);
};

/** A time of day, `13:05:30`. */
D.hms = (seconds) =>
  [seconds / 3600, (seconds / 60) % 60, seconds % 60].map((n) => String(Math.floor(n)).padStart(2, "0")).join(":");

/** A moment of the run; where its start is known, with the clock. */
D.clock = (time_s, fraction = false) => {
  const whole = Math.floor(time_s + 1e-9);
  const days = Math.floor(whole / 86400);
  const rest = fraction ? (time_s - whole).toFixed(2).slice(1) : "";
  const text = `${days ? `${days}d ` : ""}${D.hms(whole % 86400)}${rest}`;
  const start = D.model.start_of_day_s ?? null;
  return start === null ? text : `${text} (${D.hms((start + whole) % 86400)})`;
};

/** Plotly's time axis wants dates, and takes small numbers for years: the run begins with 2001. */
D.epoch = () => Date.UTC(2001, 0, 1) + 1000 * (D.model.start_of_day_s || 0);
D.date = (time_s) => D.epoch() + Math.round(time_s * 1000);
D.time = (date) => {
  if (typeof date === "number") return (date - D.epoch()) / 1000;
  const text = String(date).replace(" ", "T") + (/[T:]/.test(date) ? "" : "T00:00");
  return (Date.parse(`${text}Z`) - D.epoch()) / 1000;
};

/** Names without the path that all of them share. */
D.short = (names) => {
  const paths = names.map((name) => String(name).split("/"));
  let same = 0;
  while (paths.every((path) => path.length > same + 1 && path[same] === paths[0][same])) same += 1;
  return paths.map((path) => path.slice(same).join("/"));
};

/** A quotient; nothing is known of what is divided by 0. */
D.quotient = (above, below) => (below === 0 ? NaN : above / below);

/** A colour of the theme, by its name in dcsim/report/palette.py. */
D.css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The bytes that stand in an element as base64 of gzip. */
D.inflate = async (id) => {
  const packed = D.get(id);
  const raw = atob(packed.textContent);
  packed.remove();
  const bytes = Uint8Array.from(raw, (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
};

D.fail = (text) => {
  const place = D.get("failure");
  place.textContent = text;
  place.hidden = false;
};

/** Show a node, by its number, in all sections. */
D.choose = (index) => D.onNode.forEach((show) => show(index));
