"use strict";
// Shared by all parts of the page. `D` is the only global name.
const D = { model: null, charts: [], hooks: { node: [], theme: [] } };

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

// Names come from files: plotly reads a little HTML in its texts.
D.safe = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

D.scaled = (value, unit) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  for (const [size, prefix, more] of [[1e9, "G", 1], [1e6, "M", 1], [1e3, "k", 0]]) {
    if (Math.abs(value) >= 0.99995 * size) {
      const part = value / size;
      return `${part.toFixed((Math.abs(part) < 10 ? 2 : 1) + more)} ${prefix}${unit}`;
    }
  }
  return `${value.toFixed(0)} ${unit}`;
};
D.watts = (value) => D.scaled(value, "W");
D.percent = (share) => (share === null || Number.isNaN(share) ? "–" : `${(100 * share).toFixed(1)} %`);
D.seconds = (value) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return value < 1 ? `${(1e3 * value).toFixed(0)} ms` : `${value.toFixed(2)} s`;
};
D.clock = (time_s, fraction = false) => {
  const whole = Math.floor(time_s + 1e-9);
  const two = (n) => String(n).padStart(2, "0");
  const days = Math.floor(whole / 86400), rest = whole % 86400;
  let text = `${two(Math.floor(rest / 3600))}:${two(Math.floor(rest / 60) % 60)}:${two(rest % 60)}`;
  if (fraction) text += (time_s - whole).toFixed(2).slice(1);
  text = days ? `${days}d ${text}` : text;
  const start = D.model ? D.model.start_of_day_s : null;
  if (start === null || start === undefined) return text;
  const at = (start + whole) % 86400;
  return `${text} (${two(Math.floor(at / 3600))}:${two(Math.floor(at / 60) % 60)}:${two(at % 60)})`;
};
D.span = (seconds) => {
  if (seconds >= 86400) return `${+(seconds / 86400).toFixed(2)} d`;
  if (seconds >= 3600) return `${+(seconds / 3600).toFixed(2)} h`;
  if (seconds >= 60) return `${+(seconds / 60).toFixed(2)} min`;
  return `${+seconds.toPrecision(3)} s`;
};
// Plotly's time axis wants dates, and takes small numbers for years: the run begins with 2001.
D.EPOCH = Date.UTC(2001, 0, 1);
D.date = (time_s) => D.EPOCH + Math.round(time_s * 1000);
D.time = (date) => ((typeof date === "number" ? date : Date.parse(`${String(date).replace(" ", "T")}${/T|:/.test(date) ? "" : "T00:00"}Z`)) - D.EPOCH) / 1000;

// Names without the path that all of them share.
D.short = (names) => {
  const paths = names.map((name) => String(name).split("/"));
  let same = 0;
  while (paths.every((path) => path.length > same + 1 && path[same] === paths[0][same])) same += 1;
  return paths.map((path) => path.slice(same).join("/"));
};

D.css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

D.inflate = async (id) => {
  const packed = D.get(id);
  const text = packed.textContent;
  packed.remove();
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
};

D.trouble = (text) => {
  const place = D.get("trouble");
  place.textContent = text;
  place.hidden = false;
};

D.choose = (index) => D.hooks.node.forEach((hook) => hook(index));
