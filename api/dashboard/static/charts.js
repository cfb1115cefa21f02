// Draws the time series of a page with uPlot, in place of the server's drawing, to show values at the pointer.
"use strict";
(() => {
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  const day = (at) => { const d = new Date(at * 1000); return `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}`; };
  const whole = (value) => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const write = {
    count: (value) => Number.isInteger(value) || Math.abs(value) >= 100 ? whole(value) : value.toFixed(1),
    share: (value) => `${(value * 100).toFixed(1)}%`,
    bytes: (value) => value >= 1e9 ? `${(value / 1e9).toFixed(1)} GB` : value >= 1e6 ? `${(value / 1e6).toFixed(1)} MB`
      : value >= 1e3 ? `${(value / 1e3).toFixed(1)} kB` : `${value} B`,
    seconds: (value) => {
      for (const [size, unit] of units) if (value >= size) return `${+(value / size).toFixed(value / size < 10 ? 1 : 0)} ${unit}`;
      return value === 0 || value >= 1 ? `${+value.toFixed(value < 10 ? 1 : 0)} s` : `${Math.round(value * 1000)} ms`;
    },
  };
  const axis = {
    ...write,
    share: (value) => `${+(value * 100).toFixed(1)}%`,
    count: (value) => value >= 1e6 ? `${+(value / 1e6).toFixed(1)}M` : value >= 1e3 ? `${+(value / 1e3).toFixed(1)}k` : `${+value.toFixed(2)}`,
  };

  function draw(place) {
    const chart = JSON.parse(place.dataset.chart);
    const style = getComputedStyle(place);
    const color = (name) => style.getPropertyValue(name).trim();
    const complete = chart.days.length - chart.partial;
    const data = [chart.days];
    const series = [{}];
    chart.series.forEach((line) => {
      const stroke = color(`--v${line.color}`);
      const common = { stroke, width: 1.75, spanGaps: false, points: { show: chart.days.length === 1 } };
      series.push({ ...common, label: line.label });
      data.push(line.values.map((value, number) => (number < complete ? value : null)));
      // The open end is a line of its own, from the last complete day on, and dashed.
      series.push({ ...common, label: line.label, dash: [4, 4] });
      data.push(line.values.map((value, number) => (chart.partial && number >= complete - 1 ? value : null)));
    });
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    const grid = { stroke: color("--line"), width: 1 };
    const axes = { stroke: color("--quiet"), font: "11px system-ui, sans-serif", ticks: { show: false } };
    const plot = new uPlot({
      width: place.clientWidth,
      height: place.clientHeight,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
      scales: { y: { range: (_, low, high) => {
        const from = chart.zero ? 0 : low;
        return [from, high > from ? high + (high - from) * 0.05 : from + 1];
      } } },
      axes: [
        { ...axes, grid: { show: false }, size: 26, space: 70, incrs: [1, 2, 3, 7, 14, 28].map((days) => days * 86400),
          values: (_, at) => at.map(day) },
        { ...axes, grid, size: 46, space: 44, values: (_, ticks) => ticks.map((value) => axis[chart.kind](value)) },
      ],
      series,
      hooks: {
        setCursor: [(self) => {
          const number = self.cursor.idx;
          tip.hidden = number == null;
          if (tip.hidden) return;
          const rows = chart.series.filter((line) => line.values[number] != null).map((line) => {
            const row = document.createElement("div");
            const label = chart.series.length > 1 ? `${line.label}: ` : "";
            const of = line.of && line.of[number] != null ? ` of ${whole(line.of[number])}` : "";
            row.textContent = `${label}${write[chart.kind](line.values[number])}${of}`;
            return row;
          });
          const head = document.createElement("b");
          head.textContent = `${day(chart.days[number])}${number >= complete ? " (not complete)" : ""}`;
          tip.replaceChildren(head, ...rows);
          const left = self.valToPos(chart.days[number], "x") + self.over.offsetLeft;
          const isRight = left > place.clientWidth / 2;
          tip.style.left = isRight ? "auto" : `${left + 12}px`;
          tip.style.right = isRight ? `${place.clientWidth - left + 12}px` : "auto";
        }],
      },
    }, data, (self, init) => {
      place.replaceChildren(self.root, tip);
      init();
    });
    return plot;
  }

  const drawn = new Map();
  function drawAll() {
    for (const place of document.querySelectorAll("[data-chart]")) {
      drawn.get(place)?.destroy();
      drawn.set(place, draw(place));
    }
  }
  document.addEventListener("tidemark:theme", drawAll);
  document.addEventListener("toggle", (event) => {
    for (const [place, plot] of drawn) if (event.target.contains(place)) plot.setSize({ width: place.clientWidth, height: place.clientHeight });
  }, true);
  new ResizeObserver(() => {
    for (const [place, plot] of drawn) plot.setSize({ width: place.clientWidth, height: place.clientHeight });
  }).observe(document.body);
  drawAll();
})();
