// Starts the page: theme, data, charts.
(() => {
  const root = document.documentElement;
  const themed = (theme) => {
    root.dataset.theme = theme;
    D.get("theme").textContent = theme === "dark" ? "Light" : "Dark";
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  themed(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => { themed(dark.matches ? "dark" : "light"); D.plots.redraw(); });
  D.get("theme").addEventListener("click", () => {
    themed(root.dataset.theme === "dark" ? "light" : "dark");
    D.plots.redraw();
  });
  const all = () => D.plots.redraw(true);
  D.get("print").addEventListener("click", () => { all(); setTimeout(() => window.print(), 300); });
  let before = null;
  window.addEventListener("beforeprint", () => { before = root.dataset.theme; themed("light"); all(); });
  window.addEventListener("afterprint", () => { if (before) { themed(before); D.plots.redraw(); } });

  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.getAttribute("href").slice(1), a]));
  const watch = new IntersectionObserver((seen) => seen.forEach((entry) => {
    if (!entry.isIntersecting) return;
    links.forEach((a) => a.removeAttribute("aria-current"));
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }), { rootMargin: "-20% 0px -70% 0px" });
  document.querySelectorAll("main > section").forEach((section) => watch.observe(section));

  const run = async () => {
    D.model = JSON.parse(D.get("model").textContent);
    D.EPOCH += 1000 * (D.model.start_of_day_s || 0);  // axes then show the clock
    const [series, plotly] = await Promise.all([D.inflate("series"), D.inflate("plotly")]);
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(plotly);
    document.head.append(script);
    if (D.model.page === "run") {
      D.series.start(series);
      D.timeline.start();
      D.oneline.start();
      D.chartset.start();
      D.tables.start();
    } else D.study.start();
    root.dataset.ready = "true";
    performance.mark("ready");
  };
  if (typeof DecompressionStream === "undefined") {
    D.trouble("This browser is too old for the charts (it lacks DecompressionStream): use one of 2023 or later.");
  } else run().catch((error) => { D.trouble(`The charts could not be drawn: ${error.message}`); throw error; });
})();
