// The one-line diagram: colours by headroom, at the worst or at a moment; click a node.
D.oneline = (() => {
  const SHADES = ["h0", "h1", "h2", "h3", "none"];
  let svg = null, nodes = [], byName = new Map(), playing = null;

  const shade = (share) => (share === null || Number.isNaN(share) ? "none"
    : `h${(share >= 0.5) + (share >= 0.8) + (share > 1)}`);

  const paint = (part, share, dark) => {
    const fill = part.querySelector(".fill");
    part.classList.toggle("dark", dark);
    const frame = part.querySelector(".card, .cell");
    if (!fill) return;
    fill.classList.remove(...SHADES);
    fill.classList.add(shade(share));
    if (frame) frame.classList.toggle("over", share !== null && share > 1);
    const gauge = part.querySelector(".gauge");
    if (gauge) fill.setAttribute("width", gauge.getAttribute("width") * Math.min(1, share === null ? 1 : share));
  };

  const colour = (time_s) => {
    const width = D.model.duration_s / 400;
    nodes.forEach((part) => {
      const index = byName.get(part.dataset.node);
      const data = D.model.nodes[index];
      const load = time_s === null ? data.peak_w : D.series.at(index, time_s, width);
      // What draws nothing at all has no power.
      paint(part, data.limit_w && load !== null ? load / data.limit_w : null, time_s !== null && load < 1);
    });
  };

  const picked = (index) => {
    const data = D.model.nodes[index];
    const rows = [["kind", data.kind], ["rating", D.watts(data.limit_w)], ["peak", D.watts(data.peak_w)],
      ["of rating", data.limit_w ? D.percent(data.peak_w / data.limit_w) : "–"],
      ["99th percentile", D.watts(data.p99_w)], ["mean", D.watts(data.mean_w)],
      ["energy", D.scaled(data.energy_wh, "Wh")], ["load factor", data.load_factor ? data.load_factor.toFixed(2) : "–"]];
    if (data.min_margin_w !== undefined && data.min_margin_w !== null) rows.push(["smallest margin", D.watts(data.min_margin_w)]);
    if (data.time_over_limit_s) rows.push(["time over its limit", D.span(data.time_over_limit_s)]);
    if (data.trips) rows.push(["trips", String(data.trips)]);
    if (data.binding) rows.push(["binding limit on its way up", data.binding]);
    const list = D.el("dl", { class: "facts-list" });
    rows.forEach(([name, value]) => list.append(D.el("div", {}, D.el("dt", {}, name), D.el("dd", {}, value))));
    D.get("picked").replaceChildren(D.el("h3", {}, data.name), list,
      D.el("p", { class: "small" }, "Its load is drawn above. ", D.el("a", { href: "#load" }, "Go there")));
    nodes.forEach((part) => part.classList.toggle("chosen", part.dataset.node === data.name));
  };

  const move = (event) => {
    const now = nodes.indexOf(event.target.closest("[data-node]"));
    if (now < 0) return;
    const box = nodes[now].getBoundingClientRect();
    const x = box.x + box.width / 2, y = box.y + box.height / 2;
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); D.choose(byName.get(nodes[now].dataset.node)); return; }
    if (!ways[event.key]) return;
    event.preventDefault();
    const [dx, dy] = ways[event.key];
    let best = null, least = Infinity;
    nodes.forEach((part, i) => {
      if (i === now) return;
      const b = part.getBoundingClientRect();
      const along = (b.x + b.width / 2 - x) * dx + (b.y + b.height / 2 - y) * dy;
      const across = Math.abs((b.x + b.width / 2 - x) * dy) + Math.abs((b.y + b.height / 2 - y) * dx);
      if (along > 2 && along + 3 * across < least) { least = along + 3 * across; best = i; }
    });
    if (best !== null) focus(nodes[best]);
  };
  const focus = (part) => {
    nodes.forEach((other) => other.setAttribute("tabindex", other === part ? "0" : "-1"));
    part.focus();
  };

  const start = () => {
    svg = document.querySelector("#diagram svg");
    if (!svg) return;
    nodes = [...svg.querySelectorAll("[data-node]")];
    D.model.nodes.forEach((node, i) => byName.set(node.name, i));
    if (nodes.length) nodes[0].setAttribute("tabindex", "0");
    svg.addEventListener("click", (event) => {
      const part = event.target.closest("[data-node]");
      if (part) D.choose(byName.get(part.dataset.node));
    });
    svg.addEventListener("keydown", move);
    D.hooks.node.push(picked);
    const slider = D.get("oneline-time"), told = D.get("oneline-when"), play = D.get("oneline-play");
    const moved = () => {
      const step = Number(slider.value);
      const time_s = step ? Math.min(D.model.duration_s, (step / 400) * D.model.duration_s) - 1e-6 : null;
      told.textContent = time_s === null ? "highest load of the run" : `load at ${D.clock(time_s)}`;
      colour(time_s);
    };
    slider.addEventListener("input", moved);
    play.addEventListener("click", () => {
      const on = playing === null;
      play.setAttribute("aria-pressed", String(on));
      play.textContent = on ? "Pause" : "Play";
      if (!on) { clearInterval(playing); playing = null; return; }
      playing = setInterval(() => {
        slider.value = (Number(slider.value) + 1) % 401;
        moved();
      }, 60);
    });
  };
  return { start };
})();
