/** Starts the page: theme, data, sections. */
(() => {
  const root = document.documentElement;
  const setTheme = (theme) => {
    root.dataset.theme = theme;
    D.get("theme").textContent = theme === "dark" ? "Light" : "Dark";
  };
  const themes = () => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const show = (theme) => {
      setTheme(theme);
      D.plots.redraw();
    };
    setTheme(dark.matches ? "dark" : "light");
    dark.addEventListener("change", () => show(dark.matches ? "dark" : "light"));
    D.get("theme").addEventListener("click", () => show(root.dataset.theme === "dark" ? "light" : "dark"));
    let before = null;
    window.addEventListener("beforeprint", () => {
      before = root.dataset.theme;
      setTheme("light");
      D.plots.redraw(true);
    });
    window.addEventListener("afterprint", () => { if (before) show(before); });
    D.get("print").addEventListener("click", () => {
      D.plots.redraw(true);
      setTimeout(() => window.print(), 300);
    });
  };

  /** Marks the link of the section that is read. */
  const navigation = () => {
    const anchors = [...document.querySelectorAll("nav a")];
    const links = new Map(anchors.map((anchor) => [anchor.getAttribute("href").slice(1), anchor]));
    const sight = (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      anchors.forEach((anchor) => anchor.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    });
    const observer = new IntersectionObserver(sight, { rootMargin: "-20% 0px -70% 0px" });
    document.querySelectorAll("main > section").forEach((section) => observer.observe(section));
  };

  const sections = async () => {
    D.model = JSON.parse(D.get("model").textContent);
    const [series, plotly] = await Promise.all([D.inflate("series"), D.inflate("plotly")]);
    document.head.append(D.el("script", {}, new TextDecoder().decode(plotly)));
    if (D.model.page === "run") {
      D.series.start(series);
      [D.timeline, D.oneline, D.heat, D.run].forEach((section) => section.start());
    } else D.study.start();
    root.dataset.ready = "true";
    performance.mark("ready");
  };

  themes();
  navigation();
  if (typeof DecompressionStream === "undefined") {
    D.fail("This browser is too old for the charts (it lacks DecompressionStream): use one of 2023 or later.");
  } else {
    sections().catch((error) => {
      D.fail(`The charts could not be drawn: ${error.message}`);
      throw error;
    });
  }
})();
