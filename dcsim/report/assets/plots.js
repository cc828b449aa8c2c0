/** What all charts share: fonts and colours of the theme, drawn when first seen. */
D.plots = (() => {
  const SPREAD = [[0, "c0"], [0.5, "c1"], [1, "c2"]]; // of heat maps, from low to high
  const charts = [];

  const layout = (more) => {
    const axis = {
      gridcolor: D.css("grid"),
      zerolinecolor: D.css("grid"),
      linecolor: D.css("edge"),
      tickfont: { color: D.css("soft"), size: 11.5 },
      automargin: true,
    };
    const font = { family: 'system-ui,-apple-system,"Segoe UI",Roboto,sans-serif', size: 12.5, color: D.css("ink") };
    const whole = {
      font,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 64, r: 16, t: 14, b: 40 },
      showlegend: false,
      hovermode: "x",
      hoverlabel: { bgcolor: D.css("card"), bordercolor: D.css("edge"), font: { ...font, size: 12 } },
      ...more,
    };
    for (const key of Object.keys(whole)) {
      if (/^[xy]axis\d*$/.test(key)) whole[key] = { ...axis, ...whole[key] };
    }
    return whole;
  };
  const config = { displaylogo: false, responsive: true, displayModeBar: false };

  /** Draw. The place gets the chart's height at once: what follows must not move. */
  const react = (place, traces, more) => {
    place.style.height = `${more.height}px`;
    return Plotly.react(place, traces, layout(more), config);
  };

  /** `draw` is called when the chart comes into sight, and again when the theme changes. */
  const lazy = (id, draw) => {
    const place = D.get(id);
    if (!place) return;
    const chart = {
      drawn: false,
      draw: () => {
        chart.drawn = true;
        draw();
        performance.mark(`drawn ${id}`);
      },
    };
    charts.push(chart);
    const sight = (entries) => {
      if (!entries.some((entry) => entry.isIntersecting) || chart.drawn) return;
      observer.disconnect();
      chart.draw();
    };
    const observer = new IntersectionObserver(sight, { rootMargin: "300px" });
    observer.observe(place);
  };

  const timeAxis = (more = {}) => ({
    type: "date",
    tickformatstops: [
      { dtickrange: [null, 1000], value: "%H:%M:%S.%L" },
      { dtickrange: [1000, 60000], value: "%H:%M:%S" },
      { dtickrange: [60000, 86400000], value: "%H:%M" },
      { dtickrange: [86400000, null], value: "day %-j" },
    ],
    ...more,
  });

  const redraw = (all = false) => charts.forEach((chart) => { if (chart.drawn || all) chart.draw(); });

  return { react, lazy, timeAxis, redraw, SPREAD };
})();
