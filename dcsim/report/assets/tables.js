// Every node, sortable; the event log, filtered.
D.tables = (() => {
  const MOST_ROWS = 400;
  const columns = [
    ["node", (n) => n.name, (n) => n.name], ["kind", (n) => n.kind, (n) => n.kind],
    ["rating", (n) => n.limit_w, (n) => D.watts(n.limit_w)], ["peak", (n) => n.peak_w, (n) => D.watts(n.peak_w)],
    ["of rating", (n) => (n.limit_w ? n.peak_w / n.limit_w : null), (n) => (n.limit_w ? D.percent(n.peak_w / n.limit_w) : "–")],
    ["p99", (n) => n.p99_w, (n) => D.watts(n.p99_w)], ["mean", (n) => n.mean_w, (n) => D.watts(n.mean_w)],
    ["load factor", (n) => n.load_factor, (n) => (n.load_factor === null || n.load_factor === undefined ? "–" : n.load_factor.toFixed(2))],
    ["energy", (n) => n.energy_wh, (n) => D.scaled(n.energy_wh, "Wh")],
    ["over limit", (n) => n.time_over_limit_s, (n) => (n.time_over_limit_s === null || n.time_over_limit_s === undefined ? "–" : D.span(n.time_over_limit_s))],
    ["trips", (n) => n.trips, (n) => (n.trips === undefined ? "–" : String(n.trips))]];
  let sorted = null, falling = true;

  const nodeLink = (index) => D.el("button", { type: "button", class: "link", onclick: () => {
    D.choose(index);
    D.get("load").scrollIntoView();
  } }, D.model.nodes[index].name);

  const nodes = () => {
    const table = D.get("nodes-table");
    const wanted = D.get("nodes-find").value.trim().toLowerCase();
    let rows = D.model.nodes.map((node, i) => [node, i]).filter(([n]) => `${n.name} ${n.kind}`.toLowerCase().includes(wanted));
    const found = rows.length;
    if (sorted !== null) {
      const key = columns[sorted][1];
      rows.sort(([a], [b]) => {
        const x = key(a) ?? null, y = key(b) ?? null;
        if (x === null || y === null) return (x === null) - (y === null);
        return (x < y ? -1 : x > y ? 1 : 0) * (falling ? -1 : 1);
      });
    }
    rows = rows.slice(0, MOST_ROWS);
    const heads = columns.map(([name], i) => D.el("th", { scope: "col", class: i > 1 ? "n" : null,
      "aria-sort": sorted === i ? (falling ? "descending" : "ascending") : null },
    D.el("button", { type: "button", onclick: () => { falling = sorted === i ? !falling : i > 1; sorted = i; nodes(); table.querySelectorAll("th button")[i].focus(); } },
      name + (sorted === i ? (falling ? " ↓" : " ↑") : ""))));
    table.replaceChildren(D.el("caption", { class: "small" }, "Loads by node"), D.el("thead", {}, D.el("tr", {}, ...heads)),
      D.el("tbody", {}, ...rows.map(([node, index]) => D.el("tr", { class: node.limit_w && node.peak_w > node.limit_w ? "hot" : null },
        ...columns.map(([, , told], i) => D.el("td", { class: i > 1 ? "n" : null }, i ? told(node) : nodeLink(index)))))));
    D.get("nodes-count").textContent = `${found.toLocaleString("en")} nodes${found > MOST_ROWS ? `, ${MOST_ROWS} shown` : ""}`;
  };

  let hidden = new Set();
  const events = () => {
    const log = D.model.events, table = D.get("events-table");
    const wanted = D.get("events-find").value.trim().toLowerCase();
    const rows = [];
    for (let i = 0; i < log.time_s.length; i += 1) {
      if (hidden.has(log.kind[i])) continue;
      if (wanted && !`${D.model.nodes[log.node[i]].name} ${log.kind[i]} ${log.message[i]}`.toLowerCase().includes(wanted)) continue;
      rows.push(i);
    }
    const shown = rows.slice(0, MOST_ROWS);
    const heads = ["time", "flag", "node", "load", "limit", "what"];
    table.replaceChildren(D.el("caption", { class: "small" }, "Flags in order"), D.el("thead", {}, D.el("tr", {}, ...heads.map((h, i) =>
      D.el("th", { scope: "col", class: i === 3 || i === 4 ? "n" : null }, h)))),
    D.el("tbody", {}, ...shown.map((i) => D.el("tr", { class: D.timeline.classOf(log.kind[i]) === 0 ? "hot" : null },
      D.el("td", {}, D.el("button", { type: "button", class: "link", onclick: () => { D.choose(log.node[i]); D.timeline.go(log.time_s[i]); D.get("load").scrollIntoView(); } }, D.clock(log.time_s[i], true))),
      D.el("td", {}, log.kind[i]), D.el("td", {}, nodeLink(log.node[i])), D.el("td", { class: "n" }, D.watts(log.load_w[i])),
      D.el("td", { class: "n" }, D.watts(log.limit_w[i])), D.el("td", {}, log.message[i])))));
    const left = log.total - log.time_s.length;
    D.get("events-count").textContent = log.total ? `${rows.length.toLocaleString("en")} of ${log.total.toLocaleString("en")} flags` +
      `${rows.length > MOST_ROWS ? `; the first ${MOST_ROWS} are listed` : ""}${left > 0 ? `; the last ${left.toLocaleString("en")} of the run are not in this page` : ""}.`
      : "No flag was raised.";
  };

  const start = () => {
    if (!D.get("nodes-table")) return;
    D.get("nodes-find").addEventListener("input", nodes);
    D.get("events-find").addEventListener("input", events);
    const kinds = [...new Set(D.model.events.kind)].sort();
    kinds.forEach((kind) => {
      const button = D.el("button", { type: "button", "aria-pressed": "true", onclick: () => {
        const off = hidden.has(kind);
        if (off) hidden.delete(kind); else hidden.add(kind);
        button.setAttribute("aria-pressed", String(off));
        events();
      } }, `${kind} (${D.model.events.kind.filter((k) => k === kind).length})`);
      D.get("events-kinds").append(button, " ");
    });
    nodes();
    events();
  };
  return { start };
})();
