/** Owns: the chart of a benchmark: for each workload, the ledger beside the per-event baseline and the append ceiling. */
import { init, use } from 'echarts/core.js';
import { BarChart } from 'echarts/charts.js';
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components.js';
import { SVGRenderer } from 'echarts/renderers.js';
import { spreadOf } from './spread-of.js';
import type { DrainCell, SuiteResult } from './suite.js';

use([BarChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

const [WIDTH, HEIGHT] = [960, 480];
const SERIES = [
  ['per event', 'baselineRate', '#b0b7c3'],
  ['this ledger', 'drainRate', '#2f6fde'],
  ['COPY of the same rows', 'copyRate', '#8bc48a'],
] as const;

/** The medians as a bar chart, an SVG document. */
export function chartOf({ drains, machine, startedAt }: SuiteResult): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: {
      text: 'Messages a second, from the first fetch to the last projection',
      subtext: `${machine['cpu'] ?? ''}, ${machine['memory'] ?? ''}, ${startedAt.slice(0, 10)}; medians of the runs, references of the same runs`,
    },
    legend: { bottom: 0 },
    grid: { top: 80, bottom: 60, left: 70, right: 20 },
    xAxis: {
      type: 'category',
      data: drains.map(({ workload, duplicates }) => `${workload} ${duplicates * 100} % rep.`),
    },
    yAxis: { type: 'value' },
    series: SERIES.map(([name, field, color]) => ({
      type: 'bar',
      name,
      itemStyle: { color },
      label: { show: true, position: 'top', formatter: ({ value }: { value: unknown }) => shortened(value) },
      data: drains.map((cell) => medianOf(cell, field)),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}

function medianOf({ samples }: DrainCell, field: (typeof SERIES)[number][1]): number | null {
  const figures = samples.flatMap((sample) => sample[field] ?? []);
  return figures.length === 0 ? null : Math.round(spreadOf(figures).median);
}

/** 47.3k for 47,312. */
function shortened(value: unknown): string {
  return typeof value === 'number' ? `${(value / 1000).toFixed(1)}k` : '';
}
