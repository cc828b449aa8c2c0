// Pictures of a study, as `D.model.plots` asks for them, from the columns of its tables.
D.pictures = (() => {
  const COLOURS = ["s0", "s3", "s4", "s2", "s7", "s5", "s1", "s6"];
  const DASHES = ["solid", "dash", "dot", "dashdot"];
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "cross"];
  const MOST_GROUPS = 8, MOST_LABELS = 16, MOST_LIMITS = 8;

  // A column without its unit, in words; a value of it as people read it. `column` is one of a table.
  const words = (column) => {
    const bare = column.name.replace(/_per_s$/, " per second");
    const cut = ["w", "kw", "wh", "va", "s"].includes(column.unit) && bare.endsWith(`_${column.unit}`);
    return (cut ? bare.slice(0, -column.unit.length - 1) : bare.replace(/_(share|fraction)$/, "")).replace(/_/g, " ");
  };
  const told = (column, value) => {
    if (value === null || value === undefined) return "–";
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (typeof value !== "number") return String(value);
    switch (column.unit) {
      case "w": return D.watts(value);
      case "kw": return D.watts(1e3 * value);
      case "wh": return D.scaled(value, "Wh");
      case "va": return D.scaled(value, "VA");
      case "s": return Math.abs(value) < 1 && value !== 0 ? D.seconds(value) : D.span(value);
      case "share": return value !== 0 && Math.abs(value) < 5e-4 ? `${(100 * value).toPrecision(2)} %` : D.percent(value);
      default: return Number.isInteger(value) ? value.toLocaleString("en") : Number(value.toPrecision(5)).toLocaleString("en", { maximumSignificantDigits: 5 });
    }
  };

  const find = (table, name) => table.columns.find((c) => c.name === name);
  // `peak_w` has its interval in `peak_low_w` and `peak_high_w`, or in `peak_w_low` or `peak_low`;
  // `trip_probability` in `trip_low`.
  const bound = (table, column, end) => {
    const bare = column.name.replace(/_(w|kw|wh|va|s|share|probability|fraction|attainment)$/, "");
    const inside = column.name.replace(/_([a-z]+)$/, `_${end}_$1`);
    const found = find(table, `${column.name}_${end}`) || find(table, inside) || find(table, `${bare}_${end}`);
    return found && found.values;
  };

  const axisOf = (column) => {
    const watts = { w: "W", wh: "Wh", va: "VA" }[column.unit];
    if (watts) return { ticksuffix: watts, tickformat: ".3~s" };
    if (column.unit === "share") return { tickformat: ".1~%" };
    return column.unit === "s" ? { ticksuffix: " s" } : {};
  };
  const title = (text) => ({ text: D.safe(text), font: { size: 12, color: D.css("soft") } });

  // Rows by the line that they belong to, in order of x; the highest lines where there are many.
  const groupsOf = (table, plot) => {
    const columns = [...plot.by, ...plot.apart].map((name) => find(table, name));
    const differ = columns.filter((c) => new Set(c.values).size > 1);
    const groups = new Map();
    table.columns[0].values.forEach((_, i) => {
      const key = JSON.stringify(differ.map((c) => c.values[i]));
      if (!groups.has(key)) groups.set(key, { name: differ.map((c) => told(c, c.values[i])).join(", "), rows: [] });
      groups.get(key).rows.push(i);
    });
    const all = [...groups.values()];
    const x = find(table, plot.x).values;
    if (plot.kind !== "bar" && x.every((v) => v === null || typeof v === "number")) {
      all.forEach((group) => group.rows.sort((a, b) => x[a] - x[b]));
    }
    if (all.length <= MOST_GROUPS) return { all: all.length, kept: all };
    const y = find(table, plot.y[0]).values;
    const highest = (group) => group.rows.reduce((best, i) => (typeof y[i] === "number" && y[i] > best ? y[i] : best), -Infinity);
    const height = new Map(all.map((group) => [group, highest(group)]));
    const kept = new Set([...all].sort((a, b) => (height.get(b) > height.get(a)) - (height.get(b) < height.get(a))).slice(0, MOST_GROUPS));
    return { all: all.length, kept: all.filter((group) => kept.has(group)) };
  };

  const heat = (place, table, plot) => {
    const across = find(table, plot.x), down = plot.by.length ? find(table, plot.by[0]) : null, shade = find(table, plot.y[0]);
    const xs = [...new Set(across.values)], ys = down ? [...new Set(down.values)] : [""];
    const column = new Map(xs.map((v, i) => [v, i])), row = new Map(ys.map((v, i) => [v, i]));
    const z = ys.map(() => xs.map(() => null));
    across.values.forEach((x, i) => { z[down ? row.get(down.values[i]) : 0][column.get(x)] = shade.values[i]; });
    const dark = document.documentElement.dataset.theme === "dark";
    D.plots.react(place, [{ type: "heatmap", x: xs.map((v) => D.safe(told(across, v))), y: ys.map((v) => D.safe(down ? told(down, v) : "")), z,
      text: z.map((values) => values.map((v) => told(shade, v))), texttemplate: z.length * xs.length <= 240 ? "%{text}" : undefined,
      colorscale: dark ? [[0, "#141b22"], [0.5, "#2f6690"], [1, "#a8dbf7"]] : [[0, "#f5f8fa"], [0.5, "#9fcae6"], [1, "#2c6fa3"]],
      hovertemplate: "%{x}, %{y}: %{text}<extra></extra>", colorbar: { thickness: 10, outlinewidth: 0, ...axisOf(shade) } }],
    { height: Math.min(640, 110 + 30 * ys.length), hovermode: "closest", margin: { l: 120, r: 10, t: 10, b: 50 },
      xaxis: { type: "category", showgrid: false, title: title(words(across)) }, yaxis: { type: "category", showgrid: false, autorange: "reversed" } });
  };

  const across = (y, text, colour = "h3", right = false) => ({
    shape: { type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: y, y1: y, line: { color: D.css(colour), width: 1.3, dash: "dash" } },
    note: { xref: "paper", x: right ? 0.996 : 0.004, y, yref: "y", xanchor: right ? "right" : "left", bgcolor: D.css("card"), yanchor: "bottom", showarrow: false, text: D.safe(text), font: { size: 11, color: D.css(colour) } },
  });

  // Where limits are met: a line down, its interval as a band, and what is met when.
  const breaches = (plot, layout) => plot.marks.forEach((mark, i) => {
    const down = { xref: "x", yref: "paper", y0: 0, y1: 1, layer: "below" };
    if (mark.low !== null && mark.high !== null) {
      layout.shapes.push({ ...down, type: "rect", x0: mark.low, x1: mark.high, fillcolor: D.css("h2"), opacity: 0.14, line: { width: 0 } });
    }
    layout.shapes.push({ ...down, type: "line", x0: mark.x, x1: mark.x, line: { color: D.css("h3"), width: 1.3, dash: "dot" } });
    layout.annotations.push({ x: mark.x, y: 0.02 + 0.075 * i, yref: "paper", xanchor: "left", yanchor: "bottom", showarrow: false,
      text: `<b>${D.safe(mark.node)}</b>${mark.date === null ? "" : ` ${D.safe(mark.date)}`}`, font: { size: 11.5 } });
  });

  const bars = (base, values, low, high, colour) => ({ ...base, type: "bar", marker: { color: colour }, text: undefined,
    hovertext: base.text, hovertemplate: base.hovertemplate.replace("%{text}", "%{hovertext}"),
    error_y: low && high ? { type: "data", symmetric: false, thickness: 1.2, color: D.css("soft"),
      array: values.map((v, i) => high[i] - v), arrayminus: values.map((v, i) => v - low[i]) } : undefined });

  // The value above its bar, and above its whisker.
  const labels = (base, values, high, column) => ({ x: base.x, yaxis: base.yaxis, type: "scatter", mode: "text", showlegend: false, hoverinfo: "skip", cliponaxis: false,
    y: values.map((v, i) => Math.max(v, (high && high[i]) || 0)), text: values.map((v) => D.safe(told(column, v))), textposition: "top center" });

  // Intervals whose middle is not known: bars from end to end, those of several lines side by side.
  const intervals = (x, low, high, group, groups, colour) => {
    const width = Math.min(0.5, 0.12 * groups), aside = groups > 1 ? width * (group / (groups - 1) - 0.5) : 0;
    const at = x.map((v) => (typeof v === "number" ? v + aside : v));
    return { type: "scatter", mode: "lines", line: { color: colour, width: 4 }, connectgaps: false,
      x: at.flatMap((v) => [v, v, v]), y: low.flatMap((v, i) => [v, high[i], null]) };
  };

  const draw = (plot, index) => {
    const place = D.get(`plot-${index}`), table = D.model.tables[plot.table];
    if (plot.kind === "heat") { heat(place, table, plot); return; }
    const { all, kept: groups } = groupsOf(table, plot);
    const x = find(table, plot.x), ys = plot.y.map((name) => find(table, name));
    // Columns of one unit share a panel, others stand below.
    const panels = [];
    ys.forEach((column) => {
      const last = panels.find((panel) => panel[0].unit === column.unit && (column.unit || ys.length === 1));
      if (last) last.push(column); else panels.push([column]);
    });
    const numbers = x.values.every((v) => v === null || typeof v === "number");
    const dates = !numbers && x.values.every((v) => v === null || /^\d{4}-\d\d-\d\d/.test(v));
    const traces = [];
    const layout = { barmode: "group", bargap: 0.45, shapes: [], annotations: [], hovermode: "closest", margin: { l: 70, r: 16, t: 34, b: 52 },
      showlegend: groups.length * (plot.kind === "interval" ? 1 : Math.max(...panels.map((p) => p.length))) > 1,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12 } },
      height: 90 + panels.length * (panels.length > 1 ? 190 : 280),
      xaxis: { title: title(words(x)), type: numbers ? "-" : dates ? "date" : "category", ...(numbers ? axisOf(x) : {}), anchor: panels.length > 1 ? `y${panels.length}` : "y" } };
    if ((plot.marks.length || plot.kind === "interval") && numbers) {
      // An interval of a breach may reach far beyond what was played.
      const known = x.values.filter((v) => v !== null).sort((a, b) => a - b), low = known[0], high = known[known.length - 1], pad = 0.04 * (high - low) || 1;
      layout.xaxis.range = [low - pad, high + pad];
    }
    panels.forEach((columns, p) => {
      const yaxis = p ? `y${p + 1}` : "y", gap = p + 1 < panels.length ? 0.06 : 0;
      layout[p ? `yaxis${p + 1}` : "yaxis"] = { ...axisOf(columns[0]), title: title(columns.length === 1 ? words(columns[0]) : ""), rangemode: "tozero",
        domain: [1 - (p + 1) / panels.length + gap, 1 - p / panels.length] };
      groups.forEach(({ name, rows }, g) => {
        if (plot.kind === "interval") {
          const low = rows.map((i) => columns[0].values[i]), high = rows.map((i) => columns[1].values[i]);
          const text = rows.map((i, k) => `${D.safe(words(x))} ${D.safe(told(x, x.values[i]))}<br><b>${told(columns[0], low[k])} to ${told(columns[1], high[k])}</b>`);
          traces.push({ ...intervals(rows.map((i) => x.values[i]), low, high, g, groups.length, D.css(COLOURS[g % COLOURS.length])), yaxis,
            text: text.flatMap((t) => [t, t, t]), name: D.safe(name), hovertemplate: `${D.safe(name)}<br>%{text}<extra></extra>` });
          return;
        }
        columns.forEach((column, n) => {
          const lows = bound(table, column, "low"), highs = bound(table, column, "high");
          const low = lows && rows.map((i) => lows[i]), high = highs && rows.map((i) => highs[i]);
          const at = groups.length > 1 ? g : n, colour = D.css(COLOURS[at % COLOURS.length]);
          const label = D.safe([name, columns.length > 1 || !name ? words(column) : ""].filter(Boolean).join(", "));
          const values = rows.map((i) => column.values[i]);
          const text = rows.map((i, k) => `${D.safe(words(x))} ${D.safe(told(x, x.values[i]))}<br><b>${D.safe(told(column, values[k]))}</b>` +
            (low && high && low[k] !== null && high[k] !== null ? ` (${D.safe(told(column, low[k]))} to ${D.safe(told(column, high[k]))})` : ""));
          const base = { x: rows.map((i) => x.values[i]), y: values, yaxis, text, name: label, legendgroup: label, showlegend: p === 0, hovertemplate: `${label}<br>%{text}<extra></extra>` };
          if (plot.kind === "bar") {
            traces.push(bars(base, values, low, high, colour));
            if (groups.length * columns.length === 1 && rows.length <= MOST_LABELS) traces.push(labels(base, values, high, column));
            return;
          }
          const shape = plot.kind === "step" ? "hv" : "linear";
          if (low && high && low.some((v, k) => v !== null && high[k] !== null)) {
            const band = rows.map((_, k) => k).filter((k) => low[k] !== null && high[k] !== null);
            const edge = { x: band.map((k) => base.x[k]), yaxis, type: "scatter", mode: "lines", line: { width: 0, shape }, hoverinfo: "skip", showlegend: false };
            traces.push({ ...edge, y: band.map((k) => low[k]) });
            traces.push({ ...edge, y: band.map((k) => high[k]), fill: "tonexty", fillcolor: `${colour}2e` });
          }
          traces.push({ ...base, type: "scatter", mode: rows.length <= 40 ? "lines+markers" : "lines", line: { color: colour, width: 1.8, shape,
            dash: groups.length > 1 && columns.length > 1 ? DASHES[n % DASHES.length] : "solid" }, marker: { size: 6, symbol: SYMBOLS[at % SYMBOLS.length] } });
        });
      });
    });
    // What is all nought would else be drawn on an axis to 100 %, or to -1.
    panels.forEach((columns, p) => {
      if (columns.every((c) => c.values.every((v) => !v))) layout[p ? `yaxis${p + 1}` : "yaxis"].range = [0, columns[0].unit === "share" ? 0.01 : 1];
    });
    const lines = [];
    if (plot.limit) {
      const column = find(table, plot.limit);
      const limits = [...new Set(column.values)].filter((v) => v !== null).slice(0, MOST_LIMITS);
      limits.forEach((v, i) => lines.push(across(v, i ? "" : `${words(column)} ${told(column, v)}`)));
    }
    plot.levels.forEach((name) => {
      const column = find(table, name), value = column.values.find((v) => v !== null);
      if (value !== undefined) lines.push(across(value, `${words(column)} ${told(column, value)}`, "s3", true));
    });
    if (plot.level !== null) lines.push(across(plot.level, plot.kind === "interval" ? `accepted ${told({ unit: "share" }, plot.level)}` : "the limit"));
    lines.forEach((line) => { layout.shapes.push(line.shape); if (line.note.text) layout.annotations.push(line.note); });
    breaches(plot, layout);
    D.plots.react(place, traces, layout);
    D.get(`plot-${index}-note`).textContent = notes(table, plot, x, ys, groups.length, all);
    place.setAttribute("aria-label", `${plot.title}: ${ys.map(words).join(", ")} by ${words(x)}; ` +
      plot.marks.map((mark) => `${mark.node} meets its limit at ${told(x, mark.x)}${mark.date === null ? "" : `, ${mark.date}`}; `).join("") +
      `the numbers are in the table ${table.title}`);
  };

  const notes = (table, plot, x, ys, shown, all) => [
    table.rows > x.values.length ? `The first ${x.values.length.toLocaleString("en")} of ${table.rows.toLocaleString("en")} rows.` : "",
    all > shown ? `The ${shown} highest of ${all} lines.` : "",
    plot.kind === "interval" ? "Bars: the 95 % interval of the chance that a run fails, by a trip or by more than the continuous rating. Few runs leave it wide." : "",
    plot.kind !== "interval" && ys.some((c) => (bound(table, c, "low") || []).some((v) => v !== null)) ? "Shades and whiskers: the interval given in the table." : "",
    plot.marks.length ? "Dotted lines: where a limit is met, and when; shades: the interval of that." : "",
  ].filter(Boolean).join(" ");

  return { draw, told, words };
})();
