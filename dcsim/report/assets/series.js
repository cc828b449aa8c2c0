/** Loads by node, as dcsim/report/page/pack.py and series.py wrote them, and coarser views of them. */
D.series = (() => {
  const LEVELS_AT_LEAST = 64;
  const UNKNOWN = 0xffff;
  const kept = new Map();
  let bytes = null;
  let count = 0;
  let levelOf = [];
  let detailsOf = [];

  const start = (buffer) => {
    bytes = new Uint8Array(buffer);
    count = D.model.values;
    levelOf = D.model.nodes.map(() => null);
    detailsOf = D.model.nodes.map(() => []);
    D.model.levels.forEach((level) => level.nodes.forEach((node, i) => { levelOf[node] = [level, i]; }));
    D.model.details.forEach((detail) => detailsOf[detail.node].push(detail));
  };

  const unpack = (at, length, low, scale) => {
    const values = new Float64Array(length);
    let code = 0;
    for (let i = 0; i < length; i += 1) {
      const zigzag = bytes[at + i] | (bytes[count + at + i] << 8);
      code = (code + ((zigzag >>> 1) ^ -(zigzag & 1))) & 0xffff;
      values[i] = code === UNKNOWN ? NaN : low + scale * code;
    }
    return values;
  };

  const halve = (finer) => {
    const length = Math.ceil(finer.mean.length / 2);
    const mean = new Float64Array(length), min = new Float64Array(length), max = new Float64Array(length);
    for (let i = 0; i < length; i += 1) {
      const a = 2 * i, b = Math.min(a + 1, finer.mean.length - 1);
      mean[i] = (finer.mean[a] + finer.mean[b]) / 2;
      min[i] = Math.min(finer.min[a], finer.min[b]);
      max[i] = Math.max(finer.max[a], finer.max[b]);
    }
    return { step_s: finer.step_s * 2, mean, min, max };
  };

  // The finest view of a node, and the means, lowest and highest steps of ever longer intervals.
  const pyramid = (node) => {
    if (kept.has(node)) return kept.get(node);
    const [level, place] = levelOf[node];
    const low = level.low[place], scale = level.scale[place];
    const part = (k) => unpack(level.at[place] + k * level.points, level.points, low[k], scale[k]);
    const mean = part(0);
    let min = mean, max = mean;
    if (level.stats === 3) {
      min = part(1).map((below, i) => mean[i] - below);
      max = part(2).map((above, i) => mean[i] + above);
    }
    const views = [{ step_s: level.step_s, mean, min, max }];
    while (views[views.length - 1].mean.length > LEVELS_AT_LEAST) views.push(halve(views[views.length - 1]));
    kept.set(node, views);
    return views;
  };

  const recorded = (detail) => {
    if (!detail.values) detail.values = unpack(detail.at, detail.count, detail.low, detail.scale);
    return detail.values;
  };

  // Samples of [from_s, to_s), `most` at most: starts of intervals, means, lowest and highest.
  const view = (node, from_s, to_s, most) => {
    const views = pyramid(node);
    const found = views.find((v) => (to_s - from_s) / v.step_s <= most) || views[views.length - 1];
    const out = { step_s: found.step_s, finest_s: found.step_s, x: [], mean: [], min: [], max: [] };
    const push = (at, mean, min, max) => {
      out.x.push(at);
      out.mean.push(Number.isNaN(mean) ? null : mean);
      out.min.push(Number.isNaN(min) ? null : min);
      out.max.push(Number.isNaN(max) ? null : max);
    };
    const step = found.step_s;
    const first = Math.max(0, Math.floor(from_s / step) - 1);
    const last = Math.min(found.mean.length, Math.ceil(to_s / step) + 1);
    const fine = levelOf[node][0].recorded_s;
    const inside = found === views[0] && step > fine && (to_s - from_s) / fine <= 4 * most
      ? detailsOf[node].filter((d) => d.first * fine < to_s && (d.first + d.count) * fine > from_s) : [];
    inside.sort((a, b) => a.first - b.first);
    const skip = new Set();
    for (const detail of inside) {
      const a = Math.ceil((detail.first * fine) / step - 1e-9);
      const b = Math.floor(((detail.first + detail.count) * fine) / step + 1e-9);
      if (b <= a) continue;
      out.finest_s = fine;
      for (let i = a; i < b; i += 1) skip.add(i);
      const values = recorded(detail);
      detail.from = Math.round((a * step) / fine) - detail.first;
      detail.to = Math.min(values.length, Math.round((b * step) / fine) - detail.first);
    }
    for (let i = first; i < last; i += 1) {
      if (!skip.has(i)) {
        push(i * step, found.mean[i], found.min[i], found.max[i]);
        continue;
      }
      for (const detail of inside) {
        if (detail.to === undefined) continue;
        const a = Math.max(detail.from, Math.round((i * step) / fine) - detail.first);
        const b = Math.min(detail.to, Math.round(((i + 1) * step) / fine) - detail.first);
        for (let k = a; k < b; k += 1) {
          const value = detail.values[k];
          push((detail.first + k) * fine, value, value, value);
        }
      }
    }
    if (out.x.length) {
      // Steps are drawn from their starts: the last one needs its end.
      push(Math.min(D.model.duration_s, out.x[out.x.length - 1] + out.finest_s),
        out.mean[out.mean.length - 1], out.min[out.min.length - 1], out.max[out.max.length - 1]);
    }
    return out;
  };

  // Mean at one instant, by the view whose interval is nearest to `width_s`.
  const at = (node, time_s, width_s) => {
    const views = pyramid(node);
    let best = views[0];
    for (const found of views) if (found.step_s <= width_s) best = found;
    return best.mean[Math.min(best.mean.length - 1, Math.floor(time_s / best.step_s))];
  };

  const means = (node, most) => {
    const views = pyramid(node);
    return views.find((v) => v.mean.length <= most) || views[views.length - 1];
  };

  return { start, view, at, means, pyramid };
})();
