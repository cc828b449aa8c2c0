/** The one-line diagram: colours by headroom, at the worst or at a moment; click a node. */
D.oneline = (() => {
  const SHADES = ["h0", "h1", "h2", "h3", "none"];
  const STEPS = 400; // of the slider over the run
  const FRAME_MS = 60;
  let parts = [];
  let playing = null;
  const byName = new Map();

  const shadeOf = (share) => {
    if (share === null || Number.isNaN(share)) return "none";
    return `h${(share >= 0.5) + (share >= 0.8) + (share > 1)}`;
  };

  const paint = (part, share, dark) => {
    const fill = part.querySelector(".fill");
    part.classList.toggle("dark", dark);
    if (!fill) return;
    fill.classList.remove(...SHADES);
    fill.classList.add(shadeOf(share));
    part.querySelector(".card, .cell")?.classList.toggle("over", share !== null && share > 1);
    const gauge = part.querySelector(".gauge");
    if (gauge) fill.setAttribute("width", gauge.getAttribute("width") * Math.min(1, share === null ? 1 : share));
  };

  /** Colours at a moment; null: by the highest load of the run. */
  const colour = (time_s) => parts.forEach((part) => {
    const index = byName.get(part.dataset.node);
    const { peak_w, limit_w } = D.model.nodes[index];
    const load_w = time_s === null ? peak_w : D.series.at(index, time_s, D.model.duration_s / STEPS);
    // What draws nothing at all has no power.
    paint(part, limit_w && load_w !== null ? load_w / limit_w : null, time_s !== null && load_w < 1);
  });

  /** The panel of the chosen node. */
  const choose = (index) => {
    const node = D.model.nodes[index];
    const known = (value) => value !== undefined && value !== null;
    const rows = [
      ["kind", node.kind],
      ["rating", D.watts(node.limit_w)],
      ["peak", D.watts(node.peak_w)],
      ["of rating", node.limit_w ? D.percent(node.peak_w / node.limit_w) : D.UNKNOWN],
      ["99th percentile", D.watts(node.p99_w)],
      ["mean", D.watts(node.mean_w)],
      ["energy", D.scaled(node.energy_wh, "Wh")],
      ["load factor", node.load_factor ? node.load_factor.toFixed(2) : D.UNKNOWN],
      ["smallest margin", known(node.min_margin_w) ? D.watts(node.min_margin_w) : null],
      ["time over its limit", node.time_over_limit_s ? D.span(node.time_over_limit_s) : null],
      ["trips", node.trips ? String(node.trips) : null],
      ["binding limit on its way up", node.binding || null],
    ];
    const facts = rows.filter(([, text]) => text !== null)
      .map(([name, text]) => D.el("div", {}, D.el("dt", {}, name), D.el("dd", {}, text)));
    const above = D.el("a", { href: "#load" }, "Go there");
    D.get("picked").replaceChildren(
      D.el("h3", {}, node.name),
      D.el("dl", { class: "facts-list" }, ...facts),
      D.el("p", { class: "small" }, "Its load is drawn above. ", above),
    );
    parts.forEach((part) => part.classList.toggle("chosen", part.dataset.node === node.name));
  };

  const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const middle = (part) => {
    const box = part.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };

  /** The nearest part in a direction; what lies aside counts as farther away. */
  const next = (from, [dx, dy]) => {
    const [x, y] = middle(from);
    let best = null;
    let least = Infinity;
    for (const part of parts) {
      const [px, py] = middle(part);
      const along = (px - x) * dx + (py - y) * dy;
      const far = along + 3 * (Math.abs((px - x) * dy) + Math.abs((py - y) * dx));
      if (part !== from && along > 2 && far < least) [best, least] = [part, far];
    }
    return best;
  };

  const press = (event) => {
    const part = event.target.closest("[data-node]");
    if (!part) return;
    const way = WAYS[event.key];
    if (event.key !== "Enter" && event.key !== " " && !way) return;
    event.preventDefault();
    if (!way) {
      D.choose(byName.get(part.dataset.node));
      return;
    }
    const other = next(part, way);
    if (!other) return;
    parts.forEach((each) => each.setAttribute("tabindex", each === other ? "0" : "-1"));
    other.focus();
  };

  const move = () => {
    const step = Number(D.get("oneline-time").value);
    const time_s = step ? Math.min(D.model.duration_s, (step / STEPS) * D.model.duration_s) - 1e-6 : null;
    D.get("oneline-when").textContent = time_s === null ? "highest load of the run" : `load at ${D.clock(time_s)}`;
    colour(time_s);
  };

  const play = () => {
    const slider = D.get("oneline-time");
    const button = D.get("oneline-play");
    clearInterval(playing);
    playing = playing !== null ? null : setInterval(() => {
      slider.value = (Number(slider.value) + 1) % (STEPS + 1);
      move();
    }, FRAME_MS);
    button.setAttribute("aria-pressed", String(playing !== null));
    button.textContent = playing !== null ? "Pause" : "Play";
  };

  const start = () => {
    const svg = document.querySelector("#diagram svg");
    if (!svg) return;
    parts = [...svg.querySelectorAll("[data-node]")];
    D.model.nodes.forEach((node, i) => byName.set(node.name, i));
    parts[0]?.setAttribute("tabindex", "0");
    svg.addEventListener("click", (event) => {
      const part = event.target.closest("[data-node]");
      if (part) D.choose(byName.get(part.dataset.node));
    });
    svg.addEventListener("keydown", press);
    D.onNode.push(choose);
    D.get("oneline-time").addEventListener("input", move);
    D.get("oneline-play").addEventListener("click", play);
  };
  return { start };
})();
