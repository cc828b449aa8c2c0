// Pages of studies: pictures as study.json asks for them, sortable tables.
D.study = (() => {
  const COLOURS = ["s0", "s3", "s4", "s2", "s7", "s5", "s1", "s6"];
  const DASHES = ["solid", "dash", "dot", "dashdot"];
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "cross"];
  const MOST_ROWS = 400, MOST_GROUPS = 24;

  const unit = (name) => (/_per_s$/.test(name) ? "" : (/_(w|wh|va|s|share|probability|fraction|attainment)$/.exec(name) || ["", ""])[1]);
  const words = (name) => {
    const bare = name.replace(/_per_s$/, " per second");
    return (unit(name) && !/prob|attain/.test(unit(name)) ? bare.replace(/_[a-z]+$/, "") : bare).replace(/_/g, " ");
  };
  const told = (name, value) => {
    if (value === null || value === undefined) return "–";
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (typeof value !== "number") return String(value);
    switch (unit(name)) {
      case "w": return D.watts(value);
      case "wh": return D.scaled(value, "Wh");
      case "va": return D.scaled(value, "VA");
      case "s": return Math.abs(value) < 1 && value !== 0 ? D.seconds(value) : D.span(value);
      case "share": case "probability": case "fraction": case "attainment": return D.percent(value);
      default: return Number.isInteger(value) ? value.toLocaleString("en") : Number(value.toPrecision(5)).toLocaleString("en", { maximumSignificantDigits: 5 });
    }
  };

  const column = (table, name) => (table.columns.find((c) => c.name === name) || {}).values;
  // `peak_w` has its interval in `peak_low_w` and `peak_high_w`, or in `peak_w_low` and so on.
  const bound = (table, name, end) => {
    const u = unit(name);
    const inside = u ? name.replace(new RegExp(`_${u}$`), `_${end}_${u}`) : `${name}_${end}`;
    return column(table, `${name}_${end}`) || column(table, inside);
  };

  const axisOf = (name) => {
    const u = unit(name);
    if (u === "w" || u === "wh" || u === "va") return { ticksuffix: { w: "W", wh: "Wh", va: "VA" }[u], tickformat: ".3~s" };
    if (["share", "probability", "fraction", "attainment"].includes(u)) return { tickformat: ".0%" };
    if (u === "s") return { ticksuffix: " s" };
    return {};
  };

  const groupsOf = (table, by) => {
    if (!by) return [["", table.columns[0].values.map((_, i) => i)]];
    const groups = new Map();
    column(table, by).forEach((value, i) => {
      if (!groups.has(value)) groups.set(value, []);
      groups.get(value).push(i);
    });
    return [...groups];
  };

  const heat = (place, table, plot) => {
    const xs = [...new Set(column(table, plot.x))], ys = [...new Set(column(table, plot.by || plot.x))];
    const values = column(table, plot.y[0]);
    const z = ys.map(() => xs.map(() => null));
    column(table, plot.x).forEach((x, i) => { z[plot.by ? ys.indexOf(column(table, plot.by)[i]) : 0][xs.indexOf(x)] = values[i]; });
    const dark = document.documentElement.dataset.theme === "dark";
    D.plots.react(place, [{ type: "heatmap", x: xs.map((v) => D.safe(told(plot.x, v))), y: ys.map((v) => D.safe(told(plot.by || "", v))), z,
      text: z.map((row) => row.map((v) => told(plot.y[0], v))), texttemplate: z.length * xs.length <= 240 ? "%{text}" : undefined,
      colorscale: dark ? [[0, "#141b22"], [0.5, "#2f6690"], [1, "#a8dbf7"]] : [[0, "#f5f8fa"], [0.5, "#9fcae6"], [1, "#2c6fa3"]],
      hovertemplate: "%{x}, %{y}: %{text}<extra></extra>", colorbar: { thickness: 10, outlinewidth: 0, ...axisOf(plot.y[0]) } }],
    { height: Math.min(640, 110 + 30 * ys.length), hovermode: "closest", margin: { l: 120, r: 10, t: 10, b: 50 },
      xaxis: { type: "category", showgrid: false, title: title(plot.x) }, yaxis: { type: "category", showgrid: false, autorange: "reversed" } });
  };

  const title = (name) => ({ text: words(name), font: { size: 12, color: D.css("soft") } });

  const picture = (plot, index) => {
    const place = D.get(`plot-${index}`), table = D.model.tables[plot.table];
    if (plot.kind === "heat") { heat(place, table, plot); return; }
    const groups = groupsOf(table, plot.by).slice(0, MOST_GROUPS);
    // Columns of one unit share a panel, others stand below.
    const panels = [];
    plot.y.forEach((name) => {
      const last = panels.find((p) => unit(p[0]) === unit(name) && (unit(name) || plot.y.length === 1));
      if (last) last.push(name); else panels.push([name]);
    });
    const xs = column(table, plot.x);
    const numbers = xs.every((v) => v === null || typeof v === "number");
    const dates = !numbers && xs.every((v) => v === null || /^\d{4}-\d\d-\d\d/.test(v));
    const traces = [], shapes = [], keys = [];
    const layout = { barmode: "group", showlegend: groups.length * Math.max(...panels.map((p) => p.length)) > 1,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12 } },
      height: 90 + panels.length * (panels.length > 1 ? 190 : 280), hovermode: "closest", margin: { l: 70, r: 16, t: 34, b: 52 },
      xaxis: { title: title(plot.x), type: numbers ? "-" : dates ? "date" : "category", ...(numbers ? axisOf(plot.x) : {}), anchor: panels.length > 1 ? `y${panels.length}` : "y" } };
    panels.forEach((names, p) => {
      const yaxis = p ? `y${p + 1}` : "y";
      const gap = 0.06;
      layout[p ? `yaxis${p + 1}` : "yaxis"] = { ...axisOf(names[0]), title: title(names.length === 1 ? names[0] : ""), rangemode: "tozero",
        domain: [1 - (p + 1) / panels.length + (p + 1 < panels.length ? gap : 0), 1 - p / panels.length] };
      groups.forEach(([value, rows], g) => names.forEach((name, n) => {
        const values = column(table, name), low = bound(table, name, "low"), high = bound(table, name, "high");
        const colour = D.css(COLOURS[(groups.length > 1 ? g : n) % COLOURS.length]);
        const label = [plot.by ? told(plot.by, value) : "", names.length > 1 || !plot.by ? words(name) : ""].filter(Boolean).join(", ");
        const x = rows.map((i) => xs[i]), y = rows.map((i) => values[i]);
        const text = rows.map((i) => `${D.safe(words(plot.x))} ${D.safe(told(plot.x, xs[i]))}<br><b>${D.safe(told(name, values[i]))}</b>` +
          (low && high && low[i] !== null ? ` (${D.safe(told(name, low[i]))} to ${D.safe(told(name, high[i]))})` : ""));
        const base = { x, y, yaxis, text, name: D.safe(label), legendgroup: label, showlegend: p === 0, hovertemplate: `${D.safe(label)}<br>%{text}<extra></extra>` };
        if (plot.kind === "bar") {
          traces.push({ ...base, type: "bar", marker: { color: colour }, error_y: low && high ? { type: "data", symmetric: false, thickness: 1.2,
            array: rows.map((i) => high[i] - values[i]), arrayminus: rows.map((i) => values[i] - low[i]) } : undefined });
          return;
        }
        const shape = plot.kind === "step" ? "hv" : "linear";
        if (low && high) {
          traces.push({ x, y: rows.map((i) => low[i]), yaxis, type: "scatter", mode: "lines", line: { width: 0, shape }, hoverinfo: "skip", showlegend: false });
          traces.push({ x, y: rows.map((i) => high[i]), yaxis, type: "scatter", mode: "lines", line: { width: 0, shape }, fill: "tonexty", fillcolor: `${colour}2e`, hoverinfo: "skip", showlegend: false });
        }
        traces.push({ ...base, type: "scatter", mode: rows.length <= 40 ? "lines+markers" : "lines", line: { color: colour, width: 1.8, shape,
          dash: groups.length > 1 && names.length > 1 ? DASHES[n % DASHES.length] : "solid" }, marker: { size: 6, symbol: SYMBOLS[(groups.length > 1 ? g : n) % SYMBOLS.length] } });
        keys.push(label);
      }));
    });
    if (plot.limit) {
      const limits = [...new Set(column(table, plot.limit))].filter((v) => v !== null);
      limits.slice(0, 8).forEach((v) => shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: v, y1: v, line: { color: D.css("h3"), width: 1.3, dash: "dash" } }));
      if (limits.length) {
        layout.annotations = [{ xref: "paper", x: 1, y: limits[0], yref: "y", xanchor: "right", yanchor: "bottom", showarrow: false,
          text: `${D.safe(words(plot.limit))} ${D.safe(told(plot.limit, limits[0]))}`, font: { size: 11, color: D.css("h3") } }];
      }
    }
    layout.shapes = shapes;
    D.plots.react(place, traces, layout);
    const all = groupsOf(table, plot.by).length;
    D.get(`plot-${index}-note`).textContent = (table.rows > xs.length ? `The first ${xs.length} of ${table.rows} rows. ` : "") +
      (all > groups.length ? `The first ${groups.length} of ${all} lines. ` : "") +
      (plot.y.some((n) => bound(table, n, "low")) ? "Shades and whiskers: the interval given in the table." : "");
    place.setAttribute("aria-label", `${plot.title}: ${plot.y.map(words).join(", ")} by ${words(plot.x)}; the numbers are in the table ${table.title}`);
  };

  const grid = (table, index) => {
    const place = D.get(`table-${index}`), find = D.get(`table-${index}-find`);
    let sorted = null, falling = true;
    const numeric = table.columns.map((c) => c.values.some((v) => typeof v === "number"));
    const draw = () => {
      const wanted = find.value.trim().toLowerCase();
      const count = table.columns.length ? table.columns[0].values.length : 0;
      let rows = Array.from({ length: count }, (_, i) => i).filter((i) => !wanted ||
        table.columns.some((c) => String(c.values[i] ?? "").toLowerCase().includes(wanted)));
      if (sorted !== null) {
        const values = table.columns[sorted].values;
        rows.sort((a, b) => {
          const x = values[a], y = values[b];
          if (x === null || y === null) return (x === null) - (y === null);
          return (x < y ? -1 : x > y ? 1 : 0) * (falling ? -1 : 1);
        });
      }
      const found = rows.length;
      rows = rows.slice(0, MOST_ROWS);
      place.replaceChildren(D.el("caption", {}, table.title), D.el("thead", {}, D.el("tr", {}, ...table.columns.map((c, i) =>
        D.el("th", { scope: "col", class: numeric[i] ? "n" : null, title: c.about || null, "aria-sort": sorted === i ? (falling ? "descending" : "ascending") : null },
          D.el("button", { type: "button", onclick: () => { falling = sorted === i ? !falling : numeric[i]; sorted = i; draw(); } },
            words(c.name) + (sorted === i ? (falling ? " ↓" : " ↑") : "")))))),
      D.el("tbody", {}, ...rows.map((i) => D.el("tr", {}, ...table.columns.map((c, k) => D.el("td", { class: numeric[k] ? "n" : null }, told(c.name, c.values[i])))))));
      D.get(`table-${index}-count`).textContent = `${found.toLocaleString("en")} of ${table.rows.toLocaleString("en")} rows${found > MOST_ROWS ? `, ${MOST_ROWS} shown` : ""}`;
    };
    find.addEventListener("input", draw);
    draw();
  };

  const start = () => {
    D.model.plots.forEach((plot, i) => D.plots.lazy(`plot-${i}`, () => picture(plot, i)));
    D.model.tables.forEach(grid);
    D.calculator.start();
  };
  return { start, told };
})();
