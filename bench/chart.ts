// An SVG chart of ns a packet against sessions, both on logarithmic scales.

export interface Line {
  readonly name: string;
  readonly color: string;
  readonly points: readonly (readonly [sessions: number, ns: number])[];
}

const WIDTH = 760;
const HEIGHT = 420;
const LEFT = 64;
const RIGHT = 180;
const TOP = 48;
const BOTTOM = 48;
const FONT = 'font-family="system-ui, sans-serif"';

/** 65,536 is 64 k to whoever counts sessions. */
function label(n: number): string {
  const unit = n % 1024 === 0 ? 1024 : 1000;
  if (n >= unit * unit) return `${n / unit ** 2} M`;
  return n >= unit ? `${n / unit} k` : String(n);
}

/** Draws lines; `title` and `note` stand above. */
export function chart(lines: readonly Line[], title: string, note: string): string {
  const points = lines.flatMap((line) => line.points);
  const xs = points.map(([x]) => Math.log10(x));
  const low = Math.floor(Math.log2(Math.min(...points.map(([, y]) => y))));
  const high = Math.ceil(Math.log2(Math.max(...points.map(([, y]) => y))));
  const [from, to] = [Math.min(...xs), Math.max(...xs)];
  const x = (n: number) => LEFT + ((Math.log10(n) - from) / (to - from || 1)) * (WIDTH - LEFT - RIGHT);
  const y = (n: number) =>
    HEIGHT - BOTTOM - ((Math.log2(n) - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  const at = (value: number) => value.toFixed(1);
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" ${FONT} font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="20" font-size="15" fill="#1b1b1b">${title}</text>`,
    `<text x="${LEFT}" y="37" fill="#666666">${note}</text>`,
  ];
  for (let power = low; power <= high; power++) {
    const ns = 2 ** power;
    out.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(y(ns))}" y2="${at(y(ns))}" stroke="#e3e3e3"/>`,
      `<text x="${LEFT - 8}" y="${at(y(ns) + 4)}" text-anchor="end" fill="#666666">${ns} ns</text>`,
    );
  }
  for (const n of new Set(points.map(([sessions]) => sessions))) {
    out.push(
      `<text x="${at(x(n))}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle" fill="#666666">${label(n)}</text>`,
    );
  }
  out.push(
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle" fill="#666666">sessions</text>`,
  );
  // Names beside the lines' ends, pushed apart where they would overlap.
  const ends = lines
    .map((line) => ({ line, at: y(line.points.at(-1)![1]) }))
    .sort((one, other) => one.at - other.at);
  for (let i = 1; i < ends.length; i++) ends[i]!.at = Math.max(ends[i]!.at, ends[i - 1]!.at + 16);
  for (const { line, at: textAt } of ends) {
    const path = line.points.map(([sessions, ns]) => `${at(x(sessions))},${at(y(ns))}`).join(" ");
    out.push(`<polyline points="${path}" fill="none" stroke="${line.color}" stroke-width="2"/>`);
    for (const [sessions, ns] of line.points) {
      out.push(`<circle cx="${at(x(sessions))}" cy="${at(y(ns))}" r="3" fill="${line.color}"/>`);
    }
    out.push(
      `<text x="${WIDTH - RIGHT + 10}" y="${at(textAt + 4)}" fill="${line.color}">${line.name}</text>`,
    );
  }
  out.push("</svg>");
  return `${out.join("\n")}\n`;
}
