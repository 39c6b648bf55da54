// Charts by uPlot: axes from zero, units in words, gaps stay gaps. A page has figures with data-chart="<id>" inside an
// element with data-charts="<url>"; the URL answers {"<id>": {"unit": …, "x": [epoch s], "series": [{"label", "values"}]}}.
// With "steps": true, x counts steps, or what "counts" names; "most" is the top of the scale.
(() => {
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colours = () => ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"].map(style);
  const dashes = [[], [6, 3], [2, 3], [10, 3, 2, 3], [1, 2], [12, 4]]; // not by colour alone
  const DAYS = [1, 2, 7, 14, 30, 90, 365].map((days) => days * 86400);
  const SECONDS = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
  const drawn = new Map();

  const round = (value) => {
    if (value === null || value === undefined) return "–";
    const digits = value === 0 || value >= 100 ? 0 : value >= 1 ? 1 : 3;
    return value.toLocaleString("en", { maximumFractionDigits: digits });
  };

  // Always UTC, as in every table.
  const utc = (seconds) => new Date(seconds * 1000).toISOString();
  const times = (spec) => (_, ticks) =>
    ticks.map((tick) => (spec.days ? utc(tick).slice(5, 10) : utc(tick).slice(11, ticks[1] - ticks[0] < 60 ? 19 : 16)));

  const short = (value) => value.toLocaleString("en", { notation: "compact", maximumFractionDigits: 2 });

  const options = (spec, width) => {
    const [ink, grid] = [style("--ink"), style("--edge")];
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
    return {
      width,
      height: 200,
      legend: { show: spec.series.length > 1 },
      cursor: { y: false },
      scales: { x: { time: !spec.steps }, y: { range: (_, __, most) => [0, spec.most ?? (most > 0 ? most * 1.1 : 1)] } },
      axes: [spec.steps ? axis : { ...axis, values: times(spec), space: spec.days ? 60 : 80, incrs: spec.days ? DAYS : SECONDS }, { ...axis, size: 64, label: spec.unit, labelSize: 20, values: (_, ticks) => ticks.map(short) }],
      series: [
        spec.steps ? { label: spec.counts ?? "Step" } : { label: "Time (UTC)", value: (_, at) => (at === null ? "–" : utc(at).slice(spec.days ? 0 : 11, spec.days ? 10 : 19)) },
        ...spec.series.map((each, index) => ({
          label: each.label,
          stroke: colours()[index % colours().length],
          dash: dashes[index % dashes.length],
          width: 2,
          // A step at which nothing was measured is no gap, as a time without an answer is.
          spanGaps: Boolean(spec.steps),
          points: { show: spec.bars ? false : spec.steps && each.values.includes(null) ? true : undefined, size: 4 },
          ...(spec.bars ? { paths: uPlot.paths.bars({ size: [0.7, 60] }), fill: colours()[index % colours().length] } : {}),
          value: (_, value) => `${round(value)} ${spec.unit}`,
        })),
      ],
    };
  };

  const describe = (figure, spec) => {
    const latest = spec.series.map((each) => {
      const value = each.values.at(-1);
      return `${each.label}: ${round(value)} ${value === null || value === undefined ? "(no data)" : spec.unit}`;
    });
    const text = spec.series.length ? latest.slice(0, 6).join(" · ") : "No data yet.";
    figure.querySelector(".plot").setAttribute("aria-label", `${figure.querySelector("strong").textContent}. ${text}`);
    figure.querySelector(".latest").textContent = text;
  };

  const draw = (figure, spec) => {
    const plot = figure.querySelector(".plot");
    const known = drawn.get(figure);
    const labels = JSON.stringify([spec.unit, ...spec.series.map((each) => each.label)]);
    const data = [spec.x, ...spec.series.map((each) => each.values)];
    describe(figure, spec);
    if (known && known.labels === labels) {
      known.chart.setData(data);
      known.spec = spec;
      return;
    }
    known?.chart.destroy();
    plot.replaceChildren();
    drawn.delete(figure);
    if (!spec.series.length) return;
    const chart = new uPlot(options(spec, plot.clientWidth || 300), data, plot);
    drawn.set(figure, { chart, labels, spec });
  };

  const redraw = () => {
    for (const [figure, { spec }] of [...drawn]) {
      drawn.get(figure).labels = "";
      draw(figure, spec);
    }
  };

  const load = async (holder) => {
    const answer = await window.freehold.ask(holder.dataset.charts);
    if (answer.status === 401) return window.location.reload();
    if (!answer.ok) throw new Error(`charts: ${answer.status}`);
    const specs = await answer.json();
    for (const figure of holder.querySelectorAll("figure[data-chart]")) {
      if (specs[figure.dataset.chart]) draw(figure, specs[figure.dataset.chart]);
    }
    holder.dataset.state = "drawn";
  };

  // data-every="5" asks again every five seconds, unless nobody looks or a [data-pause] button is pressed.
  const follow = (holder) => {
    const once = () =>
      load(holder).catch(() => window.freehold.notice("The gateway does not answer. The numbers here may be old."));
    once();
    const every = Number(holder.dataset.every ?? 0);
    if (every) setInterval(() => document.hidden || isPaused() || once(), every * 1000);
  };

  const isPaused = () => document.querySelector("[data-pause]")?.getAttribute("aria-pressed") === "true";

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-charts]").forEach(follow);
    document.querySelector("[data-pause]")?.addEventListener("click", (event) => {
      event.currentTarget.setAttribute("aria-pressed", String(!isPaused()));
    });
    new ResizeObserver(() => {
      for (const [figure, { chart }] of drawn) {
        chart.setSize({ width: figure.querySelector(".plot").clientWidth, height: 200 });
      }
    }).observe(document.body);
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.hasAttribute("data-live") && (isPaused() || document.hidden)) event.preventDefault();
  });
  document.addEventListener("freehold:theme", redraw);
  const range = (id) => {
    const { scales } = drawn.get(document.querySelector(`figure[data-chart="${id}"]`)).chart;
    return [scales.y.min, scales.y.max];
  };
  window.freeholdCharts = { draw, range };
})();
